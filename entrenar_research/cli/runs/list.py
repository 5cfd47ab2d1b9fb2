"""`runs list`."""

from __future__ import annotations

import argparse

from entrenar_research.cli.parsing import add_format
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import runs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs list`."""
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="only those of one experiment")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Lists runs, newest last."""
    here = Workspace()
    if args.experiment is not None:
        here.files.experiment(args.experiment)
    records = RunFiles(here.root).records(args.experiment)
    screen = Screen()
    if args.format == "json":
        screen.json(records)
    else:
        view.draw_list(screen, records)
    return 0
