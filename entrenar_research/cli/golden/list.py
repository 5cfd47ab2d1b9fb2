"""`golden list`: the golden traces of this study."""

from __future__ import annotations

import argparse

from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden list`."""
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Lists."""
    golden = GoldenFiles(Workspace().root)
    records = [golden.load(name) for name in golden.names()]
    screen = Screen()
    if args.format == "json":
        screen.json(records)
    elif not records:
        screen.line("no golden traces yet: `entrenar-research golden promote RUN --as NAME` makes one")
    else:
        rows = [[item.name, item.experiment, str(item.total), item.run, item.trace_id[:19]] for item in records]
        screen.table(["name", "experiment", "calls", "run", "trace"], rows, right=(2,))
    return EXIT_DONE
