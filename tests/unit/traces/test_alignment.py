"""The longest common subsequence is one, exactly, and long ones are divided where they agree."""

import itertools
import random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.likeness import alignment

NUMBERS = st.lists(st.integers(0, 5), max_size=40)


def plainly(one: list[int], other: list[int]) -> int:
    row = [0] * (len(other) + 1)
    for left in one:
        above = 0
        for place, right in enumerate(other, 1):
            above, row[place] = row[place], above + 1 if left == right else max(row[place], row[place - 1])
    return row[-1]


@given(NUMBERS, NUMBERS)
def test_the_length_is_that_of_the_textbook(one: list[int], other: list[int]) -> None:
    assert alignment.longest_common(one, other) == plainly(one, other)


@given(st.data())
def test_it_is_the_same_by_pairs_and_by_bits(data: st.DataObject) -> None:
    numbers = st.lists(st.integers(0, data.draw(st.sampled_from([1, 3, 20, 200]))), max_size=60)
    one, other = data.draw(numbers), data.draw(numbers)
    length = plainly(one, other)
    for few in (0, 1000):
        with patch.object(alignment, "_FEW", few):
            assert alignment.longest_common(one, other) == length


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that short sequences are divided as long ones are."""
    monkeypatch.setattr(alignment, "_EXACT", 16)
    monkeypatch.setattr(alignment, "_BITS", 4)


@pytest.mark.usefixtures("small")
def test_unique_lines_divide_without_loss() -> None:
    one = list(range(300))
    other = [number for number in one if number % 7] + [1000]
    other[40:40] = [2000, 2001]
    assert alignment.longest_common(one, other) == len([number for number in one if number % 7])


@pytest.mark.usefixtures("small")
def test_rows_of_lines_are_unique_where_lines_are_not() -> None:
    chance = random.Random(3)
    one = [chance.randrange(6) for _ in range(400)]
    other = one[:200] + one[201:]
    assert alignment.longest_common(one, other) == 399


@pytest.mark.usefixtures("small")
def test_without_anything_to_hold_on_to_it_is_a_lower_bound() -> None:
    one, other = [1, 2] * 60, [2, 1, 1] * 40
    found = alignment.longest_common(one, other)
    assert 0 < found <= plainly(one, other)


@pytest.mark.usefixtures("small")
def test_the_anchors_ascend_on_both_sides() -> None:
    one, other = list(range(50)), [*range(25, 50), *range(25)]
    found = alignment._anchors(one, other)
    assert len(found) == 25
    assert all(a < c and b < d for (a, b), (c, d) in itertools.pairwise(found))
