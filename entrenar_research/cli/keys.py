"""The signing key: an Ed25519 key in OpenSSH format, kept outside of every repository.

`keys new` makes one unless you have one and lists it in the study's keys/allowed_signers with a period of
validity; `keys show` says which key signs and whether the study accepts it; `keys allow` lists somebody else's.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions import keys as action
from entrenar_research.cli import asking
from entrenar_research.cli.parsing import add_format, add_verb, add_verbs
from entrenar_research.errors import UsageError
from entrenar_research.tools import process
from entrenar_research.tools.git import Git
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `keys`."""
    verbs = add_verbs(parser)
    new = add_verb(
        verbs,
        "new",
        "make a key unless there is one, and list it in the study",
        more="The key is made once and serves all your studies. In a study it is also listed in keys/allowed_signers "
        "under the e-mail address that Git knows, for two years from today. Outside of one it is only made.",
        examples=("keys new", "keys new --passphrase --valid-for 6m"),
    )
    new.add_argument("--key", type=Path, metavar="FILE", help="another place than the usual one")
    new.add_argument(
        "--valid-for", metavar="PERIOD", help="how long the study accepts it, in y, m or d, such as 6m (default: 2y)"
    )
    new.add_argument("--passphrase", action="store_true", help="let ssh-keygen ask for a passphrase")
    allow = add_verb(
        verbs,
        "allow",
        "list the public key of somebody else",
        more="By default the study then accepts what that key signs as an attestation, and nothing else.",
        examples=("keys allow grace.pub --as grace@example.org", "keys allow ci.pub --as ci@example.org --for proofs"),
    )
    allow.add_argument("file", type=Path, metavar="FILE", help="the public key, as ssh-keygen writes it")
    allow.add_argument("--as", dest="who", required=True, metavar="EMAIL", help="whose it is")
    allow.add_argument(
        "--for",
        dest="purposes",
        action="append",
        choices=tuple(action.PURPOSES),
        metavar="WHAT",
        help="seals, models, proofs, attestations or packs (default: attestations); may be given more than once",
    )
    allow.add_argument("--valid-for", metavar="PERIOD", help="how long, as for `keys new` (default: 2y)")
    show = add_verb(verbs, "show", "which key signs, and whether the study accepts it")
    show.add_argument("--key", type=Path, metavar="FILE", help="another key than the usual one")
    add_format(show)


def execute(args: argparse.Namespace) -> int:
    """Makes, lists or shows a key."""
    if args.verb == "allow":
        return _allow(args, Workspace())
    here = Workspace.maybe()
    return _new(args, here) if args.verb == "new" else _show(args, here)


def _allow(args: argparse.Namespace, here: Workspace) -> int:
    public = workspace.signer().public(args.file)
    purposes = tuple(dict.fromkeys(args.purposes or ["attestations"]))
    listed = action.allow(
        here.files,
        public,
        who=args.who,
        namespaces=tuple(action.PURPOSES[name] for name in purposes),
        validity=action.period(args.valid_for, workspace.now()),
    )
    words = f"{public.fingerprint} of {args.who} for {', '.join(purposes)} in keys/allowed_signers"
    Screen().line(f"{'listed' if listed else 'already listed'} {words}", "good")
    return 0


def _new(args: argparse.Namespace, here: Workspace | None) -> int:
    if args.passphrase and not asking.interactive():
        raise UsageError("--passphrase needs a terminal to ask on, and there is none")
    git = here.git if here else Git(Path.cwd())
    key = action.new(
        workspace.signer(),
        args.key or workspace.key_path(),
        study=here.files if here else None,
        identity=_address(git),
        validity=action.period(args.valid_for, workspace.now()),
        passphrase=args.passphrase,
    )
    screen = Screen()
    screen.line(f"{'made' if key.made else 'there is'} {key.path}  {key.public.fingerprint}", "good")
    if here is not None:
        periods = action.periods(here.files, key.public)
        screen.line(f"{'listed' if key.listed else 'already listed'} in keys/allowed_signers, {_words(periods)}")
    return 0


def _address(git: Git) -> str | None:
    """The e-mail address that Git would commit with; for a key a name is not needed."""
    if not process.which("git"):
        return None
    person = git.identity()
    return person[1] if person else git.setting("user.email")


def _show(args: argparse.Namespace, here: Workspace | None) -> int:
    git = here.git if here and process.which("git") else None
    path, source = action.locate(git, workspace.key_path(), args.key)
    public = workspace.signer().read(path)
    periods = action.periods(here.files, public) if here else ()
    listed = any(period.holds(workspace.now()) for period in periods)
    screen = Screen()
    if args.format == "json":
        shown = {"path": str(path), "source": source, "fingerprint": public.fingerprint, "public": public.line}
        screen.json({**shown, "listed": listed, "periods": periods})
        return 0
    screen.line(f"{path}  ({source})")
    screen.line(public.fingerprint)
    screen.line(public.line)
    if listed:
        screen.line(f"the study accepts it, {_words(periods)}", "good")
    elif periods:
        screen.line(f"the study does not accept it now, only {_words(periods)}; `keys new` renews it", "doubt")
    elif here is not None:
        screen.line("the study does not list it: `entrenar-research keys new` does", "doubt")
    return 0


def _words(periods: Sequence[action.Period]) -> str:
    """`from 2026-11-21 to 2028-11-20`."""
    spans = (f"from {_day(period.after)} to {_day(period.before)}" for period in periods)
    return " and ".join(spans)


def _day(stamp: str | None) -> str:
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}" if stamp else "any time"
