"""Content digests: what a file says, apart from how its bytes lie, so that `identical` and `equal` differ.

JSON by value, CSV by rows, SafeTensors by tensor, zip and npz by member. Of any other format the content is its
bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import lzma
import math
import zipfile
import zlib
from collections.abc import Iterable
from typing import Any

from entrenar_research.core import digests

_DAMAGED = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError,
    csv.Error, lzma.LZMAError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What the readers raise for a file of another kind; RuntimeError for encryption and for nesting without end."""


def content_digest(name: str, data: bytes) -> str | None:
    """The content digest of a file by the ending of its name, or None where bytes are all there is.

    A file that is not what its name says has no content digest.
    """
    reader = _READERS.get(name.rpartition(".")[2].lower())
    if reader is None:
        return None
    try:
        return value_digest(reader(data))
    except _DAMAGED:
        return None


def value_digest(value: Any) -> str:
    """The digest of a parsed document: equal exactly for equal values of equal types, whatever order keys are in."""
    return digests.sha256(digests.canonical_json(_typed(value)))


def _typed(value: Any) -> Any:
    """A value in which text, numbers and collections cannot be taken for each other; NaN is itself."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return ["float", repr(value)]
    if isinstance(value, list | tuple):
        return ["list", *map(_typed, value)]
    if isinstance(value, dict):
        pairs = ([_typed(key), _typed(item)] for key, item in value.items())
        return ["map", *sorted(pairs, key=lambda pair: json.dumps(pair[0]))]
    return ["text", str(value)]


def _json(data: bytes) -> Any:
    return ["json", json.loads(data, parse_float=_number, object_pairs_hook=_object)]


def _number(text: str) -> float:
    """A number with a point or an exponent: `1.0` and `1.00` are one value, `1` is another kind of value."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"{text} is no number of 64 bits")
    return value


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one that names a key twice means different things to different readers."""
    every = list(pairs)
    found = dict(every)
    if len(found) != len(every):
        raise ValueError("a key stands twice")
    return found


def _rows(data: bytes) -> Any:
    text = data.decode("utf-8")
    return ["csv", list(csv.reader(io.StringIO(text, newline=""), strict=True))]


def _tensors(data: bytes) -> Any:
    """https://huggingface.co/docs/safetensors: a header of JSON, then tensors without holes between them."""
    start = 8 + int.from_bytes(data[:8], "little")
    if start > len(data):
        raise ValueError("the header is cut off")
    header = json.loads(data[8:start], object_pairs_hook=_object)
    metadata = header.pop("__metadata__", {})
    body = memoryview(data)[start:]
    tensors = {}
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: list(item[1]["data_offsets"])):
        first, last = entry["data_offsets"]
        if first != end or last < first:
            raise ValueError("the tensors leave holes or overlap")
        tensors[name] = [entry["dtype"], entry["shape"], hashlib.sha256(body[first:last]).hexdigest()]
        end = last
    if end != len(body):
        raise ValueError("the tensors do not fill the file")
    return ["safetensors", metadata, tensors]


def _members(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return ["zip", sorted([item.filename, _member(archive, item)] for item in archive.infolist())]


def _member(archive: zipfile.ZipFile, item: zipfile.ZipInfo) -> str:
    """The SHA-256 of a member, unpacked piece by piece: a small archive may hold an enormous one."""
    digest = hashlib.sha256()
    with archive.open(item) as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


_READERS = {"json": _json, "csv": _rows, "safetensors": _tensors, "npz": _members, "zip": _members}
