from __future__ import annotations

import copy
import difflib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.errors import InvalidFileError
from entrenar_research.store.yaml_edit import drop, put
from entrenar_research.store.yaml_text import Document, dump

HAND = """\
# On top
stages:
  # Mine
  line:
    cmd: x   # why
    deps:
      - a
      - b  # bee
  # Somebody else's
  other:
    cmd: 'quoted   cmd'  # spaces
    text: |
      kept
       as it is

metrics: [a.json]   # flow
plots:
  # first
  - a.csv: {x: step}
  # second
  - b.csv
# The end
"""


def changed(before: str, after: str) -> list[str]:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return [f"{line[0]} {line[1:]}" for line in lines if not line.startswith("@@")]


@pytest.mark.parametrize(
    ("place", "value", "lines"),
    [
        (["stages", "line", "cmd"], "y", ["-     cmd: x   # why", '+     cmd: "y"   # why']),
        (["stages", "line", "deps"], ["a", "b", "c"], ["+       - c"]),
        (["stages", "line", "deps"], ["c"], ["-       - a", "-       - b  # bee", "+     - c"]),
        (["stages", "line", "outs"], [1], ["+     outs:", "+     - 1"]),
        (["stages", "new"], {"cmd": "z"}, ["+   new:", "+     cmd: z"]),
        (["stages", "new", "cmd"], "z", ["+   new:", "+     cmd: z"]),
        (["metrics"], ["a.json", "b"], ["- metrics: [a.json]   # flow", "+ metrics: [a.json, b]   # flow"]),
        (["plots"], [{"a.csv": {"x": "step"}}, "b.csv", "c"], ["+   - c"]),
        (["plots"], [{"a.csv": {"x": "step"}}, "b.csv"], []),
        (["more", "deep"], 1, ["+ more:", "+   deep: 1"]),
    ],
)
def test_only_the_entry_changes(place: list[str], value: Any, lines: list[str]) -> None:
    assert changed(HAND, put(HAND, "f", place, value)) == lines


@pytest.mark.parametrize(
    ("place", "lines"),
    [
        (["stages", "line"], ["-   line:", "-     cmd: x   # why", "-     deps:", "-       - a", "-       - b  # bee"]),
        (["stages", "line", "deps", 0], ["-       - a"]),
        (["metrics", 0], ["- metrics: [a.json]   # flow", "+ metrics: []"]),
        (["plots", 1], ["-   - b.csv"]),
        (["plots", 7], []),
        (["absent"], []),
        (["absent", "deeper"], []),
    ],
)
def test_only_the_entry_goes(place: list[str | int], lines: list[str]) -> None:
    assert changed(HAND, drop(HAND, "f", place)) == lines


def test_the_last_item_takes_its_list_along() -> None:
    assert Document(drop(drop(HAND, "f", ["plots", 0]), "f", ["plots", 0]), "f").value.keys() == {"stages", "metrics"}


@pytest.mark.parametrize(
    "text", ["", "# c\n", "stages:\n", "stages:", "stages: {}\n", "stages: ~ # c\nx: 1\n", "x: 1", "\ufeffx: 1\n"]
)
def test_a_place_for_it_is_made(text: str) -> None:
    after = put(text, "f", ["stages", "n"], {"cmd": "y"})
    assert Document(after, "f").value == {**(Document(text, "f").value or {}), "stages": {"n": {"cmd": "y"}}}
    assert after.startswith(text[:1]) or text == ""


def test_a_mapping_in_one_line_stays_one_line() -> None:
    assert put("a: {b: {c: 1}} # q\n", "f", ["a", "b", "d"], [1, "x: y"]) == "a: {b: {c: 1, d: [1, 'x: y']}} # q\n"


@pytest.mark.parametrize("text", ["a: &x {c: 1}\nb: *x\n", "a: &x\n  c: 1\nb: *x\n"])
def test_what_two_places_share_is_left_alone(text: str) -> None:
    with pytest.raises(InvalidFileError, match=r"f: `b\.c` cannot be changed on its own"):
        put(text, "f", ["b", "c"], 2)


def test_a_list_at_the_top_has_no_entries() -> None:
    with pytest.raises(InvalidFileError, match="cannot be changed on its own"):
        put("- a\n", "f", ["a"], 1)


def test_json_stays_json() -> None:
    assert put('{"a": 1, "b": "é"}', "p.json", ["a"], 2) == '{\n  "a": 2,\n  "b": "é"\n}\n'


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12)
TREES = st.dictionaries(
    st.text(alphabet="abcdxyn", min_size=1, max_size=3),
    LEAVES | st.lists(LEAVES, max_size=3) | st.dictionaries(st.text(alphabet="pq", min_size=1), LEAVES, max_size=3),
    max_size=5,
)


@settings(deadline=None)
@given(TREES, st.text(alphabet="abcdxyn", min_size=1, max_size=3), LEAVES | st.lists(LEAVES, max_size=3))
def test_every_entry_of_a_dumped_mapping_can_be_set(tree: dict[str, Any], key: str, value: Any) -> None:
    expected = {**tree, key: value}
    assert Document(put(dump(tree), "f", [key], value), "f").value == expected


@settings(deadline=None)
@given(TREES, st.data())
def test_every_entry_of_a_dumped_mapping_can_be_removed(tree: dict[str, Any], data: st.DataObject) -> None:
    if not tree:
        return
    key = data.draw(st.sampled_from(sorted(tree)))
    expected = copy.deepcopy(tree)
    del expected[key]
    assert (Document(drop(dump(tree), "f", [key]), "f").value or {}) == expected
