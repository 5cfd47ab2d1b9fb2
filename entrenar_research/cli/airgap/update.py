"""`airgap update`: bring a pack up to date, writing only what is new."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.actions.airgap import layout, updating
from entrenar_research.cli.airgap import means
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal import airgap as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "The pack has to be one of this study, as its author signed it: every file is checked before it is signed again. "
    "What it holds of older states stays in it. It is whole at every moment, the old one or the new one."
)
EXAMPLES = ("airgap update /media/stick/digits",)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `airgap update`."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the pack")
    means.configure(parser)
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Updates, and says what was written."""
    here = Workspace()
    hermetic = layout.read(args.directory.absolute()).manifest.nix is not None
    found = updating.update(here.files, here.git, args.directory, means.means(args, here, hermetic=hermetic))
    if args.format == "json":
        Screen().json(view.plain_pack(found))
    else:
        view.draw_update(Screen(), args.directory, found)
    return EXIT_WANTING if found.tested is None else EXIT_DONE
