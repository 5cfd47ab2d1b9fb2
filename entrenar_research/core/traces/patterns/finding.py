"""What findings have in common: how a measure becomes a confidence, and what nothing looks like."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Final

from entrenar_research.models.patterns import PatternFinding, PatternName, Severity

Among = Callable[[str], bool]
"""Which programs are looked at, by name."""

_REMEDIES: Final[dict[PatternName, str]] = {
    "GodProcess": "hand the work to the processes that were started for it, or do not start them",
    "TightLoop": "wait for the event (poll, epoll, inotify, a condition) instead of asking for it, or sleep in between",
    "AllocationStorm": "allocate once before the loop and reuse the memory, or raise the allocator's mmap threshold",
    "ThreadImbalance": "divide the work into smaller pieces that threads take as they become free",
    "BlockingInAsync": "await an asynchronous version of the call, or run it in a thread (`asyncio.to_thread`)",
    "PcieBottleneck": "move data to the device in fewer, larger transfers, from pinned memory, and keep it there",
}


def found(
    pattern: PatternName,
    *,
    confidence: float,
    metric: float,
    explanation: str,
    place: str | None,
    calls: Sequence[int],
    critical: bool = False,
) -> PatternFinding:
    """A finding with its evidence: `calls` are places of calls, the first and the last of which are named.

    A confidence from 0.7 is a warning, and `critical` says that it is worse; one below that is for information.
    """
    severity: Severity = "info" if confidence < 0.7 else "critical" if critical else "warning"
    return PatternFinding(
        pattern=pattern,
        confidence=round(min(max(confidence, 0.0), 1.0), 4),
        severity=severity,
        metric=round(metric, 6),
        explanation=explanation,
        remediation=_REMEDIES[pattern],
        place=place,
        first=calls[0] if calls else None,
        last=calls[-1] if calls else None,
    )


def absent(pattern: PatternName, explanation: str, *, applicable: bool = False, metric: float = 0.0) -> PatternFinding:
    """Nothing: the trace cannot show the pattern or, where it is `applicable`, does not show a trace of it."""
    return PatternFinding(
        pattern=pattern,
        confidence=0.0,
        severity="info",
        metric=metric,
        explanation=explanation,
        remediation=_REMEDIES[pattern],
        applicable=applicable,
    )


def along(value: float, *points: tuple[float, float]) -> float:
    """Linear interpolation between points (value, confidence) in ascending order; level outside of them."""
    if value <= points[0][0]:
        return points[0][1]
    for (low, left), (high, right) in itertools.pairwise(points):
        if value <= high:
            return left + (right - left) * (value - low) / (high - low)
    return points[-1][1]


def by_magnitude(value: float, *points: tuple[float, float]) -> float:
    """As `along`, between the logarithms of the values."""
    return along(math.log10(max(value, 1e-12)), *((math.log10(low), confidence) for low, confidence in points))
