"""How good predictions of the time left were (spec section 17)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence

import msgspec

from entrenar_research.models.tracking import Eta


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions in short.

    `error` is the mean of the absolute errors in seconds; `percent` the mean of the absolute errors in percent and
    `bias` the median of the signed ones (above 0: it usually took longer than predicted), both over predictions
    that were not zero; `covered` the share, from 0 to 1, of those with an uncertainty whose actual time lay within
    two standard deviations, which a filter that knows itself has at 0.95. None where there is nothing to take.
    """

    predictions: int
    error: float | None = None
    percent: float | None = None
    bias: float | None = None
    covered: float | None = None


def measured(predicted: float, actual: float, *, gain: float | None = None, uncertainty: float | None = None) -> Eta:
    """A prediction that has come due: both in seconds.

    `error` is actual - predicted and `percent` is that in percent of the predicted time, both with their sign:
    above 0 it took longer. (The specification's `log_eta` drops the sign; its sample, 2400 s predicted and 2700 s
    actual, is 12.5 either way.) `percent` is 0 where both are zero, and None where only the prediction was.
    """
    error = actual - predicted
    percent = error / predicted * 100 if predicted else None if error else 0.0
    return Eta(
        predicted=predicted,
        actual=actual,
        error=_rounded(error),
        percent=None if percent is None or not math.isfinite(percent) else _rounded(percent),
        gain=gain,
        uncertainty=uncertainty,
    )


def accuracy(etas: Sequence[Eta]) -> Accuracy:
    """How good the predictions of one run, or of many, were."""
    finite = [eta.percent for eta in etas if eta.percent is not None]
    errors = [abs(eta.error) for eta in etas if math.isfinite(eta.error)]
    judged = [eta for eta in etas if eta.uncertainty is not None and math.isfinite(eta.uncertainty)]
    inside = [eta for eta in judged if abs(eta.error) <= 2 * (eta.uncertainty or 0.0)]
    return Accuracy(
        predictions=len(etas),
        error=_mean(errors),
        percent=_mean(map(abs, finite)),
        bias=_rounded(statistics.median(finite)) if finite else None,
        covered=_rounded(len(inside) / len(judged)) if judged else None,
    )


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return _rounded(math.fsum(found) / len(found)) if found else None


def _rounded(value: float) -> float:
    return round(value, 6)
