"""Check a study or a bundle: read and hash every file, check history and signatures, replay every experiment.

Replays happen in a scratch copy; outputs and metrics are judged against the record. Verdicts: identical (bytes) >
equal (same content) > within (declared tolerance) > different; broken is damage; unknown was not checked.

The exit code is 0 only if nothing is different or broken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.cli import asking
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.store import study_files
from entrenar_research.views.terminal import reports as view
from entrenar_research.views.terminal.screen import Screen

EXAMPLES = (
    "verify                            this study, with a replay of every experiment",
    "verify study.crate.zip --replay   a bundle that somebody handed to you",
    "verify --rebuild                  this study, every experiment built anew by Nix",
    "verify --no-replay --all          digests and signatures only, every finding",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `verify`."""
    parser.add_argument(
        "target", nargs="?", metavar="STUDY|BUNDLE", help="a study, or a .crate.zip (default: this study)"
    )
    parser.add_argument("--no-replay", action="store_true", help="check digests and signatures only")
    parser.add_argument(
        "--replay", action="store_true", help="agree to run the code of a bundle; without it you are asked"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="replay hermetically: build every experiment by Nix, from the lock alone"
    )
    parser.add_argument(
        "--allowed-signers", type=Path, metavar="FILE", help="trust these signers, not the study's own list"
    )
    parser.add_argument("--all", action="store_true", help="list every finding, not a summary of the good ones")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Verifies and draws the report."""
    screen = Screen(sys.stdout if args.format == "text" else sys.stderr)
    if args.allowed_signers is not None and not args.allowed_signers.is_file():
        raise UsageError(f"{args.allowed_signers}: no such file")
    if args.replay and args.no_replay:
        raise UsageError("--replay and --no-replay exclude each other")
    if args.rebuild and args.no_replay:
        raise UsageError("--rebuild and --no-replay exclude each other")
    target = Path(args.target) if args.target else study_files.find_root(Path.cwd())
    with screen.progress("verifying") as update:
        report = workspace.verify(
            target,
            replay=not args.no_replay,
            rebuild=args.rebuild,
            consent=lambda: args.replay or _consent(screen, target),
            trusted=args.allowed_signers.resolve() if args.allowed_signers else None,
            progress=update,
        )
    if args.format == "json":
        Screen().json(view.plain(report))
    else:
        view.draw_report(screen, report, every=args.all)
    return EXIT_WANTING if report.wanting else EXIT_DONE


def _consent(screen: Screen, target: Path) -> bool:
    with screen.paused():
        return asking.confirm(f"Replaying runs the code in {target.name} on this machine. Go ahead?")
