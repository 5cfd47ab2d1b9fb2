"""Timing whole commands side by side: in turn, several times, the median and the ratio of medians."""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A measured thing: `seconds` of each repetition, and `busy`, those of processors in the programs that it ran."""

    name: str
    seconds: tuple[float, ...]
    busy: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)


def command(
    argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Callable[[], None]:
    """A call of a program, its output thrown away.

    Raises:
        CalledProcessError: when called, if the program fails.
    """

    def call() -> None:
        subprocess.run(argv, cwd=cwd, env=env, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    return call


def in_turn(cases: Mapping[str, Callable[[], None]], *, repetitions: int = 7) -> dict[str, Case]:
    """Runs every case once uncounted, then all of them in turn, `repetitions` times."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    busy: dict[str, list[float]] = {name: [] for name in cases}
    for call in cases.values():
        call()
    for _ in range(repetitions):
        for name, call in cases.items():
            used, began = _of_children(), time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - began)
            busy[name].append(_of_children() - used)
    return {name: Case(name=name, seconds=tuple(seconds[name]), busy=tuple(busy[name])) for name in cases}


def _of_children() -> float:
    """Processor seconds of all programs that were run and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(title: str, cases: Mapping[str, Case], floor: str, limits: Mapping[str, float]) -> None:
    """Prints each median in milliseconds, its ratio to the floor, and the limit of that ratio."""
    print(f"\n{title}")
    base = cases[floor].median
    for name, case in cases.items():
        ratio = case.median / base
        limit = limits.get(name)
        verdict = "" if limit is None else f"  (limit {limit:g}: {'kept' if ratio <= limit else 'MISSED'})"
        print(f"  {name:<44} {case.median * 1000:9.1f} ms  {ratio:6.2f} x{verdict}")


def show_absolute(title: str, cases: Mapping[str, Case], limits: Mapping[str, float]) -> None:
    """Prints each median in milliseconds and its limit in seconds."""
    print(f"\n{title}")
    for name, case in cases.items():
        limit = limits.get(name)
        verdict = "" if limit is None else f"  (limit {limit:g} s: {'kept' if case.median <= limit else 'MISSED'})"
        print(f"  {name:<44} {case.median * 1000:9.1f} ms{verdict}")
