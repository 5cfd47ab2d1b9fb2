"""`env show`: what is in the closure lock."""

from __future__ import annotations

import argparse

from entrenar_research.actions.environments import looking
from entrenar_research.cli.env import means
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE
from entrenar_research.store import closure_file
from entrenar_research.views.terminal import environments as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("env show", "env show --format json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `env show`."""
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Shows."""
    here, screen = Workspace(), Screen()
    shown = looking.show(closure_file.read(here.root), means.cache(), means.store(here))
    if args.format == "json":
        screen.json(shown)
    else:
        view.draw_shown(screen, shown)
    return EXIT_DONE
