"""The signing key: an Ed25519 key in OpenSSH format, kept outside of every repository.

`keys new` makes one unless you have one and lists it in the study's keys/allowed_signers with a period of
validity; `keys show` says which key signs and whether the study accepts it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from entrenar_research import workspace
from entrenar_research.actions import keys as action
from entrenar_research.cli import asking
from entrenar_research.errors import UsageError
from entrenar_research.tools.git import Git
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `keys`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="new|show")
    new = verbs.add_parser("new", help="make a key unless there is one, and list it in the study")
    new.add_argument("--key", type=Path, metavar="FILE", help="another place than the usual one")
    new.add_argument("--valid-for", metavar="2y", help="how long the study accepts it (default: 2y)")
    new.add_argument("--passphrase", action="store_true", help="let ssh-keygen ask for a passphrase")
    show = verbs.add_parser("show", help="which key signs, and whether the study accepts it")
    show.add_argument("--key", type=Path, metavar="FILE", help="another key than the usual one")
    show.add_argument("--format", choices=("text", "json"), default="text")


def execute(args: argparse.Namespace) -> int:
    """Makes or shows the key."""
    here = Workspace.maybe()
    return _new(args, here) if args.verb == "new" else _show(args, here)


def _new(args: argparse.Namespace, here: Workspace | None) -> int:
    if args.passphrase and not asking.interactive():
        raise UsageError("--passphrase needs a terminal to ask on")
    person = Git(here.root if here else Path.cwd()).identity()
    key = action.new(
        workspace.signer(),
        args.key or workspace.key_path(),
        study=here.files if here else None,
        identity=person[1] if person else None,
        validity=action.period(args.valid_for, workspace.now()),
        passphrase=args.passphrase,
    )
    screen = Screen()
    screen.line(f"{'made' if key.made else 'there is'} {key.path}  {key.public.fingerprint}", "good")
    if here is not None:
        screen.line("it is listed in keys/allowed_signers")
    return 0


def _show(args: argparse.Namespace, here: Workspace | None) -> int:
    path, source = action.locate(here.git if here else None, workspace.key_path(), args.key)
    public = workspace.signer().read(path)
    listed = here is not None and action.is_listed(here.files, public)
    screen = Screen()
    if args.format == "json":
        shown = {
            "path": str(path),
            "source": source,
            "fingerprint": public.fingerprint,
            "public": public.line,
        }
        screen.line(msgspec.json.encode({**shown, "listed": listed}).decode())
        return 0
    screen.line(f"{path}  ({source})")
    screen.line(public.fingerprint)
    screen.line(public.line)
    if here is not None:
        words = (
            "the study accepts it"
            if listed
            else "the study does not list it: `entrenar-research keys new` does"
        )
        screen.line(words, "good" if listed else "doubt")
    return 0
