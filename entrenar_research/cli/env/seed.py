"""`env seed`: put the files of the lock, and the data of the experiments, into the Nix store."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.actions.environments import seeding
from entrenar_research.cli.env import means
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, EXIT_WANTING
from entrenar_research.net.blobs import VARIABLE
from entrenar_research.store import closure_file
from entrenar_research.tools import nix
from entrenar_research.views.terminal import environments as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "Every file is held against its digest first; one that is another is not used. Without --from the cache and "
    "nix/blobs are looked at and nothing is fetched. `mirror` fetches what is missing there from the address in "
    f"{VARIABLE}, `packages` from where apt and pip get theirs, into the cache. Exit status 1 if something is missing."
)
EXAMPLES = ("env seed", "env seed --from /media/usb/blobs", "env seed --from mirror", "env seed --self")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `env seed`."""
    parser.add_argument(
        "--from", dest="source", metavar="WHERE", help="a directory, or one of: cache, mirror, packages"
    )
    parser.add_argument(
        "--self", dest="own", action="store_true", help="the files that this tool is built from, in its own repository"
    )
    parser.add_argument(
        "--cache-only", action="store_true", help="only see that the files are at hand; Nix is not needed"
    )
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Seeds."""
    here, screen = Workspace(), Screen()
    closure = closure_file.read_own(here.root) if args.own else closure_file.read(here.root)
    quiet = args.format == "json"
    with screen.progress("files") as progress:
        announce = (lambda words: None) if quiet else (lambda words: screen.line(words, "quiet"))
        places = means.sources(here, args.source)
        fetcher = means.gathering(closure, args.source, announce, progress)

        def locate() -> tuple[dict[str, Path], tuple[seeding.Missing, ...]]:
            return seeding.gather(closure, means.cache(), places, fetcher)

        if args.cache_only:
            found, missing = locate()
            done = seeding.Seeded(present=tuple(sorted(found)), missing=missing)
        else:
            nix.require()
            store, scratch = means.store(here), means.cache().root
            done = seeding.seed(closure, store, scratch, locate)
            data = () if args.own else closure_file.data(here.root)
            done = seeding.together(done, seeding.seed_data(data, here.root, store))
    if quiet:
        screen.json(done)
    else:
        view.draw_seeded(screen, done, stored=not args.cache_only)
    return EXIT_WANTING if done.missing else EXIT_DONE
