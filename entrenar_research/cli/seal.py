"""Seal a version: commit with DVC and Git what belongs to an experiment, golden trace or sweep, and sign a tag.

The key is the one of your Git configuration (gpg.format=ssh, user.signingkey) or the one of `keys new`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions import keys
from entrenar_research.actions import seal as action
from entrenar_research.errors import UsageError
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace

_ACTS = {"experiment": action.seal_experiment, "golden": action.seal_golden, "sweep": action.seal_sweep}
EXAMPLES = ('seal experiment line -m "As submitted"', 'seal golden line -m "As submitted"')


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `seal`."""
    parser.add_argument("kind", metavar="KIND", choices=tuple(_ACTS), help="experiment, golden or sweep")
    parser.add_argument("name", metavar="NAME", help="the experiment, golden trace or sweep")
    parser.add_argument(
        "-m", "--message", required=True, metavar="TEXT", help="what this version is; it becomes the tag's message"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="sign with this private key")


def execute(args: argparse.Namespace) -> int:
    """Seals and says which tag was made."""
    here = Workspace()
    if not args.message.strip():
        raise UsageError("-m: expected a message, found nothing")
    path, _ = keys.locate(here.git, workspace.key_path(), args.key)
    keys.outside(path, here.files)
    workspace.signer().read(path)
    sealed = _ACTS[args.kind](here.files, here.git, args.name, args.message, path)
    screen = Screen()
    screen.line(
        f"{sealed.tag} (commit {sealed.commit[:10]}) signed by {sealed.signer} with {sealed.fingerprint}",
        "good",
    )
    if sealed.left_out:
        shown = ", ".join(sealed.left_out[:3])
        more = f" and {len(sealed.left_out) - 3} more" if len(sealed.left_out) > 3 else ""
        Screen(sys.stderr).line(f"note: not part of it, and in no commit: {shown}{more}", "doubt")
    return 0
