"""TightLoop: a thread asks the same question over and over, without pause, and nothing comes of it.

A *run* is a stretch of one thread's calls in which nothing got on: questions (the time, a file's state, poll), calls
that failed, reads and writes of no bytes. Anything else that succeeds ends it. Its iterations are how often the most
frequent call in it, with the same arguments and result, was made: a search through many paths repeats nothing. Of
paths outside of the study and the system a trace keeps only the last name; questions about those do not count.
"""

from __future__ import annotations

from typing import Final

import msgspec

from entrenar_research.core.traces.activity import Activity, end_of, leader
from entrenar_research.core.traces.calls import LOOKS, OPENS, SIGNALS, TRANSFERS
from entrenar_research.core.traces.patterns.finding import Among, absent, along, by_magnitude, found
from entrenar_research.core.traces.patterns.waiting import POLLS, SLEEPS, WAITS
from entrenar_research.core.traces.processes import Life
from entrenar_research.models.documented import DocumentedCall
from entrenar_research.models.patterns import PatternFinding, PatternName

PATTERN: Final[PatternName] = "TightLoop"
ITERATIONS: Final = 1000
_CRITICAL_ITERATIONS: Final = 100_000
_ASKS: Final = """sched_yield clock_gettime clock_getres gettimeofday time times getrusage getpid gettid getppid getpgrp
getsid getuid geteuid getgid getegid getcwd getcpu sched_getaffinity uname sysinfo fstat lseek fcntl getsockopt
getsockname getpeername statfs fstatfs"""
_QUESTIONS: Final = LOOKS | POLLS | SLEEPS | frozenset(_ASKS.split())
_ON_PATHS: Final = LOOKS | OPENS
_TRANSFERS: Final = TRANSFERS | {"pread64", "pwrite64", "preadv", "pwritev", "getdents64", "getdents"}
_DOUBTFUL: Final = _TRANSFERS | SIGNALS | {"futex", "wait4", "waitpid"}
# They neither get anything on nor ask: a file that is opened, found empty and closed again is no progress.
_NEUTRAL: Final = OPENS | {"close", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn"}


class _Run(msgspec.Struct):
    """A run so far; `repeated` counts each call of it by what it asked and was told."""

    repeated: dict[tuple[str, str, str], int]
    iterations: int = 0
    waited: int = 0
    first: int = 0
    last: int = 0
    name: str = ""


class _Best(msgspec.Struct):
    confidence: float = 0.0
    iterations: int = 0
    busy: float = 0.0
    run: _Run | None = None
    life: Life | None = None


def find(activity: Activity, among: Among) -> PatternFinding:
    """The run with the highest confidence in any thread."""
    best = _Best()
    for life, places in activity.by_thread.items():
        if among(activity.program(leader(life))):
            _search(activity, life, places, best)
    if best.run is None or best.life is None or best.confidence <= 0:
        words = f"no call repeats more than {best.iterations} times in a row without getting anything on"
        return absent(PATTERN, words, applicable=True, metric=float(best.iterations))
    span = activity.span([best.run.first, best.run.last])
    return found(
        PATTERN,
        confidence=best.confidence,
        metric=float(best.iterations),
        explanation=f"{best.run.name} is repeated {best.iterations} times, {best.busy:.0%} of the time without "
        "a pause, and nothing comes of it",
        place=activity.place(best.life) + (f", span {span!r}" if span else ""),
        calls=(best.run.first, best.run.last),
        critical=best.iterations >= _CRITICAL_ITERATIONS,
    )


def _search(activity: Activity, life: Life, places: list[int], best: _Best) -> None:
    run = _Run({})
    for place in places:
        call = activity.calls[place]
        if call.error is None and call.name in _NEUTRAL:
            continue
        if _fruitless(call):
            if call.name in _ON_PATHS and "$ELSEWHERE/" in call.arguments:
                continue
            _go_on(run, call, place)
        elif run.iterations:
            _judge(activity, life, run, best)
            run = _Run({})
    _judge(activity, life, run, best)


def _go_on(run: _Run, call: DocumentedCall, place: int) -> None:
    if not run.iterations:
        run.first = place
    run.last = place
    asked = (call.name, call.arguments, call.error or call.result)
    times = run.repeated[asked] = run.repeated.get(asked, 0) + 1
    if times > run.iterations:
        run.iterations, run.name = times, call.name
    if call.name in WAITS or (call.name == "futex" and "FUTEX_WAIT" in call.arguments):
        run.waited += call.took or 0


def _judge(activity: Activity, life: Life, run: _Run, best: _Best) -> None:
    if run.iterations < max(best.iterations, 1) and run.iterations < ITERATIONS / 10:
        return
    elapsed = end_of(activity.calls[run.last]) - activity.calls[run.first].began
    busy = 1 - min(run.waited / elapsed, 1.0) if activity.dated and elapsed > 0 else 1.0
    length = run.iterations / ITERATIONS * 0.7
    if run.iterations > ITERATIONS:
        length = by_magnitude(run.iterations, (ITERATIONS, 0.7), (10 * ITERATIONS, 1.0))
    confidence = length * along(busy, (0.0, 0.0), (0.5, 1.0)) if run.iterations >= ITERATIONS / 10 else 0.0
    if (confidence, run.iterations) > (best.confidence, best.iterations):
        best.confidence, best.iterations, best.busy, best.run, best.life = confidence, run.iterations, busy, run, life


def _fruitless(call: DocumentedCall) -> bool:
    """Whether nothing came of a call."""
    if call.error is not None or call.name in _QUESTIONS:
        return True
    if call.name not in _DOUBTFUL:
        return False
    if call.name in _TRANSFERS:
        return call.result == "0"
    if call.name == "futex":
        return "FUTEX_WAKE" in call.arguments and call.result == "0"
    if call.name in SIGNALS:
        return call.arguments.endswith(", 0")  # asks whether a process is there
    return call.result == "0"
