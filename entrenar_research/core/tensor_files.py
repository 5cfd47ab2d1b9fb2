"""SafeTensors: whether a file keeps to the format, judged by its header alone (no tensor is read).

The format: 8 bytes little-endian length of the header, the header (a JSON object), then the tensors without holes.
https://huggingface.co/docs/safetensors, and `safetensors/src/tensor.rs` there for what the header may hold.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from entrenar_research.errors import IntegrityError

LENGTH = 8
LONGEST_HEADER = 100_000_000
_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What a SafeTensors file holds: the number of tensors and of their elements, types, bytes, free metadata."""

    tensors: int
    elements: int
    types: tuple[str, ...]
    bytes: int
    metadata: dict[str, str]


def header_length(start: bytes, size: int, name: str) -> int:
    """The length of the header, from the first 8 bytes of a file of `size` bytes.

    Raises:
        IntegrityError: if the file cannot be SafeTensors.
    """
    if len(start) < LENGTH:
        raise IntegrityError(f"{name}: {len(start)} bytes; a SafeTensors file begins with {LENGTH} bytes of length")
    length = int.from_bytes(start[:LENGTH], "little")
    if length > LONGEST_HEADER:
        raise IntegrityError(f"{name}: its header would have {length} bytes; at most {LONGEST_HEADER} are allowed")
    if LENGTH + length > size:
        raise IntegrityError(f"{name}: cut off: its header has {length} bytes, the file only {size - LENGTH} for it")
    return length


def looks_like(start: bytes) -> bool:
    """Whether a file that begins so is meant to be SafeTensors: a length, then a JSON object."""
    return len(start) > LENGTH and start[LENGTH : LENGTH + 1] == b"{" and int.from_bytes(start[:LENGTH], "little") > 1


def contents(header: bytes, size: int, name: str) -> Contents:
    """What the header says, held against the size of the file.

    Raises:
        IntegrityError: naming what is wrong: JSON, a type, a shape, offsets that overlap or leave holes.
    """
    try:
        parsed = json.loads(header.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise IntegrityError(f"{name}: its header cannot be read: {error}") from error
    if not header.startswith(b"{") or not isinstance(parsed, dict):
        raise IntegrityError(f"{name}: its header is no JSON object")
    metadata = parsed.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(item, str) for item in metadata.values()):
        raise IntegrityError(f"{name}: __metadata__ is expected to map names to text")
    tensors = {key: _tensor(key, entry, name) for key, entry in parsed.items()}
    end = 0
    for key, (first, last, _) in sorted(tensors.items(), key=lambda item: item[1][:2]):
        if first != end:
            words = "overlaps the one before" if first < end else f"leaves a hole of {first - end} bytes before it"
            raise IntegrityError(f"{name}: the tensor {key!r} {words}")
        end = last
    room = size - LENGTH - len(header)
    if end != room:
        raise IntegrityError(f"{name}: its tensors take {end} bytes, the file has {room} for them")
    return Contents(
        tensors=len(tensors),
        elements=sum(elements for _, _, elements in tensors.values()),
        types=tuple(sorted({entry["dtype"] for entry in parsed.values()})),
        bytes=end,
        metadata=metadata,
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands in it twice")
    return found


def _tensor(key: str, entry: Any, name: str) -> tuple[int, int, int]:
    """First and last byte of a tensor, and the number of its elements."""
    if not isinstance(entry, Mapping) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise IntegrityError(f"{name}: the tensor {key!r}: expected dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in _BITS:
        raise IntegrityError(f"{name}: the tensor {key!r} has the unknown type {kind!r}")
    if not _counts(shape) or not _counts(offsets) or len(offsets) != 2:
        raise IntegrityError(f"{name}: the tensor {key!r}: shape and data_offsets are expected to be whole numbers")
    elements = math.prod(shape)
    if (offsets[1] - offsets[0]) * 8 != elements * _BITS[kind]:
        found, wanted = offsets[1] - offsets[0], elements * _BITS[kind] / 8
        raise IntegrityError(f"{name}: the tensor {key!r} has {found} bytes; {kind} of shape {shape} takes {wanted:g}")
    return offsets[0], offsets[1], elements


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)
