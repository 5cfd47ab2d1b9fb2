"""Packs that were written and unpacked."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.actions.airgap.packing import Packed
from entrenar_research.actions.airgap.unpacking import Unpacked
from entrenar_research.views.terminal.screen import Screen, counted, size

_NO_HERMETIC = "without Nix: hermetic runs are not possible there"
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
_CONFIGURATION = "export NIX_CONFIG='experimental-features = nix-command flakes'"


def plain_pack(found: Packed) -> dict[str, Any]:
    """What was packed, for programs."""
    said: dict[str, Any] = msgspec.to_builtins(found)
    return {**said, "manifest": _short(said["manifest"]), "files": len(found.manifest.files)}


def plain_unpacked(found: Unpacked) -> dict[str, Any]:
    """What was unpacked, for programs."""
    said: dict[str, Any] = msgspec.to_builtins(found, enc_hook=str)
    return {**said, "manifest": _short(said["manifest"])}


def _short(manifest: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in manifest.items() if key not in ("files", "references")}


def draw_pack(screen: Screen, target: Path, found: Packed) -> None:
    """What was written, what was left out, and whether it was tried."""
    said = found.manifest
    screen.line(f"wrote {target}: {counted(len(said.files), 'file')}, {size(found.size)}", "good")
    _draw(screen, found)


def draw_update(screen: Screen, target: Path, found: Packed) -> None:
    """How much was written, and whether it was tried."""
    if not found.written:
        screen.line(f"{target} is up to date: nothing was written", "good")
    else:
        screen.line(f"updated {target}: {size(found.written)} written, {size(found.size)} in it", "good")
    _draw(screen, found)


def _draw(screen: Screen, found: Packed) -> None:
    said = found.manifest
    screen.line(f"commit {said.commit[:10]}, experiments: {', '.join(said.experiments)}")
    screen.line(f"signed by {said.signer} with {said.key}")
    if said.nix is None:
        screen.line(_NO_HERMETIC, "doubt")
    else:
        screen.line(f"binary cache: {counted(len(said.nix.paths), 'path')}, signed with {said.nix.key}")
    notes = Screen(sys.stderr)
    for name in found.never_run:
        notes.line(f"note: {name} was never run: neither its result nor its data is in the pack", "doubt")
    for name in found.differing:
        notes.line(f"note: {name}: Nix builds another result than the one that is recorded", "doubt")
    if found.untracked:
        shown = ", ".join(found.untracked[:3])
        more = f" and {len(found.untracked) - 3} more" if len(found.untracked) > 3 else ""
        notes.line(f"note: left out, since no commit holds them: {shown}{more}", "doubt")
    if found.tested:
        words = "unpacked and rebuilt" if said.nix else "unpacked"
        screen.line(f"tried: {words} in a namespace without network", "good")
    elif found.tested is None:
        notes.line("not tried: this system lets nobody make a network namespace; --no-test accepts that", "bad")


def draw_unpacked(screen: Screen, found: Unpacked, store: Path | None) -> None:
    """What is there now, and the commands that work in it."""
    said = found.manifest
    study = os.path.relpath(found.study)
    if found.before is None:
        screen.line(f"unpacked {said.title!r} into {study} (commit {found.after[:10]})", "good")
    elif found.before != found.after:
        screen.line(f"moved {study} forward from {found.before[:10]} to {found.after[:10]}", "good")
    elif found.after == said.commit:
        screen.line(f"{study} is at the commit of the pack already ({found.after[:10]})", "good")
    else:
        screen.line(f"{study} is ahead of the pack: {found.after[:10]}, the pack has {said.commit[:10]}", "good")
    screen.line(f"signed by {said.signer} with {found.fingerprint}; {counted(len(said.files), 'file')} as signed")
    screen.line(f"data: {counted(found.written, 'file')} written; experiments: {', '.join(said.experiments)}")
    if found.unlisted:
        Screen(sys.stderr).line(
            f"note: not read, since the manifest does not list them: {', '.join(found.unlisted[:3])}"
            + (f" and {len(found.unlisted) - 3} more" if len(found.unlisted) > 3 else ""),
            "doubt",
        )
    screen.line(f"next: cd {shlex.quote(study)} && entrenar-research verify")
    if not found.hermetic:
        screen.line(_NO_HERMETIC.replace("there", "here"), "doubt")
        return
    if not _PLAIN.fullmatch(str(found.study)):
        screen.line("some versions of Nix take no flake out of a directory with such a name: move it", "doubt")
    where = "" if store is None else f" --store {shlex.quote(str(store))}"
    screen.line(f"Nix store: {counted(found.paths, 'path')} in {store or '/nix/store'}")
    screen.line(f"      {_CONFIGURATION}")
    screen.line(f"      nix run{where} --offline .#{said.experiments[0]}")
