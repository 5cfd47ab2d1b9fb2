"""`env lock`: choose the files of the toolchain and write the closure lock."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrenar_research.actions.environments import build_files, locking
from entrenar_research.actions.hermetic import jobs
from entrenar_research.cli.env import means
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, UsageError
from entrenar_research.views.terminal import environments as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace, build_sources

MORE = (
    "Debian packages are chosen by apt and wheels by pip, as they are configured here. The wheels are those of "
    "--requirements, else of the study's pylock.toml, uv.lock or requirements.txt, else what the experiments' last "
    "runs loaded. Pins and hashes in them are obeyed. The lock names files, versions and digests, and no place: with "
    "the same files it is the same, byte for byte."
)
EXAMPLES = ("env lock", "env lock --requirements requirements.txt --into blobs", "env lock --from /media/usb/blobs")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `env lock`."""
    parser.add_argument("--requirements", type=Path, metavar="FILE", help="requirements.txt, pylock.toml or uv.lock")
    parser.add_argument(
        "--no-deps", action="store_true", help="FILE names all there is to be: add nothing that its packages need"
    )
    parser.add_argument(
        "--python",
        metavar="X.Y",
        help=f"which Python (default: that of the lock, of the last run, or {locking.PYTHON})",
    )
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="DIR", help="take packages and wheels from DIR instead of fetching"
    )
    parser.add_argument(
        "--into", type=Path, metavar="DIR", help="keep the files in DIR, under their names (default: the cache)"
    )
    parser.add_argument(
        "--dvc", action="store_true", help=f"keep the files in {locking.DVC_PLACE}, under DVC, to outlive mirrors"
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the lock there instead, and nothing else of the study"
    )
    parser.add_argument(
        "--build-files",
        action="store_true",
        help="only put the files in place that Nix builds by, as this version has them; the lock stays",
    )
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Locks."""
    here, screen = Workspace(), Screen()
    own = ("requirements", "no_deps", "python", "source", "into", "dvc", "output")
    given = [name for name in own if getattr(args, name)]
    if args.build_files and given:
        raise UsageError("--build-files leaves the lock alone, and goes with no other option")
    if args.dvc and (args.into or args.output):
        raise UsageError(f"--dvc keeps the files in {locking.DVC_PLACE}: it excludes --into and --output")
    if args.no_deps and args.requirements is None:
        raise UsageError("--no-deps is said of a file: give it with --requirements FILE")
    if args.build_files:
        done = build_files.refresh(here.root, build_sources(), replace=True)
        if args.format == "json":
            screen.json(done)
        else:
            view.draw_build_files(screen, done)
        return EXIT_DONE
    wishes = locking.Wishes(
        requirements=args.requirements,
        alone=args.no_deps,
        python=args.python,
        source=args.source,
        into=args.into,
        output=args.output,
        with_dvc=args.dvc,
    )
    quiet = args.format == "json"
    able = locking.Means(
        cache=means.cache(),
        build_files=build_sources(),
        announce=(lambda words: None) if quiet else (lambda words: screen.line(words, "quiet")),
    )
    locked = locking.lock(here.files, wishes, able)
    if args.output is None:
        jobs.refresh(here.files, able.announce)
    if quiet:
        screen.json(locked)
    else:
        view.draw_locked(screen, locked)
    return EXIT_DONE
