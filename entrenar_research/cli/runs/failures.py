"""`runs failures`."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.actions.runs import failing
from entrenar_research.errors import EXIT_DONE
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.study_files import StudyFiles, find_root
from entrenar_research.views.terminal import failures as view
from entrenar_research.views.terminal.screen import Screen

MORE = (
    "Without a run: how often each code, or category, occurs among the runs that failed or were lost. With a run: what "
    "happened, what to do, its stack, and the runs that failed alike. Codes come from exception types, exit statuses, "
    "signals and the kernel, never from words in a message."
)
EXAMPLES = ("runs failures", "runs failures line --by category", "runs failures --format csv", "runs failures crdz")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `runs failures`."""
    parser.add_argument("what", nargs="?", metavar="EXPERIMENT|RUN", help="only those of one experiment, or one run")
    parser.add_argument("--by", choices=("code", "category"), default="code", help="what to count (default: code)")
    parser.add_argument(
        "--format", choices=("text", "json", "csv"), default="text",
        help="text for people (default), json or csv for programs; csv without a run only",
    )  # fmt: skip


def execute(args: argparse.Namespace) -> int:
    """Shows how failures are distributed, or explains one."""
    root = find_root(Path.cwd())
    screen = Screen()
    if args.what is not None and not _is_experiment(root, args.what):
        explained = failing.explain(root, args.what)
        if args.format == "text":
            view.draw_failure(screen, explained)
        else:
            screen.json(explained)
        return EXIT_DONE
    found = failing.distribution(root, args.what, args.by)
    if args.format == "json":
        screen.json(found)
    elif args.format == "csv":
        view.write_csv(screen, found.rows)
    else:
        view.draw_distribution(screen, found, args.what or "all experiments")
    return EXIT_DONE


def _is_experiment(root: Path, name: str) -> bool:
    if name in StudyFiles(root).experiment_names():
        return True
    catalogue = Catalogue(root)
    try:
        catalogue.refresh()
        return name in catalogue.experiments()
    finally:
        catalogue.close()
