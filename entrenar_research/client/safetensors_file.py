"""SafeTensors files: writing them, always the same for the same tensors, and checking one.

The format: 8 bytes with the length of the header (little-endian), the header as JSON, then the bytes of all tensors
without a gap (https://huggingface.co/docs/safetensors/index#format). As the format's own writer does, tensors stand in
descending order of the size of their numbers and then by name, and the header is padded with spaces, so that every
number lies at a multiple of its size.
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from entrenar_research.client import values
from entrenar_research.errors import UsageError

# Types of numbers and their bits, in the order in which the format's own writer has them.
_BITS = {
    name: bits
    for bits, names in (
        (8, "BOOL"),
        (4, "F4"),
        (6, "F6_E2M3 F6_E3M2"),
        (8, "U8 I8 F8_E5M2 F8_E4M3 F8_E8M0"),
        (16, "I16 U16 F16 BF16"),
        (32, "I32 U32 F32"),
        (64, "C64 F64 I64 U64"),
    )
    for name in names.split()
}
_ORDER = {name: place for place, name in enumerate(_BITS)}
_NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "complex64": "C64",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e8m0fnu": "F8_E8M0",
}
_HEADER_LIMIT = 100_000_000
_METADATA = "__metadata__"
_RAW = {8: "uint8", 16: "int16"}


def encoded(tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """The bytes of a SafeTensors file with these arrays or tensors, piece by piece.

    Raises:
        UsageError: if a name or tensor cannot be in such a file; before the first piece.
    """
    named = [(values.name(name, "name of a tensor"), *_array(name, tensor)) for name, tensor in tensors.items()]
    if any(name == _METADATA for name, _, _ in named):
        raise UsageError(f"a tensor is named {_METADATA}, which the format keeps for itself", hint="rename it")
    named.sort(key=lambda item: (-_ORDER[item[1]], item[0]))
    header: dict[str, Any] = {}
    if metadata:
        header[_METADATA] = {
            values.name(k, "key of the metadata"): values.text(v, f"metadata {k}") for k, v in metadata.items()
        }
    offset = 0
    for name, kind, array in named:
        size = math.prod(array.shape) * _BITS[kind] // 8
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": [offset, offset + size]}
        offset += size
    raw = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    raw += b" " * (-len(raw) % 8)
    return _pieces(raw, [array for _, _, array in named])


def _pieces(header: bytes, arrays: list[Any]) -> Iterator[bytes]:
    yield len(header).to_bytes(8, "little") + header
    for array in arrays:
        swap = array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big")
        yield (array.byteswap() if swap else array).tobytes()


def _array(name: str, tensor: Any) -> tuple[str, Any]:
    """The type of a tensor's numbers, and the tensor as an array that has `tobytes`."""
    shown = str(getattr(tensor, "dtype", type(tensor).__name__)).removeprefix("torch.")
    kind = _NAMES.get(shown.lstrip("<>=|"), "")
    array = tensor
    if hasattr(tensor, "detach"):  # PyTorch
        array = tensor.detach().cpu().contiguous()
        if kind in ("BF16", "F8_E5M2", "F8_E4M3", "F8_E8M0"):  # which NumPy does not have
            array = array.view(getattr(sys.modules[type(tensor).__module__.partition(".")[0]], _RAW[_BITS[kind]]))
        array = array.numpy()
    elif hasattr(getattr(tensor, "dtype", None), "name"):
        kind = _NAMES.get(tensor.dtype.name, "")
    if not kind or not hasattr(array, "tobytes"):
        raise UsageError(
            f"tensor {name!r} has the type {shown}, expected one of: {', '.join(sorted(_NAMES))}",
            hint="convert it, for instance with numpy.asarray(x, dtype='float32')",
        )
    return kind, array


def fault(stream: BinaryIO) -> str | None:
    """What is wrong with a file that should be SafeTensors; None if it is in order.

    Raises:
        OSError: if it cannot be read.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    start = stream.read(8)
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > min(size - 8, _HEADER_LIMIT):
        return f"{size} bytes do not hold a header of {length} bytes" if len(start) == 8 else f"it has {size} bytes"
    raw = stream.read(length)
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        return f"its header is not JSON: {error}"
    if not isinstance(header, dict) or not raw.startswith(b"{"):
        return "its header is not an object"
    return _header_fault(header, size - 8 - length)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands in it twice")
    return found


def _header_fault(header: dict[str, Any], size: int) -> str | None:
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        return f"{_METADATA} is not text by name"
    spans = []
    for name, entry in header.items():
        problem = _entry_fault(entry)
        if problem is not None:
            return f"tensor {name!r}: {problem}"
        spans.append((*entry["data_offsets"], name))
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            return f"tensor {name!r} begins at byte {begin} of the data, expected {position}"
        position = end
    return None if position == size else f"its tensors take {position} bytes, and there are {size}"


def _entry_fault(entry: Any) -> str | None:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        return "expected dtype, shape and data_offsets"
    shape, offsets, kind = entry["shape"], entry["data_offsets"], entry["dtype"]
    if not isinstance(kind, str) or kind not in _BITS:
        return f"the type {kind!r} is not one of the format's"
    if not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        return f"shape {shape!r} or data_offsets {offsets!r} are not what they should be"
    bits = math.prod(shape) * _BITS[kind]
    if bits % 8 or offsets[1] - offsets[0] != bits // 8:
        return f"{offsets[1] - offsets[0]} bytes for {kind} of shape {shape}, expected {bits / 8:g}"
    return None


def _naturals(given: Any) -> bool:
    return isinstance(given, list) and all(type(item) is int and item >= 0 for item in given)
