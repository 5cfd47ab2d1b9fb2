from __future__ import annotations

import csv
import io
import json
import random
import zipfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.core.content import content_digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


def tensors(
    entries: dict[str, tuple[str, list[int], bytes]], *, order: list[str] | None = None, indent: int | None = None
) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body = b""
    for name in order or list(entries):
        kind, shape, data = entries[name]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps(header, indent=indent).encode()
    return len(text).to_bytes(8, "little") + text + body


def archive(members: list[tuple[str, bytes]], *, packed: bool, year: int = 1980) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as target:
        for name, data in members:
            info = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            target.writestr(info, data, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return out.getvalue()


PAIR = [("x", b"1"), ("y", b"2" * 99)]
WEIGHTS = {"w": ("F32", [2], b"12345678"), "b": ("U8", [3], b"abc")}
SAME = [
    ("a.json", b'{"a": 1, "b": [1.0, 2e2]}', b'{"b":[1.00,200.0],\n\t"a":1}'),
    ("a.json", b'["\\u00e9"]', '["é"]'.encode()),
    ("a.json", b"[NaN, Infinity]", b"[ NaN,Infinity ]"),
    ("A.JSON", b"[1]", b"[1]\n"),
    ("a.csv", b"a,b\n1,2\n", b'"a",b\r\n1,"2"'),
    ("a.safetensors", tensors(WEIGHTS), tensors(WEIGHTS, order=["b", "w"], indent=1)),
    ("a.zip", archive(PAIR, packed=False), archive(PAIR[::-1], packed=True, year=2020)),
    ("a.npz", archive([("x.npy", b"1" * 99)], packed=False), archive([("x.npy", b"1" * 99)], packed=True)),
]  # fmt: skip
DIFFERENT = [
    ("a.json", b'{"a": 1}', b'{"a": 1.0}'),
    ("a.json", b'{"a": 1.0}', b'{"a": "float 1.0"}'),
    ("a.json", b"[1.0]", b'["1.0"]'),
    ("a.json", b"[NaN]", b'["NaN"]'),
    ("a.json", b"[true]", b"[1]"),
    ("a.json", b"[0.0]", b"[-0.0]"),
    ("a.json", b"[1, 2]", b"[2, 1]"),
    ("a.csv", b"1\n2\n", b"2\n1\n"),
    ("a.csv", b"1,2\n", b"1;2\n"),
    ("a.csv", b"a b\n", b"a  b\n"),
    ("a.safetensors", tensors(WEIGHTS), tensors({**WEIGHTS, "b": ("U8", [3], b"abd")})),
    ("a.safetensors", tensors(WEIGHTS), tensors({**WEIGHTS, "b": ("I8", [3], b"abc")})),
    ("a.safetensors", tensors(WEIGHTS), tensors({**WEIGHTS, "b": ("U8", [1, 3], b"abc")})),
    ("a.zip", archive([("x", b"1")], packed=True), archive([("x", b"2")], packed=True)),
    ("a.zip", archive([("x", b"1")], packed=True), archive([("y", b"1")], packed=True)),
]
NONE = [
    ("a.txt", b"x"),
    ("json", b"[1]"[:0]),
    ("a.json", b"{"),
    ("a.json", b"\xff"),
    ("a.json", b'{"a": 1, "a": 2}'),
    ("a.json", b"[1e999]"),
    ("a.json", b"[" * 100_000),
    ("a.json", b"1" * 5_000),
    ("a.csv", b"\xff,1"),
    ("a.csv", b'"' + b"x" * 200_000),
    ("a.csv", b'"a'),
    ("a.safetensors", b""),
    ("a.safetensors", b"\xff" * 8 + b"{}"),
    ("a.safetensors", tensors(WEIGHTS) + b"hidden"),
    ("a.safetensors", tensors(WEIGHTS)[:-1]),
    ("a.safetensors", (2).to_bytes(8, "little") + b"[]"),
    ("a.safetensors", (7).to_bytes(8, "little") + b'{"a":1}'),
    ("a.safetensors", (25).to_bytes(8, "little") + b'{"a":{"data_offsets": 1}}'),
    ("a.zip", b"PK"),
    ("a.zip", archive([("x", b"1" * 99)], packed=True).replace(b"K\x03\x04", b"K\x03\x05")),
]


@pytest.mark.parametrize(("name", "one", "other"), SAME)
def test_equal_content_in_other_bytes_has_one_digest(name: str, one: bytes, other: bytes) -> None:
    assert one != other
    assert content_digest(name, one) == content_digest(name, other) is not None


@pytest.mark.parametrize(("name", "one", "other"), DIFFERENT)
def test_different_content_has_two_digests(name: str, one: bytes, other: bytes) -> None:
    digests = {content_digest(name, one), content_digest(name, other)}
    assert len(digests) == 2
    assert None not in digests


@pytest.mark.parametrize(("name", "data"), NONE)
def test_what_is_not_what_its_name_says_has_no_content(name: str, data: bytes) -> None:
    assert content_digest(name, data) is None


def test_two_members_of_one_name_do_not_hide_each_other() -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        one = archive([("x", b"1"), ("x", b"2")], packed=True)
    with pytest.warns(UserWarning, match="Duplicate name"):
        other = archive([("x", b"3"), ("x", b"2")], packed=True)
    assert content_digest("a.zip", one) != content_digest("a.zip", other)


@settings(deadline=None)
@given(JSON)
def test_json_in_any_layout_and_order_is_equal(value: Any) -> None:
    plain = json.dumps(value).encode()
    other = json.dumps(shuffled(value), indent=2, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if b"\\ud" not in plain:
        assert content_digest("a.json", plain) == content_digest("a.json", other) is not None


@settings(deadline=None)
@given(JSON, JSON)
def test_json_of_other_values_is_different(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    digests = [content_digest("a.json", json.dumps(value).encode()) for value in (one, other)]
    assert (digests[0] == digests[1]) is same


@settings(deadline=None)
@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n")), min_size=2)))
def test_tables_in_any_quoting_are_equal(rows: list[list[str]]) -> None:
    texts = []
    for delimiter in ("\n", "\r\n"):
        out = io.StringIO(newline="")
        if delimiter == "\n":
            csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator=delimiter).writerows(rows)
        else:
            csv.writer(out, lineterminator=delimiter).writerows(rows)
        texts.append(out.getvalue().encode())
    assert content_digest("a.csv", texts[0]) == content_digest("a.csv", texts[1]) is not None


@pytest.mark.parametrize("name", ["a.json", "a.csv", "a.safetensors", "a.zip", "a.npz"])
def test_damaged_files_never_raise(name: str) -> None:
    dice = random.Random(name)
    whole = {
        "json": b'{"a": [1, 2.5, "x"], "b": {"c": null}}',
        "csv": b'a,"b"\n1,2\n',
        "safetensors": tensors(WEIGHTS),
    }.get(name.partition(".")[2], archive([("x", b"1" * 200), ("y", b"")], packed=True))
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        content_digest(name, bytes(data[: dice.randint(0, len(data) * 2)]))
