"""The summary table of a trace, laid out as `strace -c` prints it (strace 6.1, src/count.c)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Final

import msgspec

from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.trace import Trace

_HEADER: Final = "% time     seconds  usecs/call     calls    errors syscall"
_RULE: Final = "------ ----------- ----------- --------- --------- "
_NAME_WIDTH: Final = 16
_ROW: Final = re.compile(r" *(\d+\.\d\d) +(\d+)\.(\d{6}) +(\d+) +(\d+)(?: +(\d+))? +([A-Za-z_]\w*)")


class SummaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call of the table: how often it was made and failed, and the microseconds spent in it."""

    name: str
    calls: int
    errors: int
    microseconds: int


def counts(trace: Trace) -> dict[str, int]:
    """How often each call was made, by name: every call that the tracer saw."""
    return dict(sorted(Counter(call.name for call in trace.calls).items()))


def summarise(trace: Trace) -> tuple[SummaryRow, ...]:
    """The rows of the table: most time first, then by name. A call without a duration counts no time."""
    return _rows((call.name, call.error, call.duration) for call in trace.calls)


def of_document(document: TraceDocument) -> tuple[SummaryRow, ...]:
    """The rows of a document, as `summarise` has them for its trace."""
    return _rows((call.name, call.error, None if call.took is None else call.took / 1e9) for call in document.calls)


def _rows(calls: Iterable[tuple[str, str | None, float | None]]) -> tuple[SummaryRow, ...]:
    """The rows of calls: their name, their error, the seconds that they took."""
    number, errors, time = defaultdict[str, int](int), Counter[str](), defaultdict[str, int](int)
    for name, error, seconds in calls:
        number[name] += 1
        if error is not None:
            errors[name] += 1
        if seconds:
            time[name] += round(seconds * 1e6)
    rows = (
        SummaryRow(name=name, calls=times, errors=errors[name], microseconds=time[name])
        for name, times in number.items()
    )
    return tuple(sorted(rows, key=lambda row: (-row.microseconds, row.name)))


def format_summary(rows: tuple[SummaryRow, ...]) -> str:
    """The table, with its rows in the order given and their total; empty without rows, as strace leaves it.

    `usecs/call` is cut, not rounded, and no error is a blank, as in strace.
    """
    if not rows:
        return ""
    total = SummaryRow(
        name="total",
        calls=sum(row.calls for row in rows),
        errors=sum(row.errors for row in rows),
        microseconds=sum(row.microseconds for row in rows),
    )
    rule = _RULE + "-" * max(_NAME_WIDTH, *(len(row.name) for row in rows))
    body = [_line(row, total.microseconds) for row in rows]
    return "\n".join([_HEADER, rule, *body, rule, _line(total, total.microseconds)]) + "\n"


def parse_summary(text: str, name: str) -> tuple[SummaryRow, ...]:
    """The rows of the table in `text`, the file `name`.

    Raises:
        IntegrityError: if it is no such table, or its total is not that of its rows.
    """
    if not text:
        return ()
    lines = text.split("\n")
    if len(lines) < 6 or lines[0] != _HEADER or lines[-1] != "":
        raise IntegrityError(f"{name}: not a summary table of system calls: it begins {lines[0][:80]!r}")
    rows = tuple(_parse_line(line, name) for line in lines[2:-3])
    if format_summary(rows) != text:
        raise IntegrityError(
            f"{name}: the table does not add up: shares, averages or total are not those of its rows",
            hint="it was edited; write it again from the trace",
        )
    return rows


def _line(row: SummaryRow, total: int) -> str:
    # A trace whose calls took no measurable time has no shares; its total is the whole all the same.
    share = 100.0 if row.name == "total" else 100.0 * row.microseconds / total if total else 0.0
    seconds = f"{row.microseconds // 1_000_000}.{row.microseconds % 1_000_000:06d}"
    average = row.microseconds // row.calls
    return f"{share:6.2f} {seconds:>11} {average:>11} {row.calls:>9} {row.errors or '':>9} {row.name}"


def _parse_line(line: str, name: str) -> SummaryRow:
    found = _ROW.fullmatch(line)
    if found is None:
        raise IntegrityError(f"{name}: expected numbers and the name of a call, found {line[:80]!r}")
    return SummaryRow(
        name=found[7],
        calls=int(found[5]),
        errors=int(found[6] or 0),
        microseconds=int(found[2] + found[3]),
    )
