"""`airgap unpack`: check a pack and make a study of it, or bring one up to date."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from entrenar_research.actions.airgap import signing, unpacking
from entrenar_research.actions.airgap.layout import Pack
from entrenar_research.cli import asking
from entrenar_research.cli.airgap import means
from entrenar_research.cli.parsing import add_format
from entrenar_research.errors import EXIT_DONE, UsageError
from entrenar_research.tools import nix
from entrenar_research.views.terminal import airgap as view
from entrenar_research.views.terminal.screen import Screen

MORE = (
    "First everything is checked: who signed the pack, the digest of every file, and, as they go into the Nix store, "
    "the signatures of the binary cache. The study is put in place when it is whole. A study that is there already is "
    "moved forward, if nothing that was done in it gets lost; it trusts the keys that it lists."
)
EXAMPLES = (
    "airgap unpack /media/stick/digits --trusted signers",
    "airgap unpack /media/stick/digits -o digits --yes",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `airgap unpack`."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="the pack")
    parser.add_argument("-o", "--output", type=Path, metavar="STUDY", help="where to (default: its name, here)")
    parser.add_argument(
        "--trusted", type=Path, metavar="FILE", help="whose packs to take: a list as ssh-keygen(1) describes it"
    )
    parser.add_argument("--yes", action="store_true", help="take it whoever signed it, without being asked")
    parser.add_argument("--without-nix", action="store_true", help="leave the binary cache, so no hermetic runs")
    add_format(parser)


def execute(args: argparse.Namespace) -> int:
    """Unpacks, and says what to do next."""
    if args.trusted is not None and not args.trusted.is_file():
        raise UsageError(f"{args.trusted}: no such file; expected a list of keys that you trust")
    store = nix.default_store(os.environ)
    how = unpacking.Means(
        trust=signing.Trust(
            signers=args.trusted.absolute() if args.trusted else None,
            consent=lambda pack, fingerprint: args.yes or _consent(pack, fingerprint),
        ),
        store=store,
        hermetic=not args.without_nix,
        step=means.steps(),
    )
    found = unpacking.unpack(args.directory, args.output, how)
    if args.format == "json":
        Screen().json(view.plain_unpacked(found))
    else:
        view.draw_unpacked(Screen(), found, store)
    return EXIT_DONE


def _consent(pack: Pack, fingerprint: str) -> bool:
    said = pack.manifest
    return asking.confirm(f"{said.title}, signed by {said.signer} at {said.time}\nwith {fingerprint}\nDo you trust it?")
