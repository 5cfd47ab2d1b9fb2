"""`golden ci`: have golden traces checked on every change, by a provider of continuous integration or by Git itself."""

from __future__ import annotations

import argparse
import sys

from entrenar_research import __version__
from entrenar_research.actions.golden import ci as action
from entrenar_research.errors import EXIT_DONE
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

MORE = (
    "Without --write it only shows the file. With it the file is written to its place in the study; one that somebody "
    "else wrote or changed is never overwritten. `hook` is a plain script for Git, `pre-commit` the configuration of "
    "the framework of that name."
)
EXAMPLES = ("golden ci --provider github --write", "golden ci --provider hook --write")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `golden ci`."""
    parser.add_argument("--provider", required=True, choices=action.PROVIDERS, help="whom the file is for")
    parser.add_argument("--write", action="store_true", help="write the file instead of showing it")


def execute(args: argparse.Namespace) -> int:
    """Shows or writes."""
    here = Workspace()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    prepared = action.prepare(args.provider, here.root, here.git, version=__version__, python=python)
    if not args.write:
        sys.stdout.write(prepared.text)
        return EXIT_DONE
    fresh = action.write(prepared)
    Screen().line(f"wrote {prepared.shown}" if fresh else f"{prepared.shown} is up to date", "good")
    return EXIT_DONE
