"""`env diff`: what changed between two closure locks."""

from __future__ import annotations

import argparse

from entrenar_research.actions.environments import looking
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal import environments as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = "Exit status 1 if they differ."
EXAMPLES = ("env diff HEAD", "env diff v1 v2", "env diff old.lock.json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `env diff`."""
    parser.add_argument("old", metavar="OLD", help="a lock's file, or a revision of the study")
    parser.add_argument("new", metavar="NEW", nargs="?", help="as OLD (default: the lock as it is now)")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Compares."""
    here, screen = Workspace(), Screen()
    found = looking.differences(here.root, args.old, args.new)
    if args.format == "json":
        screen.json(found)
    else:
        view.draw_changes(screen, found)
    return EXIT_WANTING if found else EXIT_DONE
