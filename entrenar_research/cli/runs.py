"""Look at recorded runs. A run is named by its id, a unique part of it, or an experiment (its last good run)."""

from __future__ import annotations

import argparse

import msgspec

from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import runs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs`."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|show|compare")
    listing = verbs.add_parser("list", help="every run, newest last")
    listing.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="only those of one experiment")
    show = verbs.add_parser("show", help="one run in full")
    show.add_argument("run", metavar="RUN")
    compare = verbs.add_parser("compare", help="two runs: what differs in their recipes and metrics")
    compare.add_argument("one", metavar="A")
    compare.add_argument(
        "other", metavar="B", nargs="?", help="default: A is compared with the good run before it"
    )
    for verb in (listing, show, compare):
        verb.add_argument("--format", choices=("text", "json"), default="text")


def execute(args: argparse.Namespace) -> int:
    """Shows what was asked for."""
    here = Workspace()
    runs = RunFiles(here.root)
    screen = Screen()
    if args.verb == "list":
        if args.experiment is not None:
            here.files.experiment(args.experiment)
        records = runs.records(args.experiment)
        if args.format == "json":
            screen.line(msgspec.json.encode(records).decode())
        else:
            view.draw_list(screen, records)
    elif args.verb == "show":
        record = runs.resolve(args.run)
        if args.format == "json":
            screen.line(msgspec.json.encode(record).decode())
        else:
            view.draw_record(screen, record)
    else:
        one, other = runs.pair(args.one, args.other)
        if args.format == "json":
            screen.line(msgspec.json.encode([one, other]).decode())
        else:
            view.draw_comparison(screen, one, other)
    return 0
