"""BlockingInAsync: the thread of an event loop waits elsewhere than in the loop.

A thread is one of an event loop if it came back three times or more to epoll_wait or io_uring_enter. Between two of
those everything that waits holds all its tasks up: sleeps, waits for children, locks on files, pipes and sockets
that block, and any other call of a tenth of a second or more (the `slow_callback_duration` of Python's asyncio).
Waits for locks between threads do not count: a thread waits so for Python's interpreter lock too.
"""

from __future__ import annotations

from typing import Final

import msgspec

from entrenar_research.core.traces.activity import Activity, leader
from entrenar_research.core.traces.patterns.finding import Among, absent, by_magnitude, found
from entrenar_research.core.traces.patterns.waiting import EVENT_WAITS, waits
from entrenar_research.core.traces.processes import Life
from entrenar_research.models.patterns import PatternFinding, PatternName

PATTERN: Final[PatternName] = "BlockingInAsync"
SLOW: Final = 100_000_000
"""Nanoseconds in one call, or held up between two waits, that are too many."""
_ROUNDS: Final = 3


class _Stall(msgspec.Struct):
    """How long the loop was held up between two waits, by which calls, most of all by the call `name`."""

    held: int = 0
    first: int = 0
    last: int = 0
    name: str = ""
    longest: int = 0


def find(activity: Activity, among: Among) -> PatternFinding:
    """The longest stall of any event loop."""
    loops = 0
    worst, thread = _Stall(), None
    for life, places in activity.by_thread.items():
        rounds = [index for index, place in enumerate(places) if activity.calls[place].name in EVENT_WAITS]
        if len(rounds) < _ROUNDS or not among(activity.program(leader(life))):
            continue
        loops += 1
        stall = _longest(activity, places[rounds[0] : rounds[-1] + 1])
        if stall.held > worst.held:
            worst, thread = stall, life
    if not loops:
        return absent(PATTERN, "no thread waits in an event loop (epoll, io_uring)")
    return _finding(activity, worst, thread)


def _finding(activity: Activity, worst: _Stall, thread: Life | None) -> PatternFinding:
    confidence = by_magnitude(max(worst.held, 1), (SLOW / 10, 0.0), (SLOW, 0.8), (SLOW * 10, 1.0))
    if thread is None or confidence <= 0:
        words = f"the event loop is never held up for more than {worst.held / 1e6:.1f} ms"
        return absent(PATTERN, words, applicable=True, metric=round(worst.held / 1e9, 6))
    return found(
        PATTERN,
        confidence=confidence,
        metric=worst.held / 1e9,
        explanation=f"the event loop is held up for {worst.held / 1e9:.3f} s between two waits, "
        f"for {worst.longest / 1e9:.3f} s of them by {worst.name}",
        place=activity.place(thread),
        calls=(worst.first, worst.last),
    )


def _longest(activity: Activity, places: list[int]) -> _Stall:
    worst = stall = _Stall()
    for place in places:
        call = activity.calls[place]
        took = call.took or 0
        if call.name in EVENT_WAITS:
            worst = max(worst, stall, key=lambda item: item.held)
            stall = _Stall()
        elif call.name != "futex" and (waits(call) or took >= SLOW):
            if not stall.held:
                stall.first = place
            stall.held, stall.last = stall.held + took, place
            if took >= stall.longest:
                stall.longest, stall.name = took, call.name
    return worst
