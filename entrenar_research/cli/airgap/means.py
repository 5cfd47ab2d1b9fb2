"""What `airgap pack` and `airgap update` work with, and how they say what they do."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from entrenar_research import workspace
from entrenar_research.actions import keys
from entrenar_research.actions.airgap import packing
from entrenar_research.tools import nix
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.workspace import Workspace


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options that both have."""
    parser.add_argument("--key", type=Path, metavar="FILE", help="the key to sign with (default: as for seals)")
    parser.add_argument(
        "--nix-key",
        type=Path,
        metavar="FILE",
        help="Nix's secret key for the binary cache (default: one is made for the study, beside the signing key)",
    )
    parser.add_argument("--no-test", action="store_true", help="do not try the pack")


def means(args: argparse.Namespace, here: Workspace, *, hermetic: bool) -> packing.Means:
    """What a pack of this study is made with."""
    place, _ = keys.locate(here.git, workspace.key_path(), args.key)
    beside = workspace.key_path().parent / "nix" / f"{packing.directory_name(here.files)}.secret"
    return packing.Means(
        tool=workspace.TOOL,
        now=workspace.now(),
        signer=workspace.signer(),
        key=place,
        nix=nix.Nix(here.files.state / "nix", nix.default_store(os.environ)) if hermetic else None,
        nix_key=args.nix_key or beside,
        test=not args.no_test,
        step=steps(),
    )


def steps() -> Callable[[str], None]:
    """Tells a person on a terminal what is being done; nothing elsewhere."""
    screen = Screen(sys.stderr)
    if not screen.terminal:
        return lambda words: None
    return lambda words: screen.line(f"{words} ...", "quiet")
