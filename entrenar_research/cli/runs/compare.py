"""`runs compare`."""

from __future__ import annotations

import argparse
import sys

from entrenar_research.cli.parsing import add_format
from entrenar_research.workspace import Workspace

MORE = """\
Shows what differs in parameters, code, inputs, environment and outputs, every metric, and the curves that runs have in
common. The change is the last run's value minus the first one's; better and worse go by the goal that the experiment
declares.
"""
EXAMPLES = ("runs compare line", "runs compare crdz m3as", "runs compare crdz m3as 0b7k --all")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs compare`."""
    parser.add_argument("one", metavar="A", help="a run")
    parser.add_argument("others", metavar="B", nargs="*", help="further runs (default: the good run before A, and A)")
    parser.add_argument("--all", action="store_true", help="also show what is the same")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Shows runs side by side."""
    from entrenar_research.actions.runs import comparison
    from entrenar_research.views.terminal import comparison as view
    from entrenar_research.views.terminal.screen import Screen

    files = Workspace().files
    told, runs = comparison.compare(files, [args.one, *args.others])
    if args.format == "json":
        Screen().json(told)
        return 0
    curves, unread = comparison.common_curves(files.root, runs)
    view.draw(Screen(), told, curves, everything=args.all)
    for words in unread:
        Screen(sys.stderr).line(f"warning: {words}", "doubt")
    return 0
