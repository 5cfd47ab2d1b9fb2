"""What a tolerance says nothing about: an output without its metrics, and when two of them say the same."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core import content, metrics

DOCUMENT = {"loss": 1.5, "deep": {"error": 2, "other": [1]}, "a.b": 3}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("keys", "rest"),
    [
        ((), DOCUMENT),
        (("loss",), {"deep": {"error": 2, "other": [1]}, "a.b": 3}),
        (("deep.error", "a.b"), {"loss": 1.5, "deep": {"other": [1]}}),
        (("loss", "loss", "not.there"), {"deep": {"error": 2, "other": [1]}, "a.b": 3}),
    ],
)
def test_metrics_are_taken_out_where_they_are_picked_from(keys: tuple[str, ...], rest: Any) -> None:
    before = repr(DOCUMENT)
    assert metrics.without(DOCUMENT, keys) == rest
    assert repr(DOCUMENT) == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": 1.0}),
        ({"a": 1}, {"a": True}),
        ({"a": "1.5"}, {"a": 1.5}),
        ({"a": float("nan")}, {"a": "nan"}),
        ({"a": None}, {"a": "None"}),
        ({"a": 0.0}, {"a": -0.0}),
        ([["a", 1]], {"a": 1}),
        (["float", "1.5"], 1.5),
        ({1: "a"}, {"1": "a"}),
    ],
)
def test_values_that_look_alike_are_told_apart(one: Any, other: Any) -> None:
    assert content.value_digest(one) != content.value_digest(other)


@given(VALUES, VALUES)
def test_digests_are_equal_for_equal_values_only(one: Any, other: Any) -> None:
    assert (content.value_digest(one) == content.value_digest(other)) == (typed(one) == typed(other))


@given(st.dictionaries(st.text(max_size=3), VALUES))
def test_the_order_of_keys_does_not_matter(value: dict[str, Any]) -> None:
    backwards = dict(reversed(value.items()))
    assert content.value_digest(value) == content.value_digest(backwards)


def typed(value: Any) -> Any:
    """The value with the type of every part, comparable by `==`."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return type(value).__name__, repr(value)
