"""Planned against actual, amounts as people write them, and how good predictions were."""

from __future__ import annotations

import contextlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.tracking import etas, plans, quantities
from entrenar_research.errors import UsageError
from entrenar_research.models.experiment import Plan
from entrenar_research.models.run import Usage
from entrenar_research.models.tracking import Eta


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MiB", 512 << 20), ("1.5 GiB", 3 << 29), ("4GB", 4 * 10**9), ("0.5B", 1), ("2kB", 2000), (" 1 KiB ", 1024)],
)
def test_sizes(text: str, size: int) -> None:
    assert quantities.in_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "512", "512M", "MiB", "-1MiB", "0MiB", "1e3B", "1 2MiB", "1MiB x", "infB", "nanB"]
)
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="found "):
        quantities.in_bytes(text)


def test_a_size_without_its_i_is_not_guessed() -> None:
    with pytest.raises(UsageError, match=r"did you mean 512MiB\?"):
        quantities.in_bytes("512M")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("2h", 7200), ("1h30m", 5400), ("1 h 30 min", 5400), ("500ms", 0.5), ("1.5d", 129_600)],
)
def test_durations(text: str, seconds: float) -> None:
    assert quantities.in_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "1m1m", "1m2min3x", "0s", "-1s", "2 hours", "1:30", "infs"])
def test_no_durations(text: str) -> None:
    with pytest.raises(UsageError, match="found "):
        quantities.in_seconds(text)


@given(st.text(max_size=12))
def test_any_other_text_is_refused(text: str) -> None:
    for read in (quantities.in_bytes, quantities.in_seconds):
        with contextlib.suppress(UsageError):
            assert read(text) > 0


def test_the_sample_of_the_specification() -> None:
    found = plans.deviation(4096, 4120)
    assert (found.percent, found.rating) == (0.59, "green")
    assert (found.amber_above, found.red_above) == (10.0, 25.0)


@pytest.mark.parametrize(
    ("planned", "actual", "percent", "rating"),
    [
        (100, 110, 10.0, "green"),
        (1, 1.1, 10.0, "green"),
        (30, 33.0000001, 10.0, "amber"),
        (100, 125, 25.0, "amber"),
        (100, 125.001, 25.0, "red"),
        (100, 10, -90.0, "green"),
        (3, 4, 33.33, "red"),
        (0.1, 0.3, 200.0, "red"),
    ],
)
def test_rating_comes_from_the_exact_number(planned: float, actual: float, percent: float, rating: str) -> None:
    found = plans.deviation(planned, actual)
    assert (found.percent, found.rating) == (percent, rating)


@given(st.floats(1e-3, 1e12), st.floats(1e-3, 1e12), st.floats(0, 100), st.floats(0, 100))
def test_ratings_follow_their_thresholds(planned: float, actual: float, amber: float, more: float) -> None:
    found = plans.deviation(planned, actual, amber=amber, red=amber + more)
    over = (Fraction(repr(actual)) / Fraction(repr(planned)) - 1) * 100
    expected = "red" if over > Fraction(repr(amber + more)) else "amber" if over > Fraction(repr(amber)) else "green"
    assert found.rating == expected
    assert abs(Fraction(repr(found.percent)) - over) <= Fraction(1, 200) + abs(over) / 10**15


def test_only_what_was_planned_and_measured_is_there() -> None:
    plan = Plan(memory="1MiB", time="2s", gpu_memory="1GiB", amber=50, red=60)
    usage = Usage(user_seconds=1, system_seconds=1, peak_memory=1 << 20)
    assert {*plans.deviations(plan, usage, 2.5)} == {"memory", "time"}
    assert plans.deviations(plan, usage, 2.5)["time"].rating == "green"
    assert plans.deviations(plan, None, None) == {}
    assert plans.deviations(Plan(), usage, 1.0, 5) == {}
    assert plans.deviations(plan, usage, None, 1 << 31)["gpu_memory"].percent == 100.0
    together = Usage(user_seconds=1, system_seconds=1, peak_memory=1 << 20, group_memory=3 << 20, gpu_memory=1 << 30)
    found = plans.deviations(plan, together, None)
    assert (found["memory"].actual, found["memory"].rating) == (3 << 20, "red")
    assert found["gpu_memory"].percent == 0.0


@pytest.mark.parametrize(
    ("plan", "key"),
    [
        (Plan(memory="512M"), "memory"),
        (Plan(gpu_memory="much"), "gpu_memory"),
        (Plan(time="soon"), "time"),
        (Plan(amber=-1), "amber"),
        (Plan(red=float("nan")), "red"),
        (Plan(amber=30), "red"),
    ],
)
def test_a_senseless_plan(plan: Plan, key: str) -> None:
    found = plans.check(plan)
    assert found is not None
    assert found[0] == key
    assert found[1].startswith("found ")


def test_a_plan() -> None:
    assert plans.check(Plan(cpus=1, memory="512MiB", time="30s", gpu_memory="8GiB", amber=0, red=0)) is None


def test_predictions_have_their_sign() -> None:
    assert etas.measured(2400, 2700, gain=0.15, uncertainty=180) == Eta(
        predicted=2400, actual=2700, error=300, percent=12.5, gain=0.15, uncertainty=180
    )
    assert (etas.measured(10, 5).error, etas.measured(10, 5).percent) == (-5, -50)
    assert etas.measured(0, 0).percent == 0
    assert etas.measured(0, 3).percent is None


def test_accuracy() -> None:
    found = etas.accuracy(
        [etas.measured(100, 110, uncertainty=5), etas.measured(50, 40, uncertainty=1), etas.measured(0, 2)]
    )
    assert (found.predictions, found.error, found.percent, found.bias) == (3, round(22 / 3, 6), 15.0, -5.0)
    assert found.covered == 0.5
    assert etas.accuracy([]) == etas.Accuracy(predictions=0)


@given(st.lists(st.builds(etas.measured, st.floats(0, 1e9), st.floats(0, 1e9))))
def test_accuracy_of_any_predictions(found: list[Eta]) -> None:
    summary = etas.accuracy(found)
    assert summary.predictions == len(found)
    assert summary.error is None or 0 <= summary.error <= 1e9
