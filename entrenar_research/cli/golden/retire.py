"""`golden retire`: remove a golden trace and note why."""

from __future__ import annotations

import argparse

from entrenar_research import workspace
from entrenar_research.actions import golden as action
from entrenar_research.errors import EXIT_DONE
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "golden_traces/RETIRED.md gets a line with the reason; the seals of the trace stay, and Git keeps its files. One "
    "that is not committed as it is would be lost: that needs --force."
)
EXAMPLES = ('golden retire line --reason "the loader was rewritten"',)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden retire`."""
    parser.add_argument("name", metavar="NAME", help="the golden trace")
    parser.add_argument("--reason", required=True, metavar="WORDS", help="why it goes")
    parser.add_argument("--force", action="store_true", help="also if Git does not hold it")


def execute(args: argparse.Namespace) -> int:
    """Retires."""
    here = Workspace()
    found = action.retire(here.files, here.git, args.name, args.reason, now=workspace.now(), force=args.force)
    seals = f"; still sealed as {', '.join(found.seals)}" if found.seals else ""
    screen = Screen()
    screen.line(f"golden trace {found.record.name} retired: {found.reason}{seals}", "good")
    screen.line('commit it: git add golden_traces && git commit -m "..." -- golden_traces')
    return EXIT_DONE
