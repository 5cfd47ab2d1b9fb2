"""How long two programs took, beside the score and never in it: the time of a traced program is the tracer's."""

from __future__ import annotations

from typing import Final

from entrenar_research.core import regression
from entrenar_research.core.regression import Rules
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.equivalence import Timing
from entrenar_research.models.measured import Measured
from entrenar_research.models.policy import EquivalencePolicy

WORSE: Final = 0.2
"""A mean that is worse by no more than this share is no regression, however certain it is."""
_RULES: Final = Rules(tolerance=WORSE)


def timing(
    expected: Measured | None,
    found: Measured | None,
    policy: EquivalencePolicy,
    traced: tuple[float, float] | None = None,
) -> tuple[Timing, tuple[str, ...]]:
    """The speed-up (expected median / found median), and in words what is not as declared or has got worse.

    Wall seconds, processor seconds and peak memory are tested together (`core.regression`, Welch and Holm). `traced`
    are the seconds that both took while they were traced, used only where nothing was measured.
    """
    if expected is None or found is None:
        if traced is None:
            return Timing(words="not measured: the times of traced programs are those of the tracer"), ()
        before, now = traced
        words, worse = "from traced times, which are mostly those of the tracer", tuple[str, ...]()
    else:
        before, now = expected.median_wall, found.median_wall
        worse = _worse(expected, found)
        words = f"medians of {len(expected.wall)} and {len(found.wall)} repetitions, not traced"
    speedup = before / now if before > 0 and now > 0 else None
    told = Timing(expected_seconds=before, found_seconds=now, speedup=speedup, words=words)
    return told, (*_outside(speedup, policy), *worse)


def traced_seconds(document: TraceDocument) -> float:
    """Seconds from the first call of a trace to its last end."""
    ends = [end.at for end in document.ends]
    return max([*ends, *(call.began + (call.took or 0) for call in document.calls[-1:])], default=0) / 1e9


def _outside(speedup: float | None, policy: EquivalencePolicy) -> tuple[str, ...]:
    least, most = policy.expected_speedup_min, policy.expected_speedup_max
    if speedup is None:
        return ()
    if least is not None and speedup < least:
        return (f"the speed-up is {speedup:.2f}, expected_speedup_min is {least:g}",)
    if most is not None and speedup > most:
        return (f"the speed-up is {speedup:.2f}, expected_speedup_max is {most:g}",)
    return ()


def _worse(expected: Measured, found: Measured) -> tuple[str, ...]:
    changes = regression.judge(_samples(expected), _samples(found), _RULES)
    return tuple(
        f"{change.name}: {change.before:,.4g} before, {change.now:,.4g} now ({change.words})"
        for change in changes
        if change.state == "regression"
    )


def _samples(measured: Measured) -> dict[str, tuple[float, ...]]:
    every = measured.repetitions
    return {
        "wall seconds": measured.wall,
        "processor seconds": tuple(item.user + item.system for item in every),
        "peak memory in bytes": tuple(float(item.peak_memory) for item in every),
    }
