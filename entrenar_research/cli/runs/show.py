"""`runs show`."""

from __future__ import annotations

import argparse

from entrenar_research.cli.parsing import add_format
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import runs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs show`."""
    parser.add_argument("run", metavar="RUN", help="its id, a unique part of it, or an experiment")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Shows one run."""
    record = RunFiles(Workspace().root).resolve(args.run)
    screen = Screen()
    if args.format == "json":
        screen.json(record)
    else:
        view.draw_record(screen, record)
    return 0
