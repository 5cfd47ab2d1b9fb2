"""Where two versions of a file differ, in the terms of its format.

SafeTensors, npz and npy by tensor, JSON by key path, CSV by row and column, archives by member, text by line; of
anything else, and of a file that is not what its name says, the first byte that differs.
"""

from __future__ import annotations

import csv
import itertools
import json
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable

from entrenar_research.core.reproducing import arrays, documents, packed, tables
from entrenar_research.models.reproduction import Difference

LIMIT = 20
"""So many differences of one file are told; the last then says that there are more."""
_NOT_SO = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    csv.Error, json.JSONDecodeError, tarfile.TarError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What readers raise for a file of another kind."""
Reader = Callable[[str, bytes, bytes], Iterable[Difference]]


def differences(file: str, one: bytes, other: bytes) -> tuple[Difference, ...]:
    """The places at which two versions of a file differ, `LIMIT` at most; none if the bytes are the same."""
    if one == other:
        return ()
    for reader in (_READERS.get(file.rpartition(".")[2].lower()), documents.text):
        try:
            found = tuple(itertools.islice(reader(file, one, other), LIMIT + 1)) if reader else ()
        except _NOT_SO:
            continue
        if found:
            return _limited(found)
    return (_bytes(file, one, other),)


def absent(file: str, *, first: bool) -> Difference:
    """A file that only one of two results has: the first, or the second."""
    detail = "only the first has it" if first else "only the second has it"
    return Difference(file=file, place="", kind="absent", detail=detail)


def _limited(found: tuple[Difference, ...]) -> tuple[Difference, ...]:
    if len(found) <= LIMIT:
        return found
    last = found[LIMIT - 1]
    more = Difference(
        file=last.file, place=last.place, kind=last.kind, detail=f"{last.detail}; more follow", one=last.one,
        other=last.other,
    )  # fmt: skip
    return (*found[: LIMIT - 1], more)


def _bytes(file: str, one: bytes, other: bytes) -> Difference:
    at = documents.first_unlike(one, other)
    count = _unlike(one, other)
    size = f"{len(one)} bytes" if len(one) == len(other) else f"{len(one)} and {len(other)} bytes"
    return Difference(
        file=file, place=f"byte {at}", kind="bytes", detail=f"first at byte {at}, {count} of {size} differ",
        one=one[at : at + 24].hex(" "), other=other[at : at + 24].hex(" "),
    )  # fmt: skip


def _unlike(one: bytes, other: bytes) -> int:
    """How many bytes differ, as far as both go; by one large number, as models have gigabytes."""
    both = min(len(one), len(other))
    bits = int.from_bytes(one[:both], "little") ^ int.from_bytes(other[:both], "little")
    return both - bits.to_bytes(both, "little").count(0)


def _archive(reader: Callable[[bytes], packed.Members]) -> Reader:
    """A reader of archives: each member that differs is looked into in its turn."""

    def read(file: str, one: bytes, other: bytes) -> Iterable[Difference]:
        return packed.compared(file, reader(one), reader(other), differences)

    return read


_READERS: dict[str, Reader] = {
    "json": documents.document,
    "jsonl": documents.lines_of_documents,
    "csv": tables.table(","),
    "tsv": tables.table("\t"),
    "safetensors": arrays.reader(arrays.safetensors),
    "npz": arrays.npz,
    "npy": arrays.reader(arrays.npy),
    "pyc": packed.bytecode,
    "zip": _archive(packed.zipped),
    "whl": _archive(packed.zipped),
    "tar": _archive(packed.tarred),
    "tgz": _archive(packed.tarred),
    "gz": _archive(packed.gzipped),
}
