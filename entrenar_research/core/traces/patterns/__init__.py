"""Anti-patterns (spec 27): one file each, with its metric, its confidence and what to do about it.

`docs/patterns.md` has the formulas. A pattern's file has `PATTERN`, its name, and `find(activity, among)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from entrenar_research.core.traces.activity import Activity
from entrenar_research.core.traces.patterns import (
    allocation_storm,
    blocking_in_async,
    god_process,
    pcie_bottleneck,
    thread_imbalance,
    tight_loop,
)
from entrenar_research.core.traces.patterns.finding import Among, absent
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.patterns import PatternFinding, PatternName

_DETECTORS: Final[dict[PatternName, Callable[[Activity, Among], PatternFinding]]] = {
    god_process.PATTERN: god_process.find,
    tight_loop.PATTERN: tight_loop.find,
    allocation_storm.PATTERN: allocation_storm.find,
    thread_imbalance.PATTERN: thread_imbalance.find,
    blocking_in_async.PATTERN: blocking_in_async.find,
    pcie_bottleneck.PATTERN: pcie_bottleneck.find,
}
_BY_TIME: Final = (god_process.PATTERN, thread_imbalance.PATTERN, blocking_in_async.PATTERN, pcie_bottleneck.PATTERN)


def detect(document: TraceDocument) -> tuple[PatternFinding, ...]:
    """One finding for every pattern, those that were not found too."""
    activity = Activity(document)
    return tuple(detect_one(activity, pattern) for pattern in _DETECTORS)


def detect_one(activity: Activity, pattern: PatternName, among: Among = lambda program: True) -> PatternFinding:
    """The finding for one pattern, in the processes whose program's name `among` accepts."""
    reason = hidden(activity, pattern)
    return absent(pattern, reason) if reason is not None else _DETECTORS[pattern](activity, among)


def hidden(activity: Activity, pattern: PatternName) -> str | None:
    """Why a trace of this kind cannot show the pattern, whatever the program did; None if it can."""
    level = activity.document.level
    if level != "full":
        return f"level {level!r} leaves out the calls that would show it"
    if pattern in _BY_TIME and not (activity.dated and activity.timed):
        return "the trace does not say when calls began and how long they took"
    return None


def blocks_promotion(findings: Iterable[PatternFinding]) -> bool:
    """Whether a trace with these findings may not become golden: one of them is critical."""
    return any(finding.severity == "critical" for finding in findings)
