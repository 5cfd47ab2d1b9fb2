from __future__ import annotations

import math
from typing import Any

import pytest

from entrenar_research.core import metrics, pins
from entrenar_research.errors import InvalidFileError
from entrenar_research.models.experiment import Tolerance
from entrenar_research.models.verdict import Verdict

DOCUMENT: dict[str, Any] = {
    "loss": 0.5,
    "deep": {"acc": 1, "a.b": 2},
    "x.y": 3,
    "text": "t",
    "flag": True,
    "big": 10**400,
}


@pytest.mark.parametrize(("key", "value"), [("loss", 0.5), ("deep.acc", 1.0), ("x.y", 3.0)])
def test_a_number_is_picked_by_its_dotted_path(key: str, value: float) -> None:
    assert metrics.pick(DOCUMENT, key, "m.json") == value


@pytest.mark.parametrize(
    ("document", "key", "words"),
    [
        ({"a": 1, "b": 2}, "los", "m.json: the metric `los` is missing: no `los` (there is: a, b)"),
        (DOCUMENT, "deep.los", "m.json: the metric `deep.los` is missing: no `deep.los` (there is: a.b, acc)"),
        (DOCUMENT, "loss.x", "m.json: the metric `loss.x` is missing: no `loss.x` (there is: float)"),
        ([1], "a", "m.json: the metric `a` is missing: no `a` (there is: list)"),
        (None, "a", "m.json: the metric `a` is missing: no `a` (there is: NoneType)"),
        (DOCUMENT, "text", "m.json: the metric `text` is 't', expected a number"),
        (DOCUMENT, "flag", "m.json: the metric `flag` is True, expected a number"),
        (DOCUMENT, "deep", "m.json: the metric `deep` is {'acc': 1, 'a.b': 2}, expected a number"),
        (DOCUMENT, "big", "m.json: the metric `big` is too large for a number of 64 bits"),
    ],
)
def test_what_is_no_metric_is_named(document: Any, key: str, words: str) -> None:
    with pytest.raises(InvalidFileError) as caught:
        metrics.pick(document, key, "m.json")
    assert caught.value.message == words


@pytest.mark.parametrize(
    ("recorded", "now", "tolerance", "verdict"),
    [
        (1.0, 1.0, Tolerance(), Verdict.IDENTICAL),
        (math.nan, math.nan, Tolerance(), Verdict.IDENTICAL),
        (math.inf, math.inf, Tolerance(), Verdict.IDENTICAL),
        (1.0, 1.0 + 1e-15, Tolerance(), Verdict.DIFFERENT),
        (1.0, 1.25, Tolerance(absolute=0.25), Verdict.WITHIN),
        (1.0, 1.26, Tolerance(absolute=0.25), Verdict.DIFFERENT),
        (-2.0, -2.5, Tolerance(relative=0.25), Verdict.WITHIN),
        (-2.0, -2.51, Tolerance(relative=0.25), Verdict.DIFFERENT),
        (0.0, 1e-9, Tolerance(relative=0.5), Verdict.DIFFERENT),
        (2.0, 2.75, Tolerance(absolute=0.25, relative=0.25), Verdict.WITHIN),
        (math.inf, 1.0, Tolerance(relative=0.1), Verdict.DIFFERENT),
        (math.inf, -math.inf, Tolerance(relative=0.1), Verdict.DIFFERENT),
        (1.0, math.inf, Tolerance(relative=0.1), Verdict.DIFFERENT),
        (1.0, math.nan, Tolerance(absolute=9.0), Verdict.DIFFERENT),
        (math.nan, 1.0, Tolerance(absolute=9.0), Verdict.DIFFERENT),
    ],
)
def test_a_replayed_metric_is_held_against_the_recorded_one(
    recorded: float, now: float, tolerance: Tolerance, verdict: Verdict
) -> None:
    assert metrics.compare(recorded, now, tolerance)[0] is verdict


def test_a_difference_is_shown_with_its_numbers() -> None:
    assert metrics.compare(2.0, 2.5, Tolerance(relative=0.1)) == (
        Verdict.DIFFERENT,
        "2 -> 2.5, off by 0.5, allowed 0.2",
    )


def test_what_is_pinned_is_pinned_and_what_is_recorded_is_no_secret() -> None:
    fixed = pins.pinned(None)
    assert {fixed[name] for name in fixed if name.endswith("_NUM_THREADS")} == {"1"}
    assert {value for name, value in pins.pinned(4).items() if name.endswith("_NUM_THREADS")} == {"4"}
    assert (fixed["PYTHONHASHSEED"], fixed["LC_ALL"], fixed["TZ"]) == ("0", "C.UTF-8", "UTC")
    kept = pins.recorded({**fixed, "AWS_SECRET_ACCESS_KEY": "x", "HOME": "/h", "CUDA_VISIBLE_DEVICES": "0"})
    assert kept == {**{n: v for n, v in fixed.items() if n != "PYTHONDONTWRITEBYTECODE"}, "CUDA_VISIBLE_DEVICES": "0"}
