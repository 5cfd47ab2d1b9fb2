from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from entrenar_research.core import regression
from entrenar_research.core.regression import Change, Rules

NUMBERS = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False).map(lambda value: round(value, 6))
SAMPLES = st.lists(NUMBERS, min_size=2, max_size=30)
STEADY = [10.0, 10.1, 9.9, 10.05, 9.95]


def judged(before: list[float], now: list[float], rules: Rules | None = None) -> Change:
    (found,) = regression.judge({"x": before}, {"x": now}, rules)
    return found


@given(SAMPLES, SAMPLES)
def test_welch_agrees_with_scipy(one: list[float], other: list[float]) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy, the reference, comes with scikit-learn, and is not here")
    # Spreads at the edge of what a float can tell are the reference's own noise.
    assume(all(statistics.stdev(samples) > 1e-6 * (1 + max(map(abs, samples))) for samples in (one, other)))
    expected = stats.ttest_ind(one, other, equal_var=False).pvalue
    assert regression.welch(one, other) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_the_incomplete_beta_function_agrees_with_scipy() -> None:
    special = pytest.importorskip("scipy.special", reason="scipy, the reference, is not here")
    chance = random.Random(7)
    for _ in range(2000):
        a, b, x = 10 ** chance.uniform(-1, 3), 10 ** chance.uniform(-1, 3), chance.random()
        assert regression.incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("t", "freedom", "p"), [(0.0, 5, 1.0), (2.570582, 5, 0.05), (4.032143, 5, 0.01), (1.959964, 1e9, 0.05)]
)
def test_student_gives_the_values_of_printed_tables(t: float, freedom: float, p: float) -> None:
    assert regression.student(t, freedom) == pytest.approx(p, abs=1e-6)
    assert regression.student(-t, freedom) == regression.student(t, freedom)


@given(SAMPLES, SAMPLES)
def test_welch_is_symmetric_and_a_probability(one: list[float], other: list[float]) -> None:
    p = regression.welch(one, other)
    assert 0.0 <= p <= 1.0
    assert p == pytest.approx(regression.welch(other, one), rel=1e-9, abs=1e-12)


def test_welch_of_constants_and_of_single_samples() -> None:
    assert regression.welch([3.0, 3.0], [3.0, 3.0]) == 1.0
    assert regression.welch([3.0, 3.0], [4.0, 4.0]) == 0.0
    with pytest.raises(ValueError, match="two samples"):
        regression.welch([1.0], [1.0, 2.0])


@given(st.dictionaries(st.text(max_size=4), st.floats(min_value=0, max_value=1), min_size=1, max_size=12))
def test_holm_corrects_upwards_in_the_same_order(values: dict[str, float]) -> None:
    corrected = regression.holm(values)
    assert corrected.keys() == values.keys()
    smallest = min(values.values())
    assert min(corrected.values()) == min(1.0, len(values) * smallest)
    for name, p in values.items():
        assert p <= corrected[name] <= 1.0
        assert all(corrected[other] <= corrected[name] for other in values if values[other] <= p)


def test_holm_as_in_a_worked_example() -> None:
    found = regression.holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert found == pytest.approx({"d": 0.02, "a": 0.03, "c": 0.06, "b": 0.06})


def test_many_comparisons_do_not_find_what_is_not_there() -> None:
    chance = random.Random(3)
    alarms = 0
    for _ in range(200):
        quantities = {str(number): [chance.gauss(10, 1) for _ in range(10)] for number in range(30)}
        again = {name: [chance.gauss(10, 1) for _ in range(10)] for name in quantities}
        alarms += any(change.state != "unchanged" for change in regression.judge(quantities, again))
    assert alarms <= 20  # 0.05 of 200 are expected; without a correction it would be most of them


def test_hedges_g_of_a_known_pair() -> None:
    assert regression.hedges_g([1, 2, 3, 4, 5], [3, 4, 5, 6, 7]) == pytest.approx(2 / math.sqrt(2.5) * (1 - 3 / 31))
    assert regression.hedges_g([1, 1], [2, 2]) == math.inf
    assert regression.hedges_g([2, 2], [1, 1]) == -math.inf
    assert regression.hedges_g([2, 2], [2, 2]) == 0.0


@pytest.mark.parametrize(("factor", "state"), [(1.0, "unchanged"), (2.0, "regression"), (0.5, "improvement")])
def test_direction(factor: float, state: str) -> None:
    found = judged(STEADY, [value * factor for value in STEADY])
    assert found.state == state
    assert found.relative == pytest.approx(factor - 1)


def test_what_never_varied_is_compared_exactly() -> None:
    found = judged([3.0] * 5, [4.0] * 5)
    assert (found.state, found.before, found.now, found.p) == ("regression", 3.0, 4.0, None)
    assert judged([4.0] * 5, [3.0] * 5).state == "improvement"
    assert judged([3.0] * 5, [3.0]).state == "unchanged"
    assert judged([0.0] * 5, [1.0]).state == "regression"
    assert judged([0.0] * 5, [1.0]).relative is None


def test_too_few_samples_are_said_to_be_too_few() -> None:
    assert judged([3.0] * 4, [4.0] * 4).state == "insufficient data"
    assert judged(STEADY, STEADY[:4]).state == "insufficient data"
    assert "at least 5" in judged(STEADY, STEADY[:4]).words
    assert judged([], STEADY).words == "no samples before"
    (missing,) = regression.judge({"x": STEADY}, {})
    assert (missing.state, missing.words) == ("insufficient data", "no samples now")


def test_a_baseline_that_varies_too_much_is_not_tested() -> None:
    noisy = [1.0, 10.0, 1.0, 12.0, 2.0]
    assert judged(noisy, [100.0] * 5).state == "too noisy"
    assert judged(noisy, [100.0] * 5, Rules(noise=2.0)).state == "regression"
    assert regression.variation([-1.0, 1.0]) == math.inf


def test_significant_is_not_enough() -> None:
    slightly = [value * 1.1 for value in STEADY]
    assert judged(STEADY, slightly).state == "regression"
    assert judged(STEADY, slightly, Rules(tolerance=0.2)).state == "unchanged"
    assert judged(STEADY, slightly, Rules(floor=2.0)).state == "unchanged"
    assert judged([100.0] * 5, [116.0], Rules(tolerance=0.1, floor=16.0)).state == "unchanged"
    assert judged([100.0] * 5, [117.0], Rules(tolerance=0.1, floor=16.0)).state == "regression"


@given(st.lists(st.integers(0, 1000), min_size=5, max_size=9), st.integers(1, 5))
def test_the_same_samples_are_never_a_change(samples: list[int], times: int) -> None:
    values = [float(value) for value in samples]
    assert judged(values, values * times).state in ("unchanged", "too noisy")
