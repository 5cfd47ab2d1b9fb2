"""GodProcess: one of several processes that could share the work does nearly all of it.

Those that could share it are *peers*: processes forked to go on with the program of their parent, without execve,
and that parent. A shell and the programs it starts, make and its compilers, a script and its helpers are no peers.
A parent that spends half of the time or more waiting for its children leaves the work to them and is no peer either.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import Final

import msgspec

from entrenar_research.core.traces.activity import Activity, end_of, leader
from entrenar_research.core.traces.patterns.finding import Among, absent, along, found
from entrenar_research.core.traces.processes import Life
from entrenar_research.models.patterns import PatternFinding, PatternName

PATTERN: Final[PatternName] = "GodProcess"
ENOUGH: Final = 1000
_CRITICAL_CALLS: Final = 100_000
_WAITS: Final = frozenset({"wait4", "waitid", "waitpid"})


class _Candidate(msgspec.Struct, frozen=True):
    confidence: float
    share: float
    total: int
    peers: int
    life: Life
    places: tuple[int, int]


def find(activity: Activity, among: Among) -> PatternFinding:
    """The process with the greatest share of the calls of its peers, while there were at least two of them."""
    groups = [group for group in _families(activity) if len(group) > 1]
    if not groups:
        return absent(PATTERN, "there are no processes that could share the work")
    candidates = [_candidate(activity, group) for group in groups]
    judged = [item for item in candidates if item is not None and among(activity.program(item.life))]
    if not judged:
        return absent(PATTERN, "the processes that could share the work were never at it together")
    best = max(judged, key=lambda item: (item.confidence, item.total))
    if best.confidence <= 0:
        words = f"{best.peers} processes share {best.total} calls, the busiest has {best.share:.0%} of them"
        return absent(PATTERN, words, applicable=True, metric=round(best.share, 6))
    return found(
        PATTERN,
        confidence=best.confidence,
        metric=best.share,
        explanation=f"{best.share:.0%} of the {best.total} calls of {best.peers} processes are made by one of them",
        place=activity.place(best.life),
        calls=best.places,
        critical=best.share > 0.95 and best.total >= _CRITICAL_CALLS,
    )


def _families(activity: Activity) -> list[list[Life]]:
    """The processes by the one they were forked from without execve, directly or over others."""
    families: defaultdict[Life, list[Life]] = defaultdict(list)
    for process in activity.by_process:
        first = process
        while (parent := _forked_from(activity, first)) is not None:
            first = parent
        families[first].append(process)
    return list(families.values())


def _forked_from(activity: Activity, process: Life) -> Life | None:
    """The process whose program, the one it ran last, `process` was forked to go on with."""
    birth = activity.births.get(process)
    if birth is None or process.parent is None or activity.own_image(process) is not None:
        return None
    parent = leader(process.parent)
    return parent if birth.began >= activity.begins_at(parent) else None


def _candidate(activity: Activity, family: list[Life]) -> _Candidate | None:
    alive = sorted((activity.begins_at(process), activity.ends_at(process)) for process in family)
    began, ended = alive[1][0], sorted(end for _, end in alive)[-2]
    if began >= ended:
        return None
    peers = [process for process in family if _waiting(activity, process, began, ended) < (ended - began) / 2]
    if len(peers) < 2:
        return None
    places = {process: _within(activity, process, began, ended) for process in peers}
    total = sum(len(found) for found in places.values())
    if total == 0:
        return None
    top = max(peers, key=lambda process: len(places[process]))
    share = len(places[top]) / total
    confidence = along(share, (1 / len(peers), 0.0), (0.8, 0.8), (1.0, 1.0))
    confidence *= along(total, (ENOUGH / 10, 0.0), (ENOUGH, 1.0))
    return _Candidate(confidence, share, total, len(peers), top, (min(places[top]), max(places[top])))


def _waiting(activity: Activity, process: Life, began: int, ended: int) -> int:
    """Nanoseconds between `began` and `ended` that a process spent waiting for children."""
    waits = (activity.calls[place] for place in activity.by_thread.get(process, ()))
    return sum(max(min(end_of(call), ended) - max(call.began, began), 0) for call in waits if call.name in _WAITS)


def _within(activity: Activity, process: Life, began: int, ended: int) -> list[int]:
    """The places of the calls that a process's threads began between `began` and `ended`."""
    found: list[int] = []
    for life in activity.by_process[process]:
        places = activity.by_thread[life]
        first = bisect_left(places, began, key=lambda place: activity.calls[place].began)
        last = bisect_right(places, ended, key=lambda place: activity.calls[place].began)
        found += places[first:last]
    return found
