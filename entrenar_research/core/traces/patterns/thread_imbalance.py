"""ThreadImbalance: of the threads that a process started to work, one works much longer than the others.

A thread is *busy* while it is not in a call that waits. The measure is the imbalance percentage of DeRose, Homer and
Johnson ("Detecting application load imbalance on high end massively parallel systems", Euro-Par 2007):
(longest - mean) / longest * n / (n - 1), which is 0 where all are busy alike and 1 where one does everything. A thread
that is busy for less than a hundredth of the longest is there for something else and does not take part.
"""

from __future__ import annotations

from typing import Final

import msgspec

from entrenar_research.core.traces.activity import Activity
from entrenar_research.core.traces.patterns.finding import Among, absent, found
from entrenar_research.core.traces.patterns.waiting import waits
from entrenar_research.core.traces.processes import Life
from entrenar_research.models.patterns import PatternFinding, PatternName

PATTERN: Final[PatternName] = "ThreadImbalance"
ENOUGH: Final = 100_000_000
"""Nanoseconds that the longest has to be busy for full confidence."""


class _Candidate(msgspec.Struct, frozen=True):
    confidence: float
    imbalance: float
    longest: int
    mean: float
    threads: int
    life: Life


def find(activity: Activity, among: Among) -> PatternFinding:
    """The process whose threads share their work worst."""
    candidates = []
    for process, lives in activity.by_process.items():
        threads = [life for life in lives if life.thread]
        if len(threads) > 1 and among(activity.program(process)):
            candidate = _candidate(activity, threads)
            if candidate is not None:
                candidates.append(candidate)
    if not candidates:
        return absent(PATTERN, "no process has several threads at work beside its first one")
    worst = max(candidates, key=lambda item: (item.confidence, item.longest))
    places = activity.by_thread[worst.life]
    return found(
        PATTERN,
        confidence=worst.confidence,
        metric=worst.imbalance,
        explanation=f"of {worst.threads} threads at work the busiest is busy for {worst.longest / 1e9:.3f} s, "
        f"the mean is {worst.mean / 1e9:.3f} s",
        place=activity.place(worst.life),
        calls=(min(places), max(places)),
    )


def _candidate(activity: Activity, threads: list[Life]) -> _Candidate | None:
    busy = {life: _busy(activity, life) for life in threads}
    longest = max(busy.values())
    taking_part = [time for time in busy.values() if time * 100 >= longest and time > 0]
    if len(taking_part) < 2:
        return None
    count, mean = len(taking_part), sum(taking_part) / len(taking_part)
    imbalance = (longest - mean) / longest * count / (count - 1)
    busiest = max(threads, key=lambda life: busy[life])
    return _Candidate(imbalance * min(1.0, longest / ENOUGH), imbalance, longest, mean, count, busiest)


def _busy(activity: Activity, life: Life) -> int:
    """Nanoseconds from the first call to the end of a thread, less those in calls that wait."""
    calls = [activity.calls[place] for place in activity.by_thread[life]]
    waited = sum(call.took or 0 for call in calls if waits(call))
    return max(activity.ends_at(life) - calls[0].began - waited, 0)
