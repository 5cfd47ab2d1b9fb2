"""`--where`: whatever can be said is taken apart as it was said, anything else is refused in words."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.tracking.conditions import OPERATORS, Condition, parse, quoted
from entrenar_research.errors import UsageError

NAMES = st.text(min_size=1)
VALUES = st.text()
BLANKS = st.sampled_from(["", " ", "  ", "\t"])


@given(NAMES, st.sampled_from(OPERATORS), VALUES, BLANKS, BLANKS)
def test_quoted_parts_come_back_as_they_were(name: str, operator: str, value: str, left: str, right: str) -> None:
    found = parse(f"{left}{quoted(name)}{left}{operator}{right}{quoted(value)}{right}")
    assert (found.name, found.value, found.number) == (name, value, None)
    assert found.operator == ("=" if operator == "==" else operator)


@given(st.floats(allow_nan=False), st.sampled_from(OPERATORS))
def test_numbers_are_numbers(value: float, operator: str) -> None:
    found = parse(f"metrics.loss {operator} {value!r}")
    assert (found.name, found.number) == ("metrics.loss", value)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    found = taken(text)
    if isinstance(found, str):
        assert found.startswith(f"--where {text!r}: ")
    else:
        assert found.name
        assert found.operator in OPERATORS


def taken(text: str) -> Condition | str:
    try:
        return parse(text)
    except UsageError as error:
        return error.message


@pytest.mark.parametrize(
    ("text", "name", "operator", "value"),
    [
        ("metrics.loss<0.5", "metrics.loss", "<", "0.5"),
        ("params.rate = 0.1", "params.rate", "=", "0.1"),
        ("status!=failed", "status", "!=", "failed"),
        ("started>=2026-11-01", "started", ">=", "2026-11-01"),
        ("experiment~lora", "experiment", "~", "lora"),
        ("tag!~old", "tag", "!~", "old"),
        ('params."my rate"==3', "params.my rate", "=", "3"),
        ("a='it''s'", "a", "=", None),
        ("name=two words", "name", "=", "two words"),
        ("a=b=c", "a", "=", "b=c"),
        ("a=''", "a", "=", ""),
        (r"a='it\'s'", "a", "=", "it's"),
    ],
)
def test_examples(text: str, name: str, operator: str, value: str | None) -> None:
    if value is None:
        with pytest.raises(UsageError, match=r"the quotes of .* do not match"):
            parse(text)
        return
    found = parse(text)
    assert (found.name, found.operator, found.value) == (name, operator, value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it begins without a name"),
        ("=3", "it begins without a name"),
        ("loss", "nothing follows 'loss'"),
        ("my rate=3", "found 'rate=3' after 'my'"),
        ("loss<", "there is no value after `<`"),
        ("loss='x", "do not match"),
    ],
)
def test_refusals(text: str, words: str) -> None:
    with pytest.raises(UsageError, match="expected NAME OPERATOR VALUE") as caught:
        parse(text)
    assert words in caught.value.message


def test_what_is_no_number_is_one_in_words() -> None:
    number = parse("loss=NaN").number
    assert number is not None
    assert math.isnan(number)
    assert parse("loss=-inf").number == -math.inf
    assert parse("loss=infinite").number is None
    assert parse("loss='nan'").number is None
    assert parse("loss=1_000").number is None
