"""Reading metrics out of an output, and holding a replayed one against the recorded one."""

from __future__ import annotations

import math
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
                known = (
                    ", ".join(sorted(map(str, value))[:8])
                    if isinstance(value, dict)
                    else type(value).__name__
                )
                raise InvalidFileError(
                    f"{shown}: the metric `{key}` is missing: no `{'.'.join(walked)}` (there is: {known})"
                )
            value = value[step]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidFileError(f"{shown}: the metric `{key}` is {value!r}, expected a number")
    return float(value)


def compare(recorded: float, now: float, tolerance: Tolerance) -> tuple[Verdict, str]:
    """The verdict on a replayed metric, with the numbers: |a - b| <= absolute + relative * |recorded|."""
    if recorded == now or (math.isnan(recorded) and math.isnan(now)):
        return Verdict.IDENTICAL, f"{now:g}"
    difference = abs(now - recorded)
    allowed = tolerance.absolute + tolerance.relative * abs(recorded)
    words = f"{recorded:.9g} -> {now:.9g}, off by {difference:.3g}, allowed {allowed:.3g}"
    if difference <= allowed:
        return Verdict.WITHIN, words
    return Verdict.DIFFERENT, words
