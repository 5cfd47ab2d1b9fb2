"""Look at recorded runs. A run is named by its id, a unique part of it, or an experiment (its last good run)."""

from __future__ import annotations

import argparse

from entrenar_research.cli.parsing import add_format, add_verb, add_verbs
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import runs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs`."""
    verbs = add_verbs(parser)
    listing = add_verb(verbs, "list", "every run, newest last")
    listing.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="only those of one experiment")
    show = add_verb(verbs, "show", "one run in full")
    show.add_argument("run", metavar="RUN", help="its id, a unique part of it, or an experiment")
    compare = add_verb(
        verbs,
        "compare",
        "two runs: what differs in their recipes and metrics",
        examples=("runs compare line", "runs compare crdz m3as"),
    )
    compare.add_argument("one", metavar="A", help="a run")
    compare.add_argument("other", metavar="B", nargs="?", help="another run (default: the good run before A)")
    for verb in (listing, show, compare):
        add_format(verb)


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
            screen.json(records)
        else:
            view.draw_list(screen, records)
    elif args.verb == "show":
        record = runs.resolve(args.run)
        if args.format == "json":
            screen.json(record)
        else:
            view.draw_record(screen, record)
    else:
        one, other = runs.pair(args.one, args.other)
        if args.format == "json":
            screen.json([one, other])
        else:
            view.draw_comparison(screen, one, other)
    return 0
