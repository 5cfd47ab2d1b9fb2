from __future__ import annotations

import contextlib
import datetime
import io
import math
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from entrenar_research.errors import InvalidFileError
from entrenar_research.models.experiment import Declaration
from entrenar_research.models.study import Study
from entrenar_research.store.yaml_text import Document, dump

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.sampled_from(
        ["yes", "No", "on", "~", "null", "1e-4", "010", "1_000", "0x1F", "12:30:00", "2001-02-03", "=", "<<"]
    ),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def alike(one: Any, other: Any) -> bool:
    """Equality of values and of their types, NaN with NaN."""
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


@settings(deadline=None)
@given(VALUES)
def test_what_is_dumped_is_read_back_by_us_and_by_yaml_1_1_and_1_2(value: Any) -> None:
    text = dump(value)
    assert text.endswith("\n")
    assert alike(Document(text, "f").value, value)
    assert alike(yaml.safe_load(text), value)
    assert alike(YAML(typ="safe").load(text), value)


@settings(deadline=None)
@given(SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3))
def test_a_flow_dump_is_one_piece_that_reads_back(value: Any) -> None:
    if isinstance(value, str) and "\n" in value:
        return
    text = dump(value, flow=True)
    assert alike(Document(f"key: {text}\n", "f").value, {"key": value})


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_what_ruamel_writes_is_read_as_ruamel_reads_it(value: dict[str, Any]) -> None:
    out = io.StringIO()
    writer = YAML()
    writer.default_flow_style = False  # as DVC writes
    writer.dump(value, out)
    theirs = YAML(typ="safe").load(out.getvalue())
    assert alike(Document(out.getvalue(), "f").value, theirs)


@pytest.mark.parametrize(
    "scalar",
    [
        "1", "-1", "+1", "010", "1_000", "0b11", "-0b1", "0o17", "0x1F", "-0x1f", "0x", "0o8", "_1", "1__0", "1:30",
        "1e-4", "1E5", "-1e+3", "1.", ".5", "+.5", ".5e3", ".5e+3", "1_0.5", "1e400", ".inf", "-.Inf", ".nan", "-.nan",
        "true", "False", "TRUE", "yes", "on", "y", "~", "null", "Null", "", "nil", "1.2.3", "12:30:00", "1e1_0",
    ],
)  # fmt: skip
def test_scalars_mean_what_they_mean_to_dvc(scalar: str) -> None:
    assert alike(Document(f"a: {scalar}\n", "f").value, YAML(typ="safe").load(f"a: {scalar}\n"))


def test_a_plain_date_is_text_in_declarations_and_a_date_in_params() -> None:
    text = "day: 2001-02-03\n"
    assert Document(text, "f").value == {"day": "2001-02-03"}
    assert Document(text, "f", dates=True).value == {"day": datetime.date(2001, 2, 3)} == YAML(typ="safe").load(text)
    with pytest.raises(InvalidFileError, match=r"f: day is out of range for month"):
        Document("day: 2001-02-30\n", "f", dates=True)


def test_json_is_read_as_json() -> None:
    text = '{\n\t"note": "\\ud83d\\ude00",\n\t"loss": NaN, "n": 1e400, "rate": 1e-4}'
    value = Document(text, "metrics.json").value
    assert value["note"] == "\U0001f600"
    assert math.isnan(value["loss"])
    assert value["n"] == math.inf
    assert value["rate"] == 0.0001


