"""How alike stacks are: a number between 0 and 1, whichever comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.failures.similarity import signature, similarity

FRAMES = st.lists(st.sampled_from(["a.py:f", "a.py:g", "b.py:f", "b.py:h", "c.py:i"]), max_size=12).map(tuple)


def stack(*calls: str, exception: str = "ValueError") -> str:
    frames = "".join(f'  File "{call.partition(":")[0]}", line {n * 7}, in {call.partition(":")[2]}\n' for n, call in
                     enumerate(calls))  # fmt: skip
    return f"Traceback (most recent call last):\n{frames}{exception}: no\n"


@given(FRAMES, FRAMES)
def test_bounds_symmetry_and_equality(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    found = similarity(one, other)
    assert found == similarity(other, one)
    assert 0 <= found <= 1
    assert (found == 1) == (one == other)
    assert (found == 0) == (one != other and not {*one} & {*other})
    assert similarity(one, one) == 1


@given(FRAMES.filter(bool), st.integers(0, 11))
def test_a_change_further_out_matters_less(frames: tuple[str, ...], place: int) -> None:
    def changed(at: int) -> float:
        return similarity(frames, (*frames[:at], "other.py:x", *frames[at + 1 :]))

    place %= len(frames)
    if place + 1 < len(frames):
        assert changed(place) <= changed(place + 1)


def test_by_hand() -> None:
    # One of two frames is common, innermost: 1 / (1 + exp(-0.1)) = 0.52497...
    assert similarity(("a", "b"), ("a", "c")) == 0.5249
    # The common one lies one place further out: exp(-0.2) / (1 + exp(-0.1)) = 0.42981...
    assert similarity(("x", "a"), ("a", "y")) == 0.4298


def test_lines_digits_addresses_and_places_do_not_count() -> None:
    one = stack("/home/a/study/train.py:main", "data.py:load_2")
    other = stack("/srv/b/train.py:main", "data.py:load_17").replace("line 7", "line 99")
    assert signature("ValueError", one) == signature("ValueError", other)
    assert signature("ValueError", one) == ("ValueError", "data.py:load_", "train.py:main")


def test_an_init_file_is_known_by_its_package() -> None:
    assert signature(None, stack("lib/json/__init__.py:loads")) == ("ValueError", "json/__init__.py:loads")


@pytest.mark.parametrize("text", [None, "", "no stack", "ValueError: x"])
def test_without_a_stack_there_is_nothing_to_compare(text: str | None) -> None:
    assert signature("ValueError", text) == ()


def test_the_type_counts() -> None:
    one, other = (signature(kind, stack("a.py:f", "b.py:g")) for kind in ("ValueError", "KeyError"))
    assert 0.5 < similarity(one, other) < 0.75


def test_the_innermost_of_a_deep_stack_count() -> None:
    deep = signature(None, stack(*(f"a.py:{chr(97 + n % 26)}" for n in range(500))))
    assert len(deep) == 64
    assert similarity(deep, deep) == 1
