"""How alike two behaviours are (spec 25)."""

from __future__ import annotations

from typing import Literal

import msgspec

EquivalenceVerdict = Literal["PASS", "WARN", "FAIL", "INSUFFICIENT"]


class Axis(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of the score: in 0..1, its weight in the whole, and what differs first, in words."""

    name: str
    score: float
    weight: float
    words: str = ""


class Timing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The separate axis: `speedup` is expected time / found time, None where one of them is unknown."""

    expected_seconds: float | None = None
    found_seconds: float | None = None
    speedup: float | None = None
    words: str = ""


class Equivalence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Two traces held against each other: `score` in 0..1 is the weighted mean of the axes.

    PASS from `min_confidence` on, WARN just below it, FAIL further below; INSUFFICIENT where a trace is empty or
    incomplete. `divergence` is the first difference in words, empty if there is none; `context` are the lines around
    it, `-` the expected one and `+` the found one.
    """

    score: float
    verdict: EquivalenceVerdict
    min_confidence: float
    axes: tuple[Axis, ...]
    timing: Timing
    divergence: str = ""
    context: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class Violation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A metamorphic relation that did not hold."""

    relation: str
    expected: str
    actual: str
    severity: Literal["warning", "critical"]
