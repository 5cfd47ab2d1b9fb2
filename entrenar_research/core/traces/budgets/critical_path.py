"""The critical path of a trace: the chain of causes that its duration consists of.

The method is that of Yang and Miller ("Critical path analysis for the execution of parallel and distributed programs",
ICDCS 1988), on what system calls show of who waits for whom. It goes back from the end of whatever ended last. Where
the thread it is in waited for another - for a child with wait4, for a thread that ended or that woke it through a
futex - it goes over to that one at the moment when the waiting could end; where a thread or process begins, it goes
over to the one that created it. A parent that waits for its child is thereby passed over: every moment belongs to one
thread, and none counts twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import Final

import msgspec

from entrenar_research.core.traces.activity import Activity, end_of, leader
from entrenar_research.core.traces.processes import Life
from entrenar_research.core.traces.spans.innermost import innermost

_WAITS: Final = frozenset({"wait4", "waitid", "waitpid"})
_SLACK: Final = 1_000_000


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of the path in one thread: its label, its program, nanoseconds from and to, and those in calls."""

    label: str
    program: str
    began: int
    ended: int
    in_calls: int


class CriticalPath(msgspec.Struct, frozen=True, kw_only=True):
    """The path in the order of time. `wall` is its length, `in_calls` what of it was spent in system calls.

    `spans` gives the nanoseconds of the path in each logged span, by name: in the innermost one at each moment.
    """

    wall: int
    in_calls: int
    segments: tuple[Segment, ...]
    spans: dict[str, int]


class _Join(msgspec.Struct, frozen=True):
    """At `at` a thread could go on because `cause` had come to `when`."""

    at: int
    cause: Life
    when: int


def critical_path(activity: Activity) -> CriticalPath:
    """The critical path of a trace with calls."""
    walk = _Walk(activity)
    segments = walk.back()
    spans = innermost(activity.document.spans, [(item.process, item.began, item.ended) for item in segments])
    return CriticalPath(
        wall=sum(item.ended - item.began for item in segments),
        in_calls=sum(item.in_calls for item in segments),
        segments=_joined(activity, segments),
        spans=spans,
    )


class _Stretch(msgspec.Struct, frozen=True):
    life: Life
    process: int
    began: int
    ended: int
    in_calls: int


