from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.core import digests
from entrenar_research.errors import IntegrityError

HEX = "0" * 64
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(VALUES.filter(lambda value: "\\ud" not in json.dumps(value)))
def test_canonical_json_is_json_of_the_value_whatever_the_order_of_its_keys(value: Any) -> None:
    text = digests.canonical_json(value)
    assert json.loads(text) == value
    assert digests.canonical_json(json.loads(json.dumps(value, sort_keys=False))) == text
    assert b"\n" not in text


def test_canonical_json_has_no_blanks_and_no_infinity() -> None:
    assert digests.canonical_json({"b": [1, 2.5], "a": "é"}) == '{"a":"é","b":[1,2.5]}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        digests.canonical_json([math.inf])


@settings(deadline=None)
@given(
    st.dictionaries(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), st.binary())
)
def test_a_manifest_is_read_back(files: dict[str, bytes]) -> None:
    entries = {path: digests.sha256(data) for path, data in files.items()}
    text = digests.manifest(entries.items())
    assert digests.parse_manifest(text, "m") == entries
    assert digests.manifest(reversed(entries.items())) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEX}  a", "m: the last line is cut off"),
        (f"{HEX}  a\n{HEX} b\n", f"m, line 2: expected `<64 hex digits>  <path>`, found '{HEX} b'"),
        (f"{HEX[1:]}  a\n", "m, line 1: expected"),
        (f"{HEX[1:]}g  a\n", "m, line 1: expected"),
        (f"{HEX}  \n", "m, line 1: expected"),
        (f"{HEX}  a\n{HEX}  a\n", "m, line 2: expected"),
        (f"\\{HEX}  a\\\\b\n\\{HEX}  a\\\\b\n", "m, line 2: expected"),
        ("\n", "m, line 1: expected"),
    ],
)
def test_a_line_that_is_no_entry_is_named(text: str, words: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        digests.parse_manifest(text, "m")
    assert caught.value.message.startswith(words)


def test_digests_carry_their_algorithm_where_they_prove_something() -> None:
    assert digests.sha256(b"x") == "sha256:" + hashlib.sha256(b"x").hexdigest()
    assert digests.md5(b"x") == hashlib.md5(b"x", usedforsecurity=False).hexdigest()
    assert digests.dvc_directory([("b", "2"), ("a", "1")]) == (
        b'[{"md5": "1", "relpath": "a"}, {"md5": "2", "relpath": "b"}]'
    )
