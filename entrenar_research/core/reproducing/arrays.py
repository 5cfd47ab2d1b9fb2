"""Where two files of tensors differ: which tensor, how many elements, the largest difference and where it is."""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from entrenar_research.core.reproducing import documents
from entrenar_research.models.reproduction import Difference, Kind

_TYPES: Final = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?", "C64": "<c8",
}  # fmt: skip
"""SafeTensors types as NumPy knows them; bfloat16 is the upper half of a 32-bit number."""


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor as it lies in a file: `kind` is a type of SafeTensors' or NumPy's."""

    kind: str
    shape: tuple[int, ...]
    data: bytes


class Tensors(msgspec.Struct, frozen=True, kw_only=True):
    """The tensors of a file by name, in its order, and what else it says."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any] = {}


def reader(read: Callable[[bytes], Tensors]) -> Callable[[str, bytes, bytes], Iterator[Difference]]:
    """Compares files of a format that `read` reads."""

    def compared(file: str, one: bytes, other: bytes) -> Iterator[Difference]:
        return _compared(file, read(one), read(other))

    return compared


def safetensors(data: bytes) -> Tensors:
    """A SafeTensors file (https://huggingface.co/docs/safetensors).

    Raises:
        ValueError: if it is none.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    metadata = header.pop("__metadata__", {})
    tensors = {
        name: Tensor(
            kind=entry["dtype"], shape=tuple(entry["shape"]),
            data=data[start + entry["data_offsets"][0] : start + entry["data_offsets"][1]],
        )
        for name, entry in header.items()
    }  # fmt: skip
    return Tensors(tensors=tensors, metadata=metadata)


def npy(data: bytes) -> Tensors:
    """One array as NumPy saves it; one of objects is refused, as reading it would run code.

    Raises:
        ValueError: if it is none.
    """
    return Tensors(tensors={"": _array(data)})


def npz(file: str, one: bytes, other: bytes) -> Iterator[Difference]:
    """Two files as `numpy.savez` writes them: their arrays, then what the archives note beside them."""
    first, second = _arrays(one), _arrays(other)
    found = False
    for difference in _compared(file, first, second):
        found = True
        yield difference
    if not found:
        raise ValueError("the arrays are the same: the archives differ")


def _arrays(data: bytes) -> Tensors:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return Tensors(tensors={item.removesuffix(".npy"): _array(archive.read(item)) for item in archive.namelist()})


def _array(data: bytes) -> Tensor:
    import numpy as np  # heavy, and needed only for files that differ

    array = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    return Tensor(kind=array.dtype.str, shape=array.shape, data=np.ascontiguousarray(array).tobytes())


def _compared(file: str, one: Tensors, other: Tensors) -> Iterator[Difference]:
    if one.metadata != other.metadata:
        inner = documents.document(file, *(json.dumps(item.metadata).encode() for item in (one, other)))
        yield from (msgspec.structs.replace(item, place=f"metadata {item.place}".strip()) for item in inner)
    for name in [*one.tensors, *(name for name in other.tensors if name not in one.tensors)]:
        place = f"tensor {name}" if name else "array"
        first, second = one.tensors.get(name), other.tensors.get(name)
        if first is None or second is None:
            words = f"only the {'second' if first is None else 'first'} has it"
            yield Difference(file=file, place=place, kind="absent", detail=words)
        elif (first.kind, first.shape) != (second.kind, second.shape):
            a, b = (f"{item.kind} of shape {list(item.shape)}" for item in (first, second))
            yield Difference(file=file, place=place, kind="value", detail=f"{a} and {b}", one=a, other=b)
        elif first.data != second.data:
            yield _measured(file, place, first, second)
    if list(one.tensors) != list(other.tensors) and one.tensors.keys() == other.tensors.keys():
        names = {"one": ", ".join(one.tensors), "other": ", ".join(other.tensors)}
        yield Difference(file=file, place="header", kind="order", detail="the same tensors in another order", **names)


def _measured(file: str, place: str, one: Tensor, other: Tensor) -> Difference:
    import numpy as np  # heavy, and needed only for files that differ

    a, b = _numbers(one), _numbers(other)
    unequal = (a != b) & ~(np.isnan(a) & np.isnan(b))
    count = int(unequal.sum())
    if not count:
        return Difference(file=file, place=place, kind="bytes", detail="other bytes for the same numbers (-0.0, NaN)")
    with np.errstate(invalid="ignore"):
        apart = np.where(unequal, np.abs(a - b), 0.0)
        at = int(np.nanargmax(apart)) if not np.isnan(apart).all() else int(unequal.argmax())
        worst = float(apart[at])
    index = [int(part) for part in np.unravel_index(at, one.shape)] if one.shape else []
    kind: Kind = "value"
    if np.array_equal(np.sort(a), np.sort(b)):
        kind = "order"
    elif _floating(one.kind) and _rounding(a, b, worst):
        kind = "rounding"
    words = f"{count} of {math.prod(one.shape)} elements differ, most by {worst:.3g} at {index}"
    values = {"one": repr(a[at].item()), "other": repr(b[at].item())}
    return Difference(file=file, place=place, kind=kind, detail=words, **values)


def _rounding(a: Any, b: Any, worst: float) -> bool:
    """Whether all differences are small against the numbers of the tensor."""
    import numpy as np  # heavy, and needed only for files that differ

    largest = float(np.nanmax(np.maximum(np.abs(a), np.abs(b))))
    return math.isfinite(worst) and worst <= documents.CLOSE * largest


def _numbers(tensor: Tensor) -> Any:
    """The elements in one row, as 64-bit numbers."""
    import numpy as np  # heavy, and needed only for files that differ

    found = np.frombuffer(tensor.data, dtype=_TYPES.get(tensor.kind, tensor.kind))
    if tensor.kind == "BF16":
        found = (found.astype("<u4") << 16).view("<f4")
    return found.astype("c16" if found.dtype.kind == "c" else "f8")


def _floating(kind: str) -> bool:
    return kind in ("F64", "F32", "F16", "BF16") or kind[1:2] == "f"