WRONG = [
    ("comand: x\n", "line 1: unknown key `comand`; did you mean `command`?"),
    ("command: 1\n", "line 1: `command`: expected str, got int"),
    ("", "line 1: the key `command` is missing"),
    ("- a\n", "line 1: expected mapping, got list"),
    ("just text\n", "line 1: expected mapping, got str"),
    ("command: ~\n", "line 1: `command`: expected str, got null"),
    ("command: x\ncode: a.py\n", "line 2: `code`: expected list, got str"),
    ("command: x\ncode:\n- a\n- 1\n", "line 4: `code[1]`: expected str, got int"),
    ("command: x\nseed: 1.5\n", "line 2: `seed`: expected int | null, got float"),
    ("command: x\ntrace: ful\n", "line 2: `trace`: invalid value 'ful', expected one of: full, none, observe"),
    ("command: x\nplan: {cpu: 2}\n", "line 2: unknown key `plan.cpu`; did you mean `cpus`?"),
    ("command: x\nplan:\n  memory: 3\n", "line 3: `plan.memory`: expected str | null, got int"),
    (
        "command: x\nmetrics:\n  acc: {goal: maximize}\n  loss:\n    goal: less\n",
        "line 5: `metrics.loss.goal`: invalid value 'less', expected one of: maximize, minimize, none",
    ),
    (
        "command: x\nmetrics:\n  loss: {gaol: minimize}\n",
        "line 3: unknown key `metrics.loss.gaol`; did you mean `goal`?",
    ),
    (
        "command: x\nmetrics:\n  loss:\n    tolerance: {absolute: small}\n",
        "line 4: `metrics.loss.tolerance.absolute`: expected float, got str",
    ),
    ("command: x\nmetrics: [loss]\n", "line 2: `metrics`: expected mapping, got list"),
    ("command: x\nmetrics:\n  a:\n", "line 3: `metrics.a`: expected mapping, got null"),
    ("command: x\nmetrics: {1: {}}\n", "line 2: a key of `metrics` is not text, expected text: quote it"),
    ("command: x\noutputs:\n- a\n- {path: b}\n", "line 4: the key `outputs[1].from` is missing"),
    ("command: x\noutputs:\n- {path: b, form: c}\n", "line 3: unknown key `outputs[0].form`; did you mean `from`?"),
    ("command: x\noutputs: [1]\n", "line 2: `outputs[0]`: expected str | mapping, got int"),
    ("command: x\nplots:\n- {x: step}\n", "line 3: the key `plots[0].file` is missing"),
    ("command: x\nplots:\n- file: a\n  y: b\n", "line 4: `plots[0].y`: expected list, got str"),
    ("seed: 1\ncommand: x\nseed: 2\n", "line 3: the key `seed` stands a second time (first: line 1)"),
    ("command: x\nplan:\n  cpus: 1\n  cpus: 2\n", "line 4: the key `cpus` stands a second time (first: line 3)"),
    ("command: x\n\tseed: 1\n", "line 2, column 1: found a tab character that violates indentation\n  \tseed: 1\n  ^"),
    ("command: x\ncode: [a\n", "line 3, column 1: did not find expected ',' or ']' (the file ends here)"),
    ("command: 'x\n", "line 2, column 1: found unexpected end of stream (the file ends here)"),
    ("command: x\n---\nseed: 1\n", "line 2, column 1: but found another document\n  ---\n  ^"),
    ("command: x\nseed: \x07\n", "line 2: control characters are not allowed"),
    ("command: !run x\n", "could not determine a constructor for the tag '!run'\n  command: !run x\n           ^"),
    ("command: x\ncode: &a [*a]\n", "line 2: an alias stands inside of what it stands for"),
    ("command: x\ncode: *a\n", "line 2, column 7: found undefined alias\n  code: *a\n        ^"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_what_is_wrong_in_a_declaration_is_said_with_its_line(text: str, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        Document(text, "e.yaml").convert(Declaration)
    assert caught.value.message.startswith("e.yaml, line ")
    assert caught.value.message.endswith(words)


def test_an_unknown_key_unlike_any_other_is_answered_with_all_of_them() -> None:
    with pytest.raises(InvalidFileError, match="unknown key `zzz`; known: command, description, params, seed, code"):
        Document("command: x\nzzz: 1\n", "e.yaml").convert(Declaration)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("authors:\n- given: A\n", "line 4: the key `authors[0].family` is missing"),
        (
            "authors:\n- family: A\n  affiliations:\n  - {nam: X}\n",
            "line 6: unknown key `authors[0].affiliations[0].nam`; did you mean `name`?",
        ),
        ("authors: Ada\n", "line 3: `authors`: expected list, got str"),
    ],
)
def test_what_is_wrong_deep_in_a_list_is_said_with_its_line(text: str, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        Document("title: T\nlicense: MIT\n" + text, "study.yaml").convert(Study)
    assert caught.value.message == f"study.yaml, {words}"


def test_anchors_and_merge_keys_mean_what_yaml_says() -> None:
    text = "command: x\nmetrics:\n  a: &m {goal: minimize}\n  b: *m\n  c: {<<: *m, file: z.json}\n"
    found = Document(text, "e.yaml").convert(Declaration).metrics
    assert found["a"] == found["b"]
    assert (found["c"].goal, found["c"].file) == ("minimize", "z.json")


def test_aliases_that_would_fill_the_memory_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(InvalidFileError, match=r"f, line 6: more than 1000000 entries with all aliases written out"):
        Document("\n".join(lines), "f")


@pytest.mark.parametrize(
    "text", ["[" * 50_000, "{a: " * 20_000, "- " * 20_000 + "x", "\n".join(" " * n + "a:" for n in range(2_000))]
)
def test_nesting_that_would_crash_the_parser_is_an_error(text: str) -> None:
    with pytest.raises(InvalidFileError, match=r"f, line \d+: nested more than 200 levels deep"):
        Document(text, "f")


def test_many_lists_beside_each_other_are_not_deep() -> None:
    assert Document("- [[1]]\n" * 5000, "f").value == [[[1]]] * 5000


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": 1,}', "m.json, line 1, column 9: "),
        ('{\n "a": 1\n "b": 2}', "m.json, line 3, column 2: "),
        ('{"a": 1, "a": 2}', "m.json: the key `a` stands a second time in one object"),
        ("[" * 100_000, "m.json: nested too deeply"),
        ("", "m.json, line 1, column 1: "),
    ],
)
def test_what_is_wrong_in_json_is_said(text: str, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        Document(text, "m.json")
    assert caught.value.message.startswith(words)


def test_text_that_no_file_can_hold_is_refused() -> None:
    with pytest.raises(InvalidFileError, match="f: not UTF-8 text"):
        Document("a: \udc80", "f")


@settings(deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"#\n \t%@,?1.~<=\\\x00\x07\u2028é"), max_size=30))
def test_any_text_is_read_or_refused_by_an_error_of_ours(text: str) -> None:
    with contextlib.suppress(InvalidFileError):
        Document(text, "f").convert(Declaration)
