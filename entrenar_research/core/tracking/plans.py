"""Planned against actual (spec section 11): how far a run was from what its experiment planned, and how it rates."""

from __future__ import annotations

from fractions import Fraction

from entrenar_research.core.tracking import quantities
from entrenar_research.errors import UsageError
from entrenar_research.models.experiment import Plan
from entrenar_research.models.run import Usage
from entrenar_research.models.tracking import Deviation, Rating

_QUANTITIES = ("memory", "gpu_memory", "time")


def check(plan: Plan) -> tuple[str, str] | None:
    """The first key of a plan whose value makes no sense, and what is wrong with it; None if all is well."""
    for key in _QUANTITIES:
        text = getattr(plan, key)
        try:
            if text is not None:
                _planned(key, text)
        except UsageError as error:
            return key, error.message
    for key in ("amber", "red"):
        if not 0 <= getattr(plan, key) < float("inf"):
            return key, f"found {getattr(plan, key):g}, expected percent that are zero or more"
    if plan.red < plan.amber:
        return "red", f"found {plan.red:g}, expected no less than `amber` ({plan.amber:g})"
    return None


def deviations(
    plan: Plan, usage: Usage | None, duration: float | None, gpu_peak: int | None = None
) -> dict[str, Deviation]:
    """Every planned quantity that was measured: `memory` and `gpu_memory` in bytes, `time` in seconds.

    `memory` is held against the greater of two numbers: the peak of the largest single process, which the kernel
    keeps, and the peak of all processes together, where it was sampled. What was not measured is absent, never zero.

    Raises:
        UsageError: if the plan makes no sense; `check` says so beforehand.
    """
    memory = None if usage is None else max(usage.peak_memory, usage.group_memory or 0)
    gpu = gpu_peak if gpu_peak is not None else None if usage is None else usage.gpu_memory
    measured = {"memory": memory, "gpu_memory": gpu, "time": duration}
    found = {}
    for key in _QUANTITIES:
        text, actual = getattr(plan, key), measured[key]
        if text is not None and actual:
            found[key] = deviation(_planned(key, text), actual, amber=plan.amber, red=plan.red)
    return found


def deviation(planned: float, actual: float, *, amber: float = 10.0, red: float = 25.0) -> Deviation:
    """One quantity: (actual - planned) / planned in percent.

    The percentage is exact for the decimal numbers given and then rounded half to even to two decimals; so 4120
    for 4096 is 0.59 (0.5859375), where the specification's sample cuts it off to 0.58. The rating comes from the
    exact number, and only too much counts: up to `amber` percent over is green, up to `red` amber, beyond it red.
    """
    percent = (_exact(actual) - _exact(planned)) / _exact(planned) * 100
    rating: Rating = "green" if percent <= _exact(amber) else "amber" if percent <= _exact(red) else "red"
    return Deviation(
        planned=planned,
        actual=actual,
        percent=float(round(percent, 2)),
        rating=rating,
        amber_above=amber,
        red_above=red,
    )


def _planned(key: str, text: str) -> float:
    return quantities.in_seconds(text) if key == "time" else quantities.in_bytes(text)


def _exact(number: float) -> Fraction:
    return Fraction(repr(number))
