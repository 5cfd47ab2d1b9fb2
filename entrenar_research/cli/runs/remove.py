"""`runs remove`."""

from __future__ import annotations

import argparse

from entrenar_research.actions.runs import removal
from entrenar_research.cli import asking
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING, UsageError
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "A run that is going on is never removed. One that a golden trace, a seal, the result of its experiment or another "
    "run's lineage stands on is removed with --force only. What Git has of a run stays in its history."
)
EXAMPLES = ("runs remove crdz", "runs remove crdz m3as --yes")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs remove`."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="its id, or a unique part of it")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--force", action="store_true", help="also if something stands on it")


def execute(args: argparse.Namespace) -> int:
    """Removes runs."""
    here = Workspace()
    found = removal.candidates(here.files, here.git, args.runs, force=args.force)
    screen = Screen()
    for item in found:
        words = f"{item.run}  {item.status or 'its record cannot be read'}"
        screen.line(
            f"{words}  ({'; '.join(item.held_by)})" if item.held_by else words, "doubt" if item.held_by else None
        )
    count = f"{len(found)} run{'s' if len(found) > 1 else ''}"
    if not args.yes:
        if not asking.interactive():
            raise UsageError(f"{count} would be removed", hint="give --yes: there is nobody here to ask")
        if not asking.confirm(f"remove {count}?"):
            screen.line("nothing was removed")
            return EXIT_WANTING
    removal.remove(here.files, [item.run for item in found])
    screen.line(f"removed {count}", "good")
    return EXIT_DONE
