from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.tracking import curves

VALUES = st.lists(st.floats(width=32) | st.sampled_from([math.nan, math.inf, -math.inf]), min_size=1, max_size=300)


def drawn_columns(
    xs: list[float], ys: list[float], columns: int, first: float, last: float
) -> dict[int, tuple[float, float]]:
    """Lowest and highest finite value of each column of pixels."""
    found: dict[int, tuple[float, float]] = {}
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(y):
            column = min(int((x - first) * columns / (last - first)), columns - 1)
            low, high = found.get(column, (y, y))
            found[column] = min(low, y), max(high, y)
    return found


@given(VALUES, st.sampled_from([1, 2, 4, 8]))
def test_thinning_keeps_the_extremes_of_every_column(values: list[float], columns: int) -> None:
    xs: list[float] = list(range(len(values)))
    kept_xs, kept_ys = curves.thinned(xs, values, columns)
    assert len(kept_xs) == len(kept_ys) <= max(4 * columns, 4)
    assert kept_xs == sorted(kept_xs)
    points = [*zip(xs, map(repr, values), strict=True)]
    assert all(point in points for point in zip(kept_xs, map(repr, kept_ys), strict=True))
    if len(values) > 1:
        last = float(len(values) - 1)
        whole = drawn_columns(xs, values, columns, 0.0, last)
        kept = drawn_columns(kept_xs, kept_ys, columns, 0.0, last)
        assert {column: repr(item) for column, item in whole.items()}.keys() == kept.keys()
        for column, (low, high) in whole.items():
            assert (low, high) == kept[column]


def test_one_spike_among_a_million_points_stays() -> None:
    values = [0.0] * 1_000_000
    values[654_321] = 7.0
    values[123_456] = -3.0
    xs, ys = curves.thinned(range(len(values)), values, 2400)
    assert len(xs) <= 9600
    assert dict(zip(xs, ys, strict=True))[654_321] == 7.0
    assert min(ys) == -3.0
    assert (xs[0], xs[-1]) == (0, 999_999)


def test_a_wide_gap_stays_a_gap_and_a_narrow_one_hides_nothing() -> None:
    values = [1.0] * 1000 + [math.nan] * 1000 + [2.0] * 1000
    values[500] = math.nan
    xs, ys = curves.thinned(range(3000), values, 30)
    gap = [x for x, y in zip(xs, ys, strict=True) if math.isnan(y)]
    assert gap
    assert all(1000 <= x < 2000 for x in gap)


def test_many_points_at_one_place() -> None:
    assert curves.thinned([3.0] * 100, [float(value) for value in range(100)], 4) == ([3.0, 3.0], [0.0, 99.0])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 99))))
def test_order_is_by_x_and_otherwise_as_it_came(points: list[tuple[int, int]]) -> None:
    xs, ys = curves.ordered([x for x, _ in points], [y for _, y in points])
    assert list(zip(xs, ys, strict=True)) == sorted(points, key=lambda point: point[0])


def test_smoothing_is_the_weighted_mean_of_what_was() -> None:
    assert curves.smoothed([3.0, 3.0, 3.0], 0.9) == pytest.approx([3.0, 3.0, 3.0])
    assert curves.smoothed([1.0, 2.0], 0.5) == pytest.approx([1.0, (0.25 * 1 + 0.5 * 2) / 0.75])
    found = curves.smoothed([1.0, math.nan, math.inf, 1.0], 0.9)
    assert found[0] == found[3] == pytest.approx(1.0)
    assert math.isnan(found[1])
    assert found[2] == math.inf


def test_names_tell_runs_apart() -> None:
    assert curves.shortest(["1Z-a-0000", "2Z-a-1111"]) == {"1Z-a-0000": "0000", "2Z-a-1111": "1111"}
    assert curves.shortest(["1Z-a-0000", "1Z-b-0000"]) == {"1Z-a-0000": "a-0000", "1Z-b-0000": "b-0000"}
    assert curves.shortest(["x"]) == {"x": "x"}
    assert curves.differing([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1}]) == ["b"]
