"""Two results on disk, held against each other byte for byte, and where they differ."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entrenar_research.core.reproducing import differing, documents
from entrenar_research.models.reproduction import Difference
from entrenar_research.store import files

_LARGEST: Final = 1 << 30
"""Of files with more bytes than this, only the first byte that differs is looked for."""
_PIECE: Final = 1 << 20


def differences(one: Path, other: Path) -> tuple[Difference, ...]:
    """Where two directories of outputs differ; none if they are the same, byte for byte.

    Raises:
        StorageError: if a file cannot be read.
    """
    with files.refusals("cannot compare results"):
        first, second = _listed(one), _listed(other)
        found: list[Difference] = []
        for name in sorted({*first, *second}):
            if name not in first or name not in second:
                found.append(differing.absent(name, first=name in first))
            elif Path(first[name]).is_symlink() or Path(second[name]).is_symlink():
                found += _links(name, Path(first[name]), Path(second[name]))
            elif not filecmp.cmp(first[name], second[name], shallow=False):
                found += _within(name, first[name], second[name])
        return tuple(found)


def _listed(root: Path) -> dict[str, str]:
    """Every file and link below a directory, by its path there."""
    found = {}
    for directory, folders, names in os.walk(root):
        for place in (os.path.join(directory, name) for name in (*names, *folders)):
            if not os.path.isdir(place) or os.path.islink(place):  # noqa: PTH114 - a result may have very many
                found[os.path.relpath(place, root)] = place
    return found


def _links(name: str, one: Path, other: Path) -> Iterator[Difference]:
    """Links are what they point at, in words: what lies there was not made now."""
    said = [f"a link to {path.readlink()}" if path.is_symlink() else "a file" for path in (one, other)]
    if said[0] != said[1]:
        yield Difference(file=name, place="", kind="value", detail="not the same link", one=said[0], other=said[1])


def _within(name: str, one: str, other: str) -> Iterator[Difference]:
    if max(Path(one).stat().st_size, Path(other).stat().st_size) <= _LARGEST:
        yield from differing.differences(name, Path(one).read_bytes(), Path(other).read_bytes())
        return
    at = 0
    with open(one, "rb") as first, open(other, "rb") as second:
        while (a := first.read(_PIECE)) == (b := second.read(_PIECE)) and a:
            at += len(a)
    at += documents.first_unlike(a, b)
    detail = f"first at byte {at}; too large to be looked into"
    yield Difference(file=name, place=f"byte {at}", kind="bytes", detail=detail)
