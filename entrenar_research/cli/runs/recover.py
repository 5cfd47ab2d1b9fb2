"""`runs recover`."""

from __future__ import annotations

import argparse

from entrenar_research import workspace
from entrenar_research.actions.runs import recovery
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "Seals what a crash left open, and what scripts finished without the tool: every logged point goes into Parquet, "
    "the record is completed, the directory is closed with SHA256SUMS. A run that a process still writes is left "
    "alone. It may be killed, or called twice at once: the next call goes on."
)
EXAMPLES = ("runs recover", "runs recover --dry-run", "runs recover crdz")
_STYLES = {"completed": "good", "lost": "doubt", "failed": "bad", "cancelled": "doubt"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs recover`."""
    parser.add_argument(
        "runs",
        nargs="*",
        metavar="RUN",
        help="only these, also if another machine began them (default: every open one)",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Recovers runs and shows what was done."""
    found = recovery.recover(Workspace().files, args.runs, now=workspace.now(), dry=args.dry_run)
    screen = Screen()
    if args.format == "json":
        screen.json(found)
    else:
        _draw(screen, found, dry=args.dry_run)
    return EXIT_WANTING if found.failed else EXIT_DONE


def _draw(screen: Screen, found: recovery.Recovery, *, dry: bool) -> None:
    for words in found.notes:
        screen.line(words, "doubt")
    if not found.runs:
        screen.line("no run is open: there is nothing to recover")
        return
    rows = [[item.run, item.was, item.now or "-", str(item.points), str(len(item.damaged))] for item in found.runs]
    styles = [_STYLES.get(item.now or "") for item in found.runs]
    columns = ["run", "was", "would be" if dry else "now", "points", "damaged"]
    screen.table(columns, rows, styles=styles, styled=2, right=(3, 4))
    for item in found.runs:
        if item.reason is not None:
            screen.line(f"{item.run}: left alone: {item.reason}", "doubt")
        for words in item.damaged:
            screen.line(f"{item.run}: damaged: {words}", "bad")
