"""Check a study or a bundle: every file is read and hashed again, the history and signatures are checked, then every
experiment is replayed in a scratch copy and its outputs and metrics are judged.

verdicts: identical (bytes) > equal (same content) > within (declared tolerance) > different; broken is damage;
unknown was not checked. Exit code 0 only if nothing is different or broken.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from entrenar_research import workspace
from entrenar_research.cli import asking
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.store import study_files
from entrenar_research.views.terminal import reports as view
from entrenar_research.views.terminal.screen import Screen


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `verify`."""
    parser.add_argument(
        "target", nargs="?", metavar="STUDY|BUNDLE", help="a study, or a .crate.zip (default: this study)"
    )
    parser.add_argument("--no-replay", action="store_true", help="check digests and signatures only")
    parser.add_argument("--replay", action="store_true", help="agree to run the code of a bundle")
    parser.add_argument(
        "--allowed-signers", type=Path, metavar="FILE", help="trust these signers, not the study's own list"
    )
    parser.add_argument(
        "--all", action="store_true", help="list every finding, not a summary of the good ones"
    )
    parser.add_argument("--format", choices=("text", "json"), default="text")


def execute(args: argparse.Namespace) -> int:
    """Verifies and draws the report."""
    screen = Screen(sys.stdout if args.format == "text" else sys.stderr)
    if args.allowed_signers is not None and not args.allowed_signers.is_file():
        raise UsageError(f"{args.allowed_signers}: no such file")
    if args.replay and args.no_replay:
        raise UsageError("--replay and --no-replay exclude each other")
    target = Path(args.target) if args.target else study_files.find_root(Path.cwd())
    with screen.progress("verifying") as update:
        report = workspace.verify(
            target,
            replay=not args.no_replay,
            consent=lambda: args.replay or _consent(target),
            trusted=args.allowed_signers.resolve() if args.allowed_signers else None,
            progress=update,
        )
    if args.format == "json":
        sys.stdout.write(msgspec.json.encode(view.plain(report)).decode() + "\n")
    else:
        view.draw_report(screen, report, every=args.all)
    return EXIT_WANTING if report.wanting else EXIT_DONE


def _consent(target: Path) -> bool:
    return asking.confirm(f"Replaying runs the code in {target.name} on this machine. Go ahead?")
