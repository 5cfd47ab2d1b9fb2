"""Digests of values: canonical JSON, sha256sum manifests, DVC directory listings."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from entrenar_research.errors import IntegrityError

_ESCAPE = re.compile(r"\\([\\nr])")
_ESCAPED = {"\\": "\\", "n": "\n", "r": "\r"}


def sha256(data: bytes) -> str:
    """`sha256:<hex>` of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no blanks, the same bytes for the same value (after RFC 8785).

    Raises:
        ValueError: for NaN and infinities, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def manifest(entries: Iterable[tuple[str, str]]) -> str:
    """Lines as `sha256sum` prints them, sorted by path, of (path, hex or `sha256:<hex>`) pairs."""
    lines = []
    for path, digest in sorted(entries):
        mark = "\\" if any(character in path for character in "\\\n\r") else ""
        name = path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
        lines.append(f"{mark}{digest.removeprefix('sha256:')}  {name}\n")
    return "".join(lines)


def parse_manifest(text: str, name: str) -> dict[str, str]:
    """A manifest's paths with their digests as `sha256:<hex>`.

    Raises:
        IntegrityError: naming the file `name` and the line that is not of the form `<64 hex>  <path>`.
    """
    found: dict[str, str] = {}
    if text and not text.endswith("\n"):
        raise IntegrityError(f"{name}: the last line is cut off")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        escaped = line.startswith("\\")
        digest, _, path = line.removeprefix("\\").partition("  ")
        if escaped:
            path = _ESCAPE.sub(lambda match: _ESCAPED[match[1]], path)
        if len(digest) != 64 or set(digest) - set("0123456789abcdef") or not path or path in found:
            raise IntegrityError(f"{name}, line {number}: expected `<64 hex digits>  <path>`, found {line[:80]!r}")
        found[path] = "sha256:" + digest
    return found


def dvc_directory(entries: Iterable[tuple[str, str]]) -> bytes:
    """DVC's listing of a directory (`.dir` object) from (relative path, md5) pairs."""
    listing = [{"md5": md5, "relpath": path} for path, md5 in sorted(entries)]
    return json.dumps(listing, sort_keys=True).encode()


def md5(data: bytes) -> str:
    """The hex MD5 of some bytes, as DVC uses it: a name, never a proof."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()
