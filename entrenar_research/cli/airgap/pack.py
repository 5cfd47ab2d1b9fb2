"""`airgap pack`: write a study with all that it takes to repeat it into a directory, and try it."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.actions.airgap import packing
from entrenar_research.cli.airgap import means
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal import airgap as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "The pack holds the last commit with its history, data and results of the experiments, and a signed binary cache "
    "with toolchain, inputs and results, so that Nix can build them anew without network. Before it is put in place "
    "it is unpacked in a network namespace without interfaces, into an empty store, and one experiment is rebuilt."
)
EXAMPLES = ("airgap pack -o /media/stick/digits", "airgap pack training_loop -o ../pack --without-nix")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `airgap pack`."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments (default: all that were run)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the directory to write")
    parser.add_argument("--without-nix", action="store_true", help="no binary cache, so no hermetic runs there")
    means.configure(parser)
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Packs, and says what was packed."""
    here = Workspace()
    how = means.means(args, here, hermetic=not args.without_nix)
    found = packing.pack(here.files, here.git, args.names, args.output, how)
    if args.format == "json":
        Screen().json(view.plain_pack(found))
    else:
        view.draw_pack(Screen(), args.output, found)
    return EXIT_WANTING if found.tested is None else EXIT_DONE
