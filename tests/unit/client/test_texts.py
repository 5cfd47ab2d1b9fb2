"""The client's own JSON and YAML, against the readers that everybody else has."""

from __future__ import annotations

import enum
import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.client import texts, values
from entrenar_research.errors import UsageError
from entrenar_research.store.yaml_text import Document

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
AWKWARD = st.sampled_from(
    [
        *("no", "Null", "~", "1e5", "0x1F", "- a", "a: b", "a #b", "'", '"', "\\", "\u2028", "\ufeff", "\x85", ".inf"),
        *("<<", "=", "!x", "&x", "*x", "|", ">", "%", "@", "`", "{", "[", " a", "a ", "\t", "a\nb", "\U0001f600"),
        "2001-02-03",
    ]
)
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=100) | AWKWARD.filter(
    lambda text: not any(c in text for c in "\n\t\x85\u2028")
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT | AWKWARD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return one == other or (math.isnan(one) and math.isnan(other))
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


@given(st.dictionaries(NAMES, PLAIN, max_size=5))
def test_yaml_is_read_back_by_ours(value: dict[str, Any]) -> None:
    found = Document(texts.yaml_text(value), "run.yaml").value or {}
    assert same(found, value)


@given(st.dictionaries(NAMES, PLAIN, max_size=5))
def test_yaml_is_read_back_by_yaml_1_1(value: dict[str, Any]) -> None:
    """PyYAML reads YAML 1.1, which takes more for numbers, dates and truth values."""
    assert same(yaml.safe_load(texts.yaml_text(value)) or {}, value)


@given(PLAIN)
def test_json_is_read_back(value: Any) -> None:
    text = texts.json_text(value)
    assert text.isascii()
    assert "\n" not in text
    assert same(json.loads(text), value)


def test_yaml_as_people_would_write_it() -> None:
    value = {"a": {"b": [1, {"c": None, "d": []}, ["x", {}]]}, "e": "plain text", "f": "with: colon", "g": 1e-5}
    assert texts.yaml_text(value) == (
        "a:\n  b:\n    - 1\n    - c: null\n      d: []\n    -\n      - x\n      - {}\n"
        'e: plain text\nf: "with: colon"\ng: 1.0e-05\n'
    )


class Colour(enum.StrEnum):
    RED = "red"


class Size(enum.IntEnum):
    SMALL = 1


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ((1, 2), [1, 2]),
        (Colour.RED, "red"),
        (Size.SMALL, 1),
        (Path("a/b"), "a/b"),
        ({"a": (Size.SMALL,)}, {"a": [1]}),
        (10**30, 10**30),
        ("a\udcff", "a\\udcff"),
    ],
)
def test_values_become_plain(value: Any, wanted: Any) -> None:
    found = values.plain(value, "params")
    assert same(found, wanted)


def test_values_of_numpy_become_plain() -> None:
    numpy = pytest.importorskip("numpy")
    given_ = {"a": numpy.float32(0.5), "b": numpy.int64(3), "c": numpy.array([[1, 2]]), "d": numpy.bool_(True)}
    assert same(values.plain(given_, "params"), {"a": 0.5, "b": 3, "c": [[1, 2]], "d": True})


class Strange:
    def __repr__(self) -> str:
        return "<strange>"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": {1, 2}}, "params.a is {1, 2} (set), expected text, a number"),
        ({"a": [Strange()]}, "params.a[0] is <strange> (Strange)"),
        ({1: 2}, "the key in params is 1 (int), expected text"),
        ({"a\n": 2}, "the key in params, 'a\\n', has '\\n' at 1"),
        ({"a": "x" * 70_000}, "params.a has 70000 characters, expected at most 65536"),
    ],
)
def test_what_cannot_be_written_is_named(value: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        values.plain(value, "params")
    assert said in caught.value.message
    assert caught.value.hint


def test_values_within_themselves() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(UsageError, match="nested more than 50 levels deep"):
        values.plain(endless, "params")