class _Walk:
    """Where the walk is: it takes each reason to go over to another thread once, so that it ends."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._calls = activity.calls
        self._joins = _joins(activity)
        self._next_call = {life: len(places) for life, places in activity.by_thread.items()}

    def back(self) -> list[_Stretch]:
        """The stretches of the path, the first one first."""
        lives = self._activity.by_thread
        ends = {life: self._activity.ends_at(life) for life in lives}
        life = max(lives, key=lambda life: (ends[life], [-part for part in life.order]))
        at, found, seen = ends[life], [], set[Life]()
        while True:
            join = self._last_join(life, at)
            if join is not None:
                found.append(self._stretch(life, join.when, at))
                life, at = join.cause, join.when
                continue
            birth = self._activity.births.get(life)
            first = self._calls[lives[life][0]].began if lives.get(life) else at
            start = min(birth.began if birth else first, at)
            found.append(self._stretch(life, start, at))
            seen.add(life)
            if birth is None or life.parent is None or life.parent in seen:
                return [stretch for stretch in reversed(found) if stretch.ended > stretch.began]
            life, at = life.parent, start

    def _last_join(self, life: Life, at: int) -> _Join | None:
        joins = self._joins.get(life, [])
        while joins:
            join = joins.pop()
            if join.at <= at and join.when < at:
                return join
        return None

    def _stretch(self, life: Life, began: int, ended: int) -> _Stretch:
        """The stretch, with the time of the calls in it: a thread is in one call at a time."""
        places = self._activity.by_thread.get(life, [])
        spent, index = 0, self._next_call.get(life, 0)
        while index > 0:
            call = self._calls[places[index - 1]]
            spent += max(min(end_of(call), ended) - max(call.began, began), 0)
            if call.began < began:
                break
            index -= 1
        self._next_call[life] = index
        process = self._calls[places[0]].process if places else 0
        return _Stretch(life, process, began, ended, spent)


def _joins(activity: Activity) -> dict[Life, list[_Join]]:
    """For each thread what it waited for, in the order of time."""
    wakes = _Wakes(activity)
    children: defaultdict[int, list[Life]] = defaultdict(list)
    for life, birth in activity.births.items():
        if birth.result.isdecimal():
            children[int(birth.result)].append(life)
    found: defaultdict[Life, list[_Join]] = defaultdict(list)
    for life, places in activity.by_thread.items():
        for place in places:
            call = activity.calls[place]
            if call.error is not None or not call.took:
                continue
            if call.name in _WAITS and call.result.isdecimal():
                join = _ended_within(activity, children.get(_waited_for(call.name, call.arguments, call.result), []),
                                     call.began, end_of(call))  # fmt: skip
            elif call.name == "futex" and "FUTEX_WAIT" in call.arguments:
                join = wakes.within(life, place) or _ended_within(
                    activity, children.get(_awaited_thread(call.arguments), []), call.began, end_of(call)
                )
            else:
                continue
            if join is not None and join.cause is not life:
                found[life].append(join)
    return found


def _ended_within(activity: Activity, lives: list[Life], began: int, ended: int) -> _Join | None:
    """The one of these lives that ended while somebody waited from `began` to `ended`.

    A tracer may note the end just after the wait that it ended.
    """
    for life in lives:
        at = activity.ends_at(life)
        if began <= at <= ended + _SLACK and life in activity.by_thread:
            return _Join(ended, life, min(at, ended))
    return None


def _waited_for(name: str, arguments: str, result: str) -> int:
    """The process whose end a wait call reported: its result, or `si_pid` for waitid (which returns 0)."""
    if name != "waitid":
        return int(result)
    digits = arguments.partition("si_pid=")[2].partition(",")[0]
    return int(digits) if digits.isdecimal() else 0


def _awaited_thread(arguments: str) -> int:
    """The thread that pthread_join waits for: its number is the value that the futex is expected to hold (glibc)."""
    parts = arguments.split(", ", 3)
    return int(parts[2]) if len(parts) > 2 and parts[2].isdecimal() else 0


class _Wakes:
    """Who woke whom: the successful FUTEX_WAKE calls of each process by address."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity
        self._wakes: defaultdict[tuple[Life, str], list[tuple[int, Life]]] = defaultdict(list)
        for life, places in activity.by_thread.items():
            for place in places:
                call = activity.calls[place]
                if call.name == "futex" and "FUTEX_WAKE" in call.arguments and call.result not in ("0", "-1"):
                    self._wakes[leader(life), call.arguments.partition(",")[0]].append((call.began, life))
        for woken in self._wakes.values():
            woken.sort(key=lambda wake: wake[0])

    def within(self, life: Life, place: int) -> _Join | None:
        """What ended the wait at `place`: the last wake on its address, by another thread, while it lasted."""
        call = self._activity.calls[place]
        wakes = self._wakes.get((leader(life), call.arguments.partition(",")[0]), [])
        index = bisect_right(wakes, end_of(call), key=lambda wake: wake[0]) - 1
        if index < 0 or wakes[index][0] < call.began or wakes[index][1] is life:
            return None
        return _Join(end_of(call), wakes[index][1], wakes[index][0])


def _joined(activity: Activity, stretches: list[_Stretch]) -> tuple[Segment, ...]:
    """The stretches as segments, neighbours in one thread as one."""
    found: list[Segment] = []
    for item in stretches:
        program = activity.program(leader(item.life))
        last = found[-1] if found else None
        if last is not None and last.label == item.life.label and last.ended == item.began:
            found[-1] = msgspec.structs.replace(last, ended=item.ended, in_calls=last.in_calls + item.in_calls)
        else:
            label = item.life.label
            found.append(
                Segment(label=label, program=program, began=item.began, ended=item.ended, in_calls=item.in_calls)
            )
    return tuple(found)
