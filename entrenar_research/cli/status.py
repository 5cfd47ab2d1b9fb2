"""A quick look at the study: what is up to date, what is not, and why.

Files that were hashed before are recognised by size, time and inode: it is a look, not a check. `verify` reads
and hashes everything again.
"""

from __future__ import annotations

import argparse
import os

from entrenar_research.actions import status as action
from entrenar_research.cli.parsing import add_format
from entrenar_research.views.terminal.screen import Screen, counted
from entrenar_research.workspace import Workspace

STYLES = {"up to date": "good", "stale": "doubt", "never run": "quiet", "invalid": "bad"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `status`."""
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Shows how things stand."""
    here = Workspace()
    found = action.status(here.files, here.git, dict(os.environ))
    screen = Screen()
    if args.format == "json":
        screen.json(found)
        return 0
    head = f"commit {found.commit[:10]}" if found.commit else "no commit yet"
    screen.line(f"{found.title} ({head if found.repository else 'no Git repository'})", "strong")
    rows = [
        [item.name, item.state, str(item.runs), item.seal or "not sealed", "; ".join(item.why)]
        for item in found.experiments
    ]
    styles = [STYLES[item.state] for item in found.experiments]
    if rows:
        screen.table(["experiment", "state", "runs", "sealed as", "why"], rows, styles=styles, styled=1, right=(2,))
    else:
        screen.line("no experiments yet: `entrenar-research experiment add NAME -- COMMAND` declares one")
    if found.golden:
        screen.line(f"golden traces: {', '.join(found.golden)}")
    if found.changed or found.untracked:
        words = [f"{counted(len(found.changed), 'committed file')} changed"] if found.changed else []
        words += [f"{counted(found.untracked, 'file')} in no commit"] if found.untracked else []
        screen.line(", ".join(words), "doubt")
    if found.unfinished:
        verb = "is going on or was" if found.unfinished == 1 else "are going on or were"
        screen.line(f"{counted(found.unfinished, 'run')} {verb} cut off; the next `run` tidies up", "doubt")
    screen.line("a quick look by size and time of files; `entrenar-research verify` reads everything", "quiet")
    return 0
