"""Rebuild a run, or what is in a bundle, and sign how it compares; or take in what others have signed.

The command is run again in a scratch copy and every output and metric judged: identical (bytes), equal (same content),
within (declared tolerance) or different. The attestation names your key, the kind of machine and the environment, and
is written whatever came out; the exit code is 1 if something is different.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrenar_research import workspace
from entrenar_research.actions.proving import attest as action
from entrenar_research.actions.proving import bundled
from entrenar_research.actions.proving.attest import Attested, Circumstances
from entrenar_research.cli import asking, own_build
from entrenar_research.cli.parsing import add_format, add_runner
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.models.statement import Author
from entrenar_research.store import output_files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import proofs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = (
    'attest line --notes "On a cluster node"              into runs/<id>/attestations/',
    "attest study.crate.zip --replay -o mine.intoto.jsonl  for somebody who sent a bundle",
    "attest --import theirs.intoto.jsonl                   what came back",
    "attest --self                                         this tool, in its own repository",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `attest`."""
    parser.add_argument("target", nargs="?", metavar="RUN|BUNDLE", help="a run, an experiment, or a .crate.zip")
    own_build.add_self(parser, "build this tool itself by Nix, in a checkout of its repository, and sign that")
    parser.add_argument("--import", dest="taken", type=Path, metavar="FILE", help="take in attestations of others")
    parser.add_argument("--notes", metavar="TEXT", help="what is to be said besides")
    parser.add_argument(
        "--verdict",
        choices=("identical", "equal", "within"),
        help="sign only if everything is this or better",
    )
    parser.add_argument("--author", metavar="NAME", help="who you are (default: as Git knows you, with the e-mail)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign with this private key")
    add_runner(parser)
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it here; a bundle needs it")
    parser.add_argument(
        "--replay", action="store_true", help="agree to run the code of a bundle; without it you are asked"
    )
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Rebuilds and signs, or takes in."""
    if args.own:
        return own_build.execute_attest(args, _author, asking.secret)
    if (args.target is None) == (args.taken is None):
        raise UsageError("expected a run or a bundle to rebuild, or --import FILE", hint="see `attest --help`")
    if args.taken is not None:
        return _import(args)
    if args.output is not None:
        output_files.refuse(args.output)
    screen = Screen(sys.stdout if args.format == "text" else sys.stderr)
    made = _bundle(args, screen) if Path(args.target).is_file() else _run(args, screen)
    if args.output is not None:
        output_files.write(args.output, b"".join(item.line + b"\n" for item in made))
    if args.format == "json":
        Screen().json([_plain(item, args.output) for item in made])
    else:
        view.draw_attested(screen, made, args.output)
    return EXIT_DONE if all(item.statement.predicate.claim.same for item in made) else EXIT_WANTING


def _run(args: argparse.Namespace, screen: Screen) -> tuple[Attested, ...]:
    here = Workspace()
    record = RunFiles(here.root).resolve(args.target)
    made = action.attest(here.files, record, _given(args, here, screen))
    return (made if args.output is not None else action.keep(here.files, made),)


def _bundle(args: argparse.Namespace, screen: Screen) -> tuple[Attested, ...]:
    if args.output is None:
        raise UsageError("an attestation of a bundle needs -o FILE: the bundle itself is not changed")
    given = _given(args, Workspace.maybe(), screen)
    if not args.replay and not asking.confirm(f"Rebuilding runs the code in {args.target} on this machine. Go ahead?"):
        raise UsageError("nothing was rebuilt: no consent to run the code of the bundle", hint="give it with --replay")
    with screen.progress("checking the bundle") as update:
        means = workspace.checking_means(progress=update)
        return bundled.attest_bundle(Path(args.target), workspace.bundle_format("ro-crate"), means, given)


def _given(args: argparse.Namespace, here: Workspace | None, screen: Screen) -> Circumstances:
    return Circumstances(
        pen=workspace.pen(here, args.key, asking.secret),
        author=_author(args, here),
        runner=workspace.runner_here(args.runner),
        environment=workspace.environment(),
        notes=args.notes,
        least=args.verdict,
        announce=lambda words: screen.line(words, "quiet"),
    )


def _author(args: argparse.Namespace, here: Workspace | None) -> Author:
    if args.author is not None:
        if not args.author.strip():
            raise UsageError("--author: expected a name, found nothing")
        return Author(name=args.author.strip())
    person = workspace.person(here)
    if person is None:
        raise UsageError("Git does not know who you are", hint="give --author NAME, or `git config --global user.name`")
    return Author(name=person[0], email=person[1])


def _plain(made: Attested, output: Path | None) -> dict[str, object]:
    claim = made.statement.predicate.claim
    return {
        "run": made.run,
        "verdict": claim.verdict,
        "same": claim.same,
        "path": str(output) if output is not None else made.path,
        "key": made.keyid,
        "known": made.known,
        "statement": made.statement,
    }


def _import(args: argparse.Namespace) -> int:
    foreign: Sequence[str] = [
        name for name in ("notes", "verdict", "author", "key", "runner", "output") if getattr(args, name) is not None
    ]
    if foreign or args.replay:
        raise UsageError(f"--import takes what is signed already: it has no use for --{(*foreign, 'replay')[0]}")
    here = Workspace()
    found = action.take_in(here.files, args.taken, workspace.signer())
    if args.format == "json":
        Screen().json([msgspec.to_builtins(item) for item in found])
    else:
        view.draw_imported(Screen(), found)
    return EXIT_DONE
