"""`runs show`."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, ResearchError
from entrenar_research.store.catalogue import reading
from entrenar_research.store.logged import points
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import record as view
from entrenar_research.views.terminal.record import Points
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = "Of a run that is under way it shows what was logged so far; `runs watch` follows it."
EXAMPLES = ("runs show line", "runs show m3as --format json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs show`."""
    parser.add_argument("run", metavar="RUN", help="its id, a unique part of it, or an experiment")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Shows one run."""
    root = Workspace().root
    record, shown = reading.as_it_is(root, RunFiles(root).resolve(args.run).id)
    screen = Screen()
    if args.format == "json":
        screen.json(record)
    else:
        view.draw(screen, record, shown, lambda key: _points(root / "runs" / record.id, key))
    return EXIT_DONE


def _points(directory: Path, key: str) -> Points | None:
    try:
        found = points.points(directory, key)
    except ResearchError:  # sealed as Parquet, which cannot be read here: the summary has to do
        return None
    return found.steps, found.values
