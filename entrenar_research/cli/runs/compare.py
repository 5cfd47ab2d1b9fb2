"""`runs compare`."""

from __future__ import annotations

import argparse

from entrenar_research.cli.parsing import add_format
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import runs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("runs compare line", "runs compare crdz m3as")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs compare`."""
    parser.add_argument("one", metavar="A", help="a run")
    parser.add_argument("other", metavar="B", nargs="?", help="another run (default: the good run before A)")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Shows two runs side by side."""
    one, other = RunFiles(Workspace().root).pair(args.one, args.other)
    screen = Screen()
    if args.format == "json":
        screen.json([one, other])
    else:
        view.draw_comparison(screen, one, other)
    return 0
