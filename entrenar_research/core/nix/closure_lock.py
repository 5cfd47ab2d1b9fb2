"""The text of the closure lock: one text for one set of files, and none that does not hold what it should."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Final

import msgspec

from entrenar_research.core.nix import store_paths
from entrenar_research.errors import IntegrityError
from entrenar_research.models.closure import Blob, Closure

FILE: Final = "nix/closure.lock.json"
"""Where the lock is, relative to the study."""
OWN: Final = "nix/tool/closure.lock.json"
"""Where the lock is that this tool itself is built from, relative to its repository."""
SCHEMA: Final = 1
SYSTEM: Final = "x86_64-linux"
LOADER: Final = "ld-linux-x86-64.so.2"
_HEX: Final = re.compile(r"[0-9a-f]{64}")
_VERSION: Final = re.compile(r"3\.[0-9]{1,2}")
_VARIABLE: Final = re.compile(r"[A-Z][A-Z0-9_]*")
_AGAIN: Final = "take it from the history (`git checkout`), or write it anew: `entrenar-research env lock`"


def encode(closure: Closure) -> bytes:
    """The lock as its file has it: packages and wheels by name, pins by name, two blanks a level."""
    ordered = msgspec.structs.replace(
        closure,
        pins=dict(sorted(closure.pins.items())),
        debs=tuple(sorted(closure.debs, key=lambda blob: blob.file)),
        wheels=tuple(sorted(closure.wheels, key=lambda blob: blob.file)),
    )
    return json.dumps(msgspec.to_builtins(ordered), indent=2, ensure_ascii=True).encode() + b"\n"


def decode(data: bytes, shown: str = FILE) -> Closure:
    """The lock that a file holds.

    Raises:
        IntegrityError: if it holds none; `shown` is what the file is called.
    """
    try:
        closure = msgspec.json.decode(data, type=Closure)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{shown}: this is no closure lock: {error}", hint=_AGAIN) from error
    fault = _fault(closure)
    if fault is not None:
        raise IntegrityError(f"{shown}: {fault}", hint=_AGAIN)
    return closure


def _fault(closure: Closure) -> str | None:
    """What a lock may not hold, in words."""
    if closure.schema != SCHEMA:
        return f"schema: found {closure.schema}, expected {SCHEMA}; another version of the tool wrote it"
    for name, found, expected in (("system", closure.system, SYSTEM), ("loader", closure.loader, LOADER)):
        if found != expected:
            return f"{name}: found {found!r}, expected {expected!r}"
    if not _VERSION.fullmatch(closure.python):
        return f"python: found {closure.python!r}, expected a version such as 3.11"
    for name, value in closure.pins.items():
        if not _VARIABLE.fullmatch(name) or not value.isprintable():
            return f"pins: {name!r} = {value!r} is no variable of an environment"
    if not _HEX.fullmatch(closure.busybox.nar) or not store_paths.is_name(closure.busybox.store):
        return "busybox: expected `nar`, 64 hex digits, and a name for the store"
    faults = (_blob_fault(blob) for blob in closure.blobs)
    twice = [file for file, count in Counter(blob.file for blob in closure.blobs).items() if count > 1]
    return next(filter(None, faults), f"{twice[0]} is in it twice" if twice else None)


def _blob_fault(blob: Blob) -> str | None:
    if not blob.file.isprintable() or "/" in blob.file or blob.file in ("", ".", ".."):
        return f"{blob.file!r}: expected the name of a file"
    if not store_paths.is_name(blob.store):
        return f"{blob.file}: {blob.store!r} is no name for the Nix store"
    if not _HEX.fullmatch(blob.sha256):
        return f"{blob.file}: sha256: found {blob.sha256[:80]!r}, expected 64 hex digits"
    if blob.size <= 0:
        return f"{blob.file}: size: found {blob.size}, expected the number of its bytes"
    return None
