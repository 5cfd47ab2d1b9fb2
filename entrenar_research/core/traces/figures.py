"""What stands beneath the table of calls in `<name>_summary.txt`: percentiles, and repetitions without a tracer.

The table comes first and ends with an empty line, so that whoever reads tables of `strace -c` reads this file.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

import msgspec

from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.measured import Measured, Repetition

SHARES: Final = (0.5, 0.9, 0.99)
_BREAK: Final = "\n\n"
_TRACED: Final = "Durations of single calls in microseconds, as traced: the tracer's own time is in them"
_UNTRACED: Final = "Repetitions without a tracer: seconds, and the peak resident set in KiB"


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """The durations of a call's instances in nanoseconds: the shares of `SHARES`, nearest rank, and the longest."""

    name: str
    calls: int
    shares: tuple[int, ...]
    longest: int


def percentiles(found: TraceDocument) -> tuple[Percentiles, ...]:
    """Of every call that has durations, by name."""
    durations: dict[str, list[int]] = defaultdict(list)
    for call in found.calls:
        if call.took is not None:
            durations[call.name].append(call.took)
    return tuple(
        Percentiles(
            name=name, calls=len(values), shares=tuple(nearest(values, share) for share in SHARES), longest=max(values)
        )
        for name, values in sorted(durations.items())
    )


def nearest(values: Sequence[int], share: float) -> int:
    """The percentile by nearest rank: the smallest value that at least `share` of all do not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)), 1) - 1]


def summary(table: str, found: TraceDocument, measured: Measured | None) -> str:
    """The whole file: the table of calls, the percentiles, and the repetitions where there are any."""
    parts = [table.rstrip("\n"), _percentile_lines(found)]
    if measured is not None:
        parts.append(_repetition_lines(measured))
    return _BREAK.join(part for part in parts if part) + "\n"


def table_of(text: str) -> str:
    """The table of calls alone, as `core.traces.summary.parse_summary` reads it."""
    return text.partition(_BREAK)[0].rstrip("\n") + "\n" if text else ""


def measured_of(text: str, name: str) -> Measured | None:
    """The repetitions in the text of the file `name`, None where there are none.

    Raises:
        IntegrityError: if they are not as they were written.
    """
    _, found, rest = text.partition(_BREAK + _UNTRACED + "\n")
    if not found:
        return None
    rows = [line.split() for line in rest.splitlines()[1:-1]]
    try:
        every = tuple(
            Repetition(
                wall=float(wall),
                user=float(user),
                system=float(system),
                peak_memory=int(peak) * 1024,
                exit_status=int(status),
            )
            for _, wall, user, system, peak, status in rows
        )
    except ValueError as error:
        raise IntegrityError(f"{name}: the repetitions are not as they were written: {error}") from error
    measured = Measured(repetitions=every)
    if not every or _repetition_lines(measured) + "\n" != _UNTRACED + "\n" + rest:
        raise IntegrityError(f"{name}: the repetitions do not give the median beneath them")
    return measured


def _percentile_lines(found: TraceDocument) -> str:
    rows = percentiles(found)
    if not rows:
        return ""
    lines = [_TRACED, f"{'calls':>9} {'p50':>11} {'p90':>11} {'p99':>11} {'longest':>11} syscall"]
    for row in rows:
        times = " ".join(f"{value / 1000:>11.1f}" for value in (*row.shares, row.longest))
        lines.append(f"{row.calls:>9} {times} {row.name}")
    return "\n".join(lines)


def _repetition_lines(measured: Measured) -> str:
    lines = [_UNTRACED, f"{'':>9} {'wall':>11} {'user':>11} {'system':>11} {'peak':>11} {'status':>9}"]
    every = [(*map(_written, (i.wall, i.user, i.system)), i.peak_memory // 1024) for i in measured.repetitions]
    for number, (row, item) in enumerate(zip(every, measured.repetitions, strict=True), 1):
        lines.append(f"{number:>9} {_figures(row)} {item.exit_status:>9}")
    medians = [statistics.median(values) for values in zip(*every, strict=True)]
    lines.append(f"{'median':>9} {_figures(medians)}")
    return "\n".join(lines)


def _written(seconds: float) -> float:
    """As the file has it: the median is taken of what a reader can see, so that he finds the same one."""
    return round(seconds, 6)


def _figures(row: Sequence[float]) -> str:
    *times, peak = row
    return " ".join([*(f"{value:>11.6f}" for value in times), f"{int(peak):>11}"])
