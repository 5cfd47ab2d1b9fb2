"""`golden show`: one golden trace."""

from __future__ import annotations

import argparse

from entrenar_research.cli.parsing import add_format
from entrenar_research.core.traces import figures
from entrenar_research.core.traces import summary as trace_summary
from entrenar_research.errors import EXIT_DONE
from entrenar_research.store import files
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.views.terminal import golden as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("golden show line",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden show`."""
    parser.add_argument("name", metavar="NAME", help="the golden trace")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Shows."""
    golden = GoldenFiles(Workspace().root)
    record = golden.load(args.name)
    golden.refuse_missing(args.name, golden.document(args.name), golden.summary(args.name))
    shown = f"{golden.relative(args.name)}/{golden.summary(args.name).name}"
    table = figures.table_of(files.read_text(golden.summary(args.name), shown=shown))
    screen = Screen()
    if args.format == "json":
        screen.json(record)
    else:
        view.draw_record(screen, record, trace_summary.parse_summary(table, shown))
    return EXIT_DONE
