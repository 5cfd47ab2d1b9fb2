"""Where two versions of a file differ, by format."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.reproducing import differing


def found(name: str, one: bytes, other: bytes) -> list[tuple[str, str]]:
    return [(item.place, item.kind) for item in differing.differences(name, one, other)]


def documents(one: object, other: object) -> list[tuple[str, str]]:
    return found("a.json", json.dumps(one).encode(), json.dumps(other).encode())


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, [("a.b[1]", "value")]),
        ({"a": [3, 1, 2]}, {"a": [1, 2, 3]}, [("a", "order")]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, [("", "order")]),
        ({"a": 0.1}, {"a": 0.1000001}, [("a", "rounding")]),
        ({"a": 0.1}, {"a": 0.2}, [("a", "value")]),
        ({"a": 1}, {"a": True}, [("a", "value")]),
        ({"a": 1}, {"b": 1}, [("a", "absent"), ("b", "absent")]),
        ({"a": [1]}, {"a": [1, 2]}, [("a", "value")]),
        ({"a": "x, y"}, {"a": "y, x"}, [("a", "order")]),
        ("loss 0.500001 at 3", "loss 0.500002 at 3", [("", "rounding")]),
    ],
)
def test_documents_by_key_path(one: object, other: object, expected: list[tuple[str, str]]) -> None:
    assert documents(one, other) == expected


def test_other_spellings_of_one_document_are_told_by_their_bytes() -> None:
    assert found("a.json", b'{"a": 1}', b'{"a":1}') == [("line 1", "value")]


def test_what_is_no_document_is_compared_as_text_or_bytes() -> None:
    assert found("a.json", b"{\nx", b"{\ny") == [("line 2", "value")]
    assert found("a.json", b"\xff\x00abc", b"\xff\x00abd") == [("byte 4", "bytes")]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (b"a\nb\nc\n", b"a\nc\nb\n", [("line 2", "order")]),
        (b"a\nb\n", b"a\nx\n", [("line 2", "value")]),
        (b"a\nb\n", b"a\nnew\nb\n", [("line 2", "value")]),
        (b"a\nb\n", b"a\nb", [("", "value")]),
    ],
)
def test_text_by_line(one: bytes, other: bytes, expected: list[tuple[str, str]]) -> None:
    assert found("a.txt", one, other) == expected


def test_tables_by_row_and_column() -> None:
    assert found("a.csv", b"step,loss\n0,1.5\n1,0.5\n", b"step,loss\n0,1.5\n1,0.7\n") == [
        ("row 3, column loss", "value")
    ]
    assert found("a.csv", b"h\n1\n2\n", b"h\n2\n1\n") == [("row 2", "order")]
    assert found("a.csv", b"h\n1\n", b"h\n1\n2\n") == [("", "value")]


def safetensors(tensors: Mapping[str, np.ndarray[Any, Any]], metadata: dict[str, str] | None = None) -> bytes:
    header: dict[str, object] = {"__metadata__": metadata} if metadata else {}
    body = b""
    for name, array in tensors.items():
        data = array.tobytes()
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_tensors_by_name_with_the_largest_difference_and_its_place() -> None:
    one = np.ones((2, 3), dtype="<f4")
    other = one.copy()
    other[1, 2] = 1.5
    other[0, 0] = 1.25
    (difference,) = differing.differences("m.safetensors", safetensors({"w": one}), safetensors({"w": other}))
    assert (difference.place, difference.kind) == ("tensor w", "value")
    assert difference.detail == "2 of 6 elements differ, most by 0.5 at [1, 2]"
    assert (difference.one, difference.other) == ("1.0", "1.5")


def test_tensors_that_differ_in_their_last_bits_or_their_order_alone() -> None:
    one = np.linspace(1, 2, 12, dtype="<f4")
    near = np.nextafter(one, np.float32(9))
    assert found("m.safetensors", safetensors({"w": one}), safetensors({"w": near})) == [("tensor w", "rounding")]
    assert found("m.safetensors", safetensors({"w": one}), safetensors({"w": one[::-1].copy()})) == [
        ("tensor w", "order")
    ]
    assert found("m.safetensors", safetensors({"w": one}), safetensors({"w": one[:6]})) == [("tensor w", "value")]
    assert found("m.safetensors", safetensors({"w": one}, {"d": "1"}), safetensors({"w": one}, {"d": "2"})) == [
        ("metadata d", "value")
    ]


def npz(arrays: dict[str, np.ndarray[Any, Any]]) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def test_arrays_of_an_npz_and_of_an_npy() -> None:
    a, b = np.arange(4.0), np.arange(4.0) + np.array([0, 0, 1, 0])
    assert found("m.npz", npz({"x": a, "y": a}), npz({"x": a, "y": b})) == [("tensor y", "value")]
    streams = []
    for array in (a, b):
        streams.append(io.BytesIO())
        np.save(streams[-1], array)
    assert found("m.npy", streams[0].getvalue(), streams[1].getvalue()) == [("array", "value")]


def test_an_array_of_objects_is_never_unpickled() -> None:
    class Dangerous:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return pytest.fail, ("it was unpickled",)

    one, other = (npz({"x": np.array([item, Dangerous()], dtype=object)}) for item in ("a", "b"))
    assert [kind for _, kind in found("m.npz", one, other)] == ["bytes"]


def zipped(members: Mapping[str, bytes], second: int = 0, mode: int = 0o644) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, second))
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return stream.getvalue()


def test_archives_by_member_with_what_they_note_of_it() -> None:
    plain = zipped({"a.json": b'{"x": 1}', "b": b"b"})
    assert found("z.zip", plain, zipped({"a.json": b'{"x": 2}', "b": b"b"})) == [("a.json: x", "value")]
    assert found("z.zip", plain, zipped({"b": b"b", "a.json": b'{"x": 1}'})) == [("members", "order")]
    assert found("z.zip", plain, zipped({"a.json": b'{"x": 1}'})) == [("b", "absent")]
    stamps = found("z.zip", zipped({"a": b""}), zipped({"a": b""}, second=2))
    assert stamps == [("a: its time", "stamp")]
    assert found("z.zip", zipped({"a": b""}), zipped({"a": b""}, mode=0o600)) == [("a: its mode", "value")]


def test_tar_and_gzip_with_their_times() -> None:
    def tarred(moment: int) -> bytes:
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            info = tarfile.TarInfo("a")
            info.mtime = moment
            archive.addfile(info)
        return stream.getvalue()

    assert found("t.tar", tarred(0), tarred(60)) == [("a: its time", "stamp")]
    one, other = (gzip.compress(b"x", mtime=moment) for moment in (1, 2))
    assert found("t.gz", one, other) == [("compressed: its time", "stamp")]
    packed = [gzip.compress(tarred(0), mtime=moment) for moment in (1, 2)]
    assert found("t.tar.gz", *packed) == [("compressed: its time", "stamp")]


def pyc(moment: int, code: bytes = b"code", flags: int = 0) -> bytes:
    return b"\xa7\r\r\n" + flags.to_bytes(4, "little") + moment.to_bytes(4, "little") + b"\x01\0\0\0" + code


def test_bytecode_by_its_head() -> None:
    (difference,) = differing.differences("m.pyc", pyc(0), pyc(60))
    assert (difference.place, difference.kind) == ("head", "bytecode")
    assert "1970-01-01T00:00:00" in difference.detail
    assert "1970-01-01T00:01:00" in difference.detail
    assert found("m.pyc", pyc(0, b"code"), pyc(0, b"cods")) == [("code", "bytes")]
    assert found("m.pyc", pyc(0, flags=3), pyc(60, flags=3)) == [("head", "value")]


def test_what_one_result_lacks() -> None:
    assert differing.absent("a", first=True).detail == "only the first has it"
    assert differing.absent("a", first=False).detail == "only the second has it"


def test_many_differences_are_cut_off_and_say_so() -> None:
    one, other = ("\n".join(f"{mark}{n}" for n in range(90)).encode() for mark in "xy")
    every = differing.differences("a.txt", one, other)
    assert len(every) == differing.LIMIT
    assert every[-1].detail.endswith("more follow")


NAMES = st.sampled_from(
    ["a.json", "a.jsonl", "a.csv", "a.npz", "a.npy", "a.safetensors", "a.zip", "a.tar", "a.gz", "a.pyc", "a"]
)


@given(NAMES, st.binary(max_size=64), st.binary(max_size=64))
def test_any_two_files_differ_somewhere_exactly_if_their_bytes_do(name: str, one: bytes, other: bytes) -> None:
    every = differing.differences(name, one, other)
    assert bool(every) == (one != other)
    assert all(item.file == name and item.detail for item in every)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_any_two_documents(one: object, other: object) -> None:
    first, second = json.dumps(one).encode(), json.dumps(other).encode()
    assert bool(differing.differences("a.json", first, second)) == (first != second)


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_bytes_that_differ_are_counted(one: bytes, other: bytes) -> None:
    (found, *_) = differing.differences("f.bin", b"\0\xff" + one, b"\1\xff" + other)
    count = 1 + sum(a != b for a, b in zip(one, other, strict=False))
    assert f"first at byte 0, {count} of " in found.detail
