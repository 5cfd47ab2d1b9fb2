"""`runs list`. Ten thousand runs are listed in less time than a library for tables takes to load: import little."""

# ruff: noqa: PTH109,PTH113 - pathlib costs milliseconds

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Iterator

from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import EXIT_DONE, UsageError
from entrenar_research.store import study_root
from entrenar_research.store.catalogue.catalogue import Catalogue, Progress
from entrenar_research.store.catalogue.filter import Request
from entrenar_research.views.terminal import listing as view
from entrenar_research.views.terminal.screen import Screen

STATUSES = ("pending", "running", "completed", "failed", "cancelled", "lost", "recovered", "damaged")
MORE = (
    "Runs come oldest first, the newest at the end; --limit keeps the newest, or with --sort the first of that order. "
    "Columns are run, experiment, status, took, started, ended, tag, sweep, trial, seed, failure, exit, commit, "
    "recipe, result, points, warnings, runner, and params.NAME and metrics.NAME (its last value; NAME.lowest and "
    "NAME.highest too). NAME alone will do where it is clear. No value comes last in every order, NaN before it."
)
EXAMPLES = (
    "runs list line --sort loss --limit 10",
    "runs list --where 'loss<0.5' --where 'params.rate=0.1'",
    "runs list --where 'started>=2026-11-01' --where 'status!=failed'",
    "runs list --columns run,status,params.rate,metrics.loss --format csv",
)
_SLOW = 500


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs list`."""
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="only those of one experiment")
    parser.add_argument(
        "--where", action="append", default=[], metavar="EXPR",
        help="only those of which this is true: NAME, one of = != < <= > >= ~ (contains) !~, and a value; repeat "
        "for each",
    )  # fmt: skip
    parser.add_argument("--status", choices=STATUSES, metavar="S", help=f"only those: {', '.join(STATUSES)}")
    parser.add_argument("--tag", action="append", default=[], metavar="T", help="only those with this tag")
    parser.add_argument("--sort", metavar="COLUMN[:asc|desc]", help="in this order")
    parser.add_argument("--columns", metavar="A,B,C", help="these columns (default: those that say most)")
    parser.add_argument("--limit", type=int, metavar="N", help="no more than N")
    parser.add_argument(
        "--format", choices=("text", "table", "json", "csv"),
        help="text (default in a pipe), table (default on a terminal), json or csv for programs",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    """Lists runs."""
    if args.limit is not None and args.limit < 1:
        raise UsageError(f"--limit {args.limit}: expected a number from 1")
    root = study_root.find(os.getcwd())
    screen, format = Screen(), args.format
    if format is None:
        format = "table" if screen.terminal else "text"
    request = Request(
        experiment=args.experiment, status=args.status, tags=args.tag, where=args.where, sort=args.sort,
        columns=None if args.columns is None else [name.strip() for name in args.columns.split(",") if name.strip()],
        limit=args.limit,
    )  # fmt: skip
    with contextlib.closing(Catalogue(root)) as catalogue, _without_collecting():
        with _progress() as progress:
            catalogue.refresh(progress)
        _check_experiment(catalogue, root, args.experiment)
        _show(screen, catalogue, request, format)
    return EXIT_DONE


def _show(screen: Screen, catalogue: Catalogue, request: Request, format: str) -> None:
    listing = catalogue.select(request)
    if format == "json":
        if request.columns is None:
            view.write_runs_json(screen, catalogue.whole(listing.ids))
        else:
            view.write_json(screen, listing.columns, listing.rows)
    elif format == "csv":
        if request.columns is None:
            listing = catalogue.widened(listing)
        view.write_csv(screen, listing.columns, listing.rows)
    elif not listing.ids:
        narrowed = request.experiment or request.status or request.tags or request.where
        screen.line("no run fits" if narrowed else "no runs yet: `entrenar-research run NAME` makes one")
    elif format == "table":
        view.draw_table(screen, listing, view.terminal_columns(screen))
    else:
        view.draw_text(screen, listing)
    if screen.terminal and format in ("text", "table"):
        view.draw_count(screen, listing)
    screen.stream.flush()
    view.draw_notes(Screen(sys.stderr), listing, *catalogue.cut_off())


def _check_experiment(catalogue: Catalogue, root: str, name: str | None) -> None:
    """Refuses an experiment that is neither declared nor has any run."""
    if name is None or os.path.isfile(os.path.join(root, "experiments", name, "experiment.yaml")):
        return
    known = catalogue.experiments()
    if name in known:
        return
    with contextlib.suppress(OSError), os.scandir(os.path.join(root, "experiments")) as entries:
        known += [entry.name for entry in entries if os.path.isfile(f"{entry.path}/experiment.yaml")]
    remedy = "declare one with `entrenar-research experiment add NAME -- COMMAND`"
    raise suggest.unknown("experiment", name, sorted(set(known)), remedy=remedy)


@contextlib.contextmanager
def _without_collecting() -> Iterator[None]:
    """Without looking for garbage: what is made for a list is needed until it is printed."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A progress bar on standard error, once it is clear that many runs have to be read."""
    with contextlib.ExitStack() as stack:
        updates: list[Progress] = []

        def update(done: int, total: int) -> None:
            if not updates and total >= _SLOW:
                updates.append(stack.enter_context(Screen(sys.stderr).progress("reading runs")))
            for bar in updates:
                bar(done, total)

        yield update
