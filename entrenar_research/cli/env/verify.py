"""`env verify`: whether the closure lock, its files and what Nix builds by agree."""

from __future__ import annotations

import argparse

from entrenar_research.actions.environments import looking
from entrenar_research.cli.env import means
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.views.terminal import environments as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace, build_sources

MORE = (
    "Every copy of a file in the cache, in nix/blobs (or in DIR instead of both) and in the store is read. "
    "Exit status 1 if one is another than the lock says, or a file is nowhere."
)
EXAMPLES = ("env verify", "env verify --from /media/usb/blobs --format json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `env verify`."""
    parser.add_argument("--from", dest="source", metavar="DIR", help="look in DIR instead of the cache and nix/blobs")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Verifies."""
    here, screen = Workspace(), Screen()
    with screen.progress("files") as progress:
        places = means.sources(here, args.source)
        found = looking.verify(here.root, places, means.store(here), build_sources(), progress)
    if args.format == "json":
        screen.json(found)
    else:
        view.draw_findings(screen, found)
    return EXIT_DONE if all(item.state == "good" for item in found) else EXIT_WANTING
