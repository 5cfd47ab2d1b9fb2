"""Reading metrics out of an output, and holding a replayed one against the recorded one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from entrenar_research.errors import InvalidFileError
from entrenar_research.models.experiment import Tolerance
from entrenar_research.models.verdict import Verdict


def pick(document: Any, key: str, shown: str) -> float:
    """The number at a dotted path of a parsed output.

    Raises:
        InvalidFileError: if there is nothing there or it is no number.
    """
    value = document
    walked: list[str] = []
    if isinstance(document, dict) and key in document:
        value, walked = document[key], key.split(".")
    else:
        for step in key.split("."):
            walked.append(step)
            if not isinstance(value, dict) or step not in value:
                known = ", ".join(sorted(map(str, value))[:8]) if isinstance(value, dict) else type(value).__name__
                raise InvalidFileError(
                    f"{shown}: the metric `{key}` is missing: no `{'.'.join(walked)}` (there is: {known})"
                )
            value = value[step]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFileError(f"{shown}: the metric `{key}` is {value!r}, expected a number")
    try:
        return float(value)
    except OverflowError as error:
        raise InvalidFileError(f"{shown}: the metric `{key}` is too large for a number of 64 bits") from error


def without(document: Any, keys: Iterable[str]) -> Any:
    """A parsed output without the numbers at these dotted paths: what a tolerance says nothing about."""
    rest = document
    for key in keys:
        if isinstance(rest, dict) and key in rest:
            rest = {name: value for name, value in rest.items() if name != key}
        else:
            rest = _cut(rest, key.split("."))
    return rest


def _cut(value: Any, steps: Sequence[str]) -> Any:
    if not isinstance(value, dict) or steps[0] not in value:
        return value
    if len(steps) == 1:
        return {name: item for name, item in value.items() if name != steps[0]}
    return {name: _cut(item, steps[1:]) if name == steps[0] else item for name, item in value.items()}


def compare(recorded: float, now: float, tolerance: Tolerance) -> tuple[Verdict, str]:
    """The verdict on a replayed metric, with the numbers: |a - b| <= absolute + relative * |recorded|."""
    if recorded == now or (math.isnan(recorded) and math.isnan(now)):
        return Verdict.IDENTICAL, f"{now:g}"
    difference = abs(now - recorded)
    allowed = tolerance.absolute + tolerance.relative * abs(recorded)
    words = f"{recorded:.9g} -> {now:.9g}, off by {difference:.3g}, allowed {allowed:.3g}"
    if difference <= allowed and math.isfinite(recorded) and math.isfinite(now):
        return Verdict.WITHIN, words
    return Verdict.DIFFERENT, words
