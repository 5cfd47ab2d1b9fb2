"""A quick look at the study: what is up to date, what is not, and why.

Files that were hashed before are recognised by size, time and inode: it is a look, not a check. `verify` reads
and hashes everything again.
"""

from __future__ import annotations

import argparse
import os

import msgspec

from entrenar_research.actions import status as action
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

STYLES = {"up to date": "good", "stale": "doubt", "never run": "quiet", "invalid": "bad"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `status`."""
    parser.add_argument("--format", choices=("text", "json"), default="text")


def execute(args: argparse.Namespace) -> int:
    """Shows how things stand."""
    here = Workspace()
    found = action.status(here.files, here.git, dict(os.environ))
    screen = Screen()
    if args.format == "json":
        screen.line(msgspec.json.encode(found).decode())
        return 0
    head = found.commit[:10] if found.commit else "none yet"
    screen.line(f"{found.title} (commit {head})", "strong")
    rows = [
        [item.name, item.state, str(item.runs), item.seal or "not sealed", "; ".join(item.why)]
        for item in found.experiments
    ]
    styles = [STYLES[item.state] for item in found.experiments]
    if rows:
        screen.table(["experiment", "state", "runs", "sealed as", "why"], rows, styles=styles, right=(2,))
    else:
        screen.line("no experiments yet: `entrenar-research experiment add NAME -- COMMAND` declares one")
    if found.golden:
        screen.line(f"golden traces: {', '.join(found.golden)}")
    if found.changed or found.untracked:
        screen.line(
            f"{len(found.changed)} committed files changed, {found.untracked} files in no commit", "doubt"
        )
    if found.unfinished:
        screen.line(
            f"{found.unfinished} runs are going on or were cut off; the next `run` tidies up", "doubt"
        )
    screen.line(
        "a quick look by size and time of files; `entrenar-research verify` reads everything", "quiet"
    )
    return 0
