"""Content digests: what a file says, apart from how its bytes lie, so that `identical` and `equal` differ.

JSON by canonical form, CSV by rows, SafeTensors by tensor, zip and npz by member. Of any other format the
content is its bytes.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

from entrenar_research.core import digests


def content_digest(name: str, data: bytes) -> str | None:
    """The content digest of a file by the ending of its name, or None where bytes are all there is.

    A file that is not what its name says has no content digest.
    """
    reader = _READERS.get(name.rpartition(".")[2].lower())
    if reader is None:
        return None
    try:
        return digests.sha256(digests.canonical_json(reader(data)))
    except (
        ValueError,
        KeyError,
        UnicodeDecodeError,
        csv.Error,
        zipfile.BadZipFile,
        NotImplementedError,
        OSError,
    ):
        return None


def _json(data: bytes) -> Any:
    return ["json", json.loads(data, parse_float=repr_of_float, parse_constant=str)]


def repr_of_float(text: str) -> str:
    """A number as Python writes it: `1.0` and `1.00` are one value, and no float compares by accident."""
    return f"float {float(text)!r}"


def _rows(data: bytes) -> Any:
    text = data.decode("utf-8")
    return ["csv", list(csv.reader(io.StringIO(text, newline="")))]


def _tensors(data: bytes) -> Any:
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body = memoryview(data)[8 + length :]
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, stop = entry["data_offsets"]
        if not 0 <= start <= stop <= len(body):
            raise ValueError(name)
        tensors[name] = [entry["dtype"], entry["shape"], digests.sha256(bytes(body[start:stop]))]
    return ["safetensors", metadata, tensors]


def _members(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return ["zip", {item.filename: digests.sha256(archive.read(item)) for item in archive.infolist()}]


_READERS = {"json": _json, "csv": _rows, "safetensors": _tensors, "npz": _members, "zip": _members}
