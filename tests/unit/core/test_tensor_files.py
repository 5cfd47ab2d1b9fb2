"""SafeTensors headers: what the reference writer writes passes, and every damage is named."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core import tensor_files
from entrenar_research.errors import IntegrityError

GOOD: dict[str, Any] = {
    "__metadata__": {"format": "pt"},
    "bias": {"dtype": "F16", "shape": [3], "data_offsets": [24, 30]},
    "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "empty": {"dtype": "I64", "shape": [0, 5], "data_offsets": [30, 30]},
}


def read(data: bytes) -> tensor_files.Contents:
    length = tensor_files.header_length(data[:8], len(data), "m")
    return tensor_files.contents(data[8 : 8 + length], len(data), "m")


def packed(header: object, body: int = 30) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(body)


def test_a_good_file() -> None:
    data = packed(GOOD)
    assert tensor_files.looks_like(data[:16])
    assert read(data) == tensor_files.Contents(
        tensors=3, elements=9, types=("F16", "F32", "I64"), bytes=30, metadata={"format": "pt"}
    )
    assert read(packed({}, 0)).tensors == 0


def changed(name: str, **fields: Any) -> bytes:
    entry = {key: value for key, value in {**GOOD[name], **fields}.items() if value is not None}
    return packed({**GOOD, name: entry})


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\0\0\0", "3 bytes; a SafeTensors file begins with 8 bytes of length"),
        ((1 << 40).to_bytes(8, "little") + b"{", "its header would have 1099511627776 bytes"),
        (packed(GOOD)[:40], "cut off"),
        (packed(GOOD)[:-1], "its tensors take 30 bytes, the file has 29 for them"),
        (packed(GOOD) + b"\0", "its tensors take 30 bytes, the file has 31 for them"),
        (packed(b"{not json}"), "its header cannot be read"),
        (packed(b"\xff\xfe{}"), "its header cannot be read"),
        (packed(b"[]"), "its header is no JSON object"),
        (packed(b" {}"), "its header is no JSON object"),
        (packed(b'{"a":{},"a":{}}'), "a key stands in it twice"),
        (packed(b"[" * 100_000), "its header cannot be read"),
        (packed({**GOOD, "__metadata__": {"a": 1}}), "__metadata__ is expected to map names to text"),
        (changed("bias", dtype="F17"), "the tensor 'bias' has the unknown type 'F17'"),
        (changed("bias", dtype=None), "the tensor 'bias': expected dtype, shape and data_offsets"),
        (changed("bias", shape=[3.0]), "expected to be whole numbers"),
        (changed("bias", shape=[-3]), "expected to be whole numbers"),
        (changed("bias", shape=[True]), "expected to be whole numbers"),
        (changed("bias", shape=[4]), "the tensor 'bias' has 6 bytes; F16 of shape [4] takes 8"),
        (changed("bias", data_offsets=[23, 29]), "the tensor 'bias' overlaps the one before"),
        (changed("bias", data_offsets=[26, 32]), "leaves a hole of 2 bytes before it"),
        (changed("bias", data_offsets=[30, 24]), "the tensor 'bias' has -6 bytes"),
        (changed("bias", data_offsets=[24]), "expected to be whole numbers"),
    ],
)
def test_damage_is_named(data: bytes, told: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read(data)
    assert told in caught.value.message


@given(st.binary(max_size=60) | st.binary(max_size=60).map(packed))
def test_any_bytes_are_judged_without_an_accident(data: bytes) -> None:
    with contextlib.suppress(IntegrityError):
        assert read(data).bytes <= len(data)


@pytest.mark.skipif(importlib.util.find_spec("safetensors") is None, reason="safetensors is not installed")
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=4).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(["float32", "float16", "int8", "bool", "uint64"]), st.lists(st.integers(0, 3))),
        max_size=4,
    )
)
def test_what_the_reference_writes_passes(tensors: dict[str, tuple[str, list[int]]]) -> None:
    import numpy
    from safetensors.numpy import save

    arrays = {name: numpy.zeros(shape[:3], kind) for name, (kind, shape) in tensors.items()}
    found = read(save(arrays, metadata={"by": "the reference"}))
    assert found.tensors == len(arrays)
    assert found.elements == sum(array.size for array in arrays.values())
    assert found.metadata == {"by": "the reference"}
