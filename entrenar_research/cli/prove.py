"""Sign what a run is: its result with digests, what went in, what it was made in.

The files are first held against the record. Again it does nothing, unless the proof would state something else by now;
then a line is added that names the one before. `verify` checks all of it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions.proving import prove as action
from entrenar_research.cli import asking
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE
from entrenar_research.store.run_files import RunFiles
from entrenar_research.views.terminal import proofs as view
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

EXAMPLES = ("prove line                the last good run of the experiment line", "prove 3f9k --format json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `prove`."""
    parser.add_argument("run", metavar="RUN", help="a run, or an experiment: then its last good run")
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign with this private key")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Signs and says what was stated."""
    here = Workspace()
    record = RunFiles(here.root).resolve(args.run)
    proven = action.prove(here.files, record, workspace.pen(here, args.key, asking.secret))
    if args.format == "json":
        Screen().json(proven)
    else:
        view.draw_proven(Screen(sys.stdout), proven)
    return EXIT_DONE
