"""The Kalman filter: the same answers at every scale, an uncertainty that means something, and no panic."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.client import run as runs
from entrenar_research.client.eta import Eta, Prediction
from entrenar_research.client.memory import MemoryStorage


def left(prediction: Prediction) -> tuple[float, float]:
    assert prediction.remaining is not None
    assert prediction.uncertainty is not None
    return prediction.remaining, prediction.uncertainty


@pytest.mark.parametrize("seconds", [1e-3, 1.0, 7200.0])
def test_constant_steps_are_predicted_exactly(seconds: float) -> None:
    eta = Eta(100)
    found = Prediction(None, None, 0.0, 0.0)
    for _ in range(50):
        found = eta.update(seconds)
    remaining, uncertainty = left(found)
    assert remaining == pytest.approx(50 * seconds)
    assert 0 < uncertainty < 10 * seconds


@given(st.floats(1e-6, 1e6), st.integers(0, 2**32))
def test_scale_means_nothing(scale: float, seed: int) -> None:
    source = random.Random(seed)
    steps = [source.lognormvariate(0, 0.5) for _ in range(40)]
    one, other = Eta(100), Eta(100)
    for step in steps:
        a, b = one.update(step), other.update(step * scale)
        assert left(b) == pytest.approx((left(a)[0] * scale, left(a)[1] * scale), rel=1e-6)
        assert b.gain == pytest.approx(a.gain, rel=1e-6)


@pytest.mark.parametrize("spread", [0.05, 0.2, 0.5])
def test_the_uncertainty_is_one_standard_deviation(spread: float) -> None:
    """Of many predictions, about 68 % lie within it: at least half, and nearly all within three."""
    source = random.Random(17)
    within = wide = 0
    for _ in range(300):
        steps = [max(source.gauss(2.0, 2.0 * spread), 0.01) for _ in range(200)]
        eta = Eta(200)
        for step in steps[:100]:
            eta.update(step)
        remaining, uncertainty = left(eta.predict())
        error = abs(sum(steps[100:]) - remaining)
        within += error <= uncertainty
        wide += error <= 3 * uncertainty
    assert within >= 150
    assert wide >= 290


def test_a_slow_first_step_is_forgotten() -> None:
    eta = Eta(200)
    eta.update(60.0)
    for _ in range(60):
        eta.update(0.5)
    remaining, uncertainty = left(eta.predict())
    assert remaining == pytest.approx(139 * 0.5, rel=0.25)
    assert abs(remaining - 139 * 0.5) < 3 * uncertainty


def test_one_outlier_moves_the_estimate_but_does_not_take_over() -> None:
    eta = Eta(1000)
    for _ in range(100):
        eta.update(1.0)
    eta.update(300.0)
    assert 1.0 < eta.per_step < 1.2


def test_a_lasting_change_is_followed() -> None:
    eta = Eta(2000)
    for _ in range(100):
        eta.update(1.0)
    for _ in range(200):
        eta.update(2.0)
    assert eta.per_step == pytest.approx(2.0, rel=0.02)


def test_with_drift_growing_steps_are_foreseen() -> None:
    plain, drifting = Eta(200), Eta(200, drift=True)
    for step in range(100):
        plain.update(1 + step / 100)
        drifting.update(1 + step / 100)
    actual = sum(1 + step / 100 for step in range(100, 200))
    errors = [abs(left(eta.predict())[0] - actual) for eta in (plain, drifting)]
    assert errors[1] < errors[0] / 2


@given(st.lists(st.floats(0, 1e9), max_size=50), st.booleans())
def test_whatever_happens_it_stays_a_number(steps: list[float], drift: bool) -> None:
    eta = Eta(60, drift=drift)
    for step in steps:
        remaining, uncertainty = left(eta.update(step))
        assert 0 <= remaining < math.inf
        assert 0 <= uncertainty < math.inf


def test_at_the_end_nothing_is_left() -> None:
    eta = Eta(2)
    eta.update(1.0)
    assert left(eta.update(1.0)) == (0.0, 0.0)
    assert left(eta.update(1.0)) == (0.0, 0.0)


def test_without_a_total_only_the_step_is_known() -> None:
    found = Eta().update(2.0)
    assert (found.remaining, found.uncertainty, found.per_step) == (None, None, 2.0)
    assert repr(found) == "Prediction(remaining=None, uncertainty=None, per_step=2.0)"


@pytest.mark.parametrize("seconds", [-1.0, math.nan, math.inf])
def test_what_is_no_duration_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="expected a finite number of seconds from 0"):
        Eta(3).update(seconds)
    with pytest.raises(ValueError, match="expected 0 or more"):
        Eta(-3)


def test_track_logs_what_it_predicted() -> None:
    storage = MemoryStorage()
    with runs.start_run("fuzz", storage=storage) as run:
        items = list(run.track(range(8)))
        tracked = run.track(n for n in range(5))
        assert list(tracked) == [0, 1, 2, 3, 4]
        assert tracked.prediction is not None
        assert tracked.prediction.remaining is None
        for _ in run.track(range(8)):
            break
        assert list(run.track([])) == []
        run.log_eta(2400, 2700)
    assert items == list(range(8))
    *found, by_hand = [note for note in storage.log().notes if note["kind"] == "eta"]
    assert len(found) == 3
    for note in found:
        assert note["predicted"] > 0
        assert note["actual"] > 0
        assert note["time"] > 10**18
        assert note["uncertainty"] > 0
        assert 0 < note["gain"] <= 1
    assert [note["actual"] for note in found] == sorted((note["actual"] for note in found), reverse=True)
    assert by_hand == {"kind": "eta", "predicted": 2400.0, "actual": 2700.0}


def test_track_knows_its_length() -> None:
    with runs.start_run("fuzz", storage=MemoryStorage()) as run:
        assert len(run.track(range(8))) == 8
        assert len(run.track(iter([1]), total=3)) == 3
        with pytest.raises(TypeError, match="not known"):
            len(run.track(iter([1])))
