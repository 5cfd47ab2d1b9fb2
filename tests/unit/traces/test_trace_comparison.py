"""Holding one trace against another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.comparison import Comparison, Divergence, compare, describe, unlike
from entrenar_research.core.traces.normalisation import counts_of

GOLDEN = [f"1 read($STUDY/{name}) = 1" for name in "abcdef"]


def against(lines: list[str]) -> Comparison:
    return compare(GOLDEN, counts_of(GOLDEN), lines, counts_of(lines))


def test_the_same_lines_are_the_same() -> None:
    found = against(list(GOLDEN))
    assert found.same
    assert found.first_divergence is None
    assert describe(found) == "the same calls in the same order"


def test_another_order_is_told_at_its_first_place() -> None:
    swapped = [*GOLDEN[:4], GOLDEN[5], GOLDEN[4]]
    found = against(swapped)
    assert not found.same
    assert found.count_differences == ()
    assert found.first_divergence == Divergence(index=4, before=tuple(GOLDEN[1:4]), expected=GOLDEN[4], found=GOLDEN[5])
    said = describe(found).splitlines()
    assert said[0] == "first divergence at call 5:"
    assert said[-2:] == [f"  - {GOLDEN[4]}", f"  + {GOLDEN[5]}"]


def test_one_call_more_is_told_by_number_and_place() -> None:
    more = [*GOLDEN, "1 connect([socket], 192.0.2.1:80) = ok"]
    found = against(more)
    assert found.count_differences == (("connect", 0, 1),)
    assert found.first_divergence == Divergence(index=6, before=tuple(GOLDEN[3:]), expected=None, found=more[-1])
    assert "connect  0 -> 1 (+1)" in describe(found)
    assert "(the golden trace ends here)" in describe(found)


def test_a_trace_that_stops_early_is_told() -> None:
    found = against(GOLDEN[:2])
    assert found.first_divergence == Divergence(index=2, before=tuple(GOLDEN[:2]), expected=GOLDEN[2], found=None)
    assert found.count_differences == (("read", 6, 2),)
    assert "(this trace ends here)" in describe(found)


def test_counts_alone_can_differ() -> None:
    found = compare(GOLDEN, {"read": 6}, GOLDEN, {"read": 7})
    assert not found.same
    assert found.first_divergence is None


def test_many_differing_counts_are_cut_short() -> None:
    found = compare([], {f"c{number:02}": 1 for number in range(30)}, [], {})
    assert "and 10 more" in describe(found)


@pytest.mark.parametrize("lines", [[], ["1 exit(0)"]])
def test_nothing_against_nothing_is_the_same(lines: list[str]) -> None:
    assert compare(lines, {}, list(lines), {}).same


@given(st.lists(st.sampled_from("ab")), st.lists(st.sampled_from("ab")))
def test_the_place_is_the_end_of_the_longest_common_beginning(left: list[str], right: list[str]) -> None:
    found = compare(left, {}, right, {})
    assert found.same == (left == right)
    if found.first_divergence is not None:
        place = found.first_divergence.index
        assert left[:place] == right[:place]
        assert left[place : place + 1] != right[place : place + 1]


def test_two_tracers_are_told() -> None:
    assert unlike(("before", "strace"), ("after", "strace")) is None
    said = unlike(("before", "strace"), ("after", "kernel"))
    assert said is not None
    assert said.startswith("before was traced with strace, after with kernel: ")
