"""`golden diff`: where two traces part."""

from __future__ import annotations

import argparse

from entrenar_research.actions import golden as action
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = "Exit status 1 if they differ: the first divergence with what stands before it, and the calls in number."
EXAMPLES = ("golden diff line line", "golden diff before after")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden diff`."""
    parser.add_argument("one", metavar="A", help="a golden trace, a run, or an experiment (its last good run)")
    parser.add_argument("other", metavar="B", help="as A")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Compares."""
    found = action.difference(Workspace().files, args.one, args.other)
    screen = Screen()
    same = found.comparison.same
    if args.format == "json":
        screen.json(found)
    else:
        screen.line(f"{found.other}: {'same as' if same else 'differs from'} {found.one}", "good" if same else "bad")
        for line in found.words.splitlines():
            screen.line(f"  {line}")
        if found.caution is not None:
            screen.line(f"note: {found.caution}", "doubt")
    return EXIT_DONE if same else EXIT_WANTING
