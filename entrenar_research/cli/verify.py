"""Check a study or a bundle: every file is read and hashed again, the history and signatures are checked, then every
experiment is replayed in a scratch copy and its outputs and metrics are judged.

verdicts: identical (bytes) > equal (same content) > within (declared tolerance) > different; broken is damage;
unknown was not checked. Exit code 0 only if nothing is different or broken.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from entrenar_research import workspace
from entrenar_research.actions import verify as action
from entrenar_research.cli import asking
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.models.verdict import Report
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
    with screen.progress("verifying") as update:
        means = action.Means(
            runner=workspace.runner("host"),
            environment=dict(os.environ),
            trusted=args.allowed_signers.resolve() if args.allowed_signers else None,
            replay=not args.no_replay,
            progress=update,
        )
        report = _verify(args, means)
    if args.format == "json":
        sys.stdout.write(msgspec.json.encode(view.plain(report)).decode() + "\n")
    else:
        view.draw_report(screen, report, every=args.all)
    return EXIT_WANTING if report.wanting else EXIT_DONE


def _verify(args: argparse.Namespace, means: action.Means) -> Report:
    target = Path(args.target) if args.target else study_files.find_root(Path.cwd())
    if not target.exists():
        raise UsageError(f"{target}: no such study or bundle")
    if target.is_dir() and not (target / ".git").exists() and (target / action.METADATA).is_file():
        means = msgspec.structs.replace(means, consent=lambda: _consent(args.replay, target))
        return action.verify_unpacked(target, workspace.inspect_unpacked(target), means)
    if target.is_dir():
        return action.verify_study(study_files.find_root(target), means)
    means = msgspec.structs.replace(means, consent=lambda: _consent(args.replay, target))
    return action.verify_bundle(target, workspace.bundle_format("ro-crate"), means)


def _consent(given: bool, target: Path) -> bool:
    return given or asking.confirm(f"Replaying runs the code in {target.name} on this machine. Go ahead?")
