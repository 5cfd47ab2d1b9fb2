"""What a golden trace says in sentences: each is computed from its figures, and left out where they do not carry it."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Mapping

from entrenar_research.core.regression import variation
from entrenar_research.core.traces import kinds
from entrenar_research.core.traces.summary import SummaryRow
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.measured import Measured

_MOSTLY = 0.5
_BUSY = 0.9
_IDLE = 0.5
_FEW = 5
_NOISY = 0.1
_IO = ("file I/O", "file names and attributes")


def interpretation(
    rows: tuple[SummaryRow, ...], document: TraceDocument | None, measured: Measured | None
) -> tuple[str, ...]:
    """The sentences, in a fixed order."""
    calls = {row.name: row.calls for row in rows}
    times = {row.name: row.microseconds for row in rows}
    return (
        *_dominant(rows, calls, times),
        *_balance(calls, times),
        *_failures(rows, document),
        *_apart(document),
        *_processor(measured),
    )


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.1%}" if whole else "none"


def _dominant(rows: tuple[SummaryRow, ...], calls: Mapping[str, int], times: Mapping[str, int]) -> Iterator[str]:
    every, spent = sum(calls.values()), sum(times.values())
    if not every:
        return
    often = max(rows, key=lambda row: (row.calls, row.name))
    words = f"`{often.name}` is the most frequent call: {often.calls} of {every} ({_share(often.calls, every)})"
    if not spent:
        yield f"{words}. The calls took no measurable time."
        return
    slow = max(rows, key=lambda row: (row.microseconds, row.name))
    mean = slow.microseconds / slow.calls
    same = "it" if slow is often else f"`{slow.name}`"
    yield (
        f"{words}; {same} took the most time, {_share(slow.microseconds, spent)} of that spent in calls "
        f"({slow.calls} calls of {mean:.1f} µs on average, the tracer's cost included)."
    )


def _balance(calls: Mapping[str, int], times: Mapping[str, int]) -> Iterator[str]:
    """I/O against memory against processes: by number, and by time where there is any."""
    by_number, by_time = kinds.by_kind(calls), kinds.by_kind(times)
    every, spent = sum(by_number.values()), sum(by_time.values())
    if not every:
        return
    files = sum(by_number.get(name, 0) for name in _IO)
    parts = [
        f"files {_share(files, every)}",
        f"memory {_share(by_number.get('memory', 0), every)}",
        f"processes and threads {_share(by_number.get('processes and threads', 0), every)}",
        f"network {_share(by_number.get('network', 0), every)}",
    ]
    yield f"Of all calls: {', '.join(parts)}."
    leader, took = next(iter(by_time.items()))
    if spent and took > _MOSTLY * spent:
        yield f"Most of the time in calls ({_share(took, spent)}) went to {leader}."


def _failures(rows: tuple[SummaryRow, ...], document: TraceDocument | None) -> Iterator[str]:
    every, failed = sum(row.calls for row in rows), sum(row.errors for row in rows)
    if not failed:
        yield "No call failed."
        return
    words = f"{failed} of {every} calls failed"
    looks = False
    if document is not None:
        errors = Counter(call.error for call in document.calls if call.error is not None)
        told = ", ".join(f"{name} {number}" for name, number in sorted(errors.items(), key=lambda e: (-e[1], e[0])))
        words += f" ({told})"
        looks = errors["ENOENT"] > _MOSTLY * failed
    yield f"{words}; a file that is looked for in several places fails in all but one." if looks else f"{words}."


def _apart(document: TraceDocument | None) -> Iterator[str]:
    """Processes, threads and the network."""
    if document is None:
        return
    groups, threads = {call.process for call in document.calls}, {call.thread for call in document.calls}
    if len(groups) == len(threads) == 1:
        yield "It is one process with one thread."
    else:
        yield f"It is {_counted(len(groups), 'process', 'processes')} with {_counted(len(threads), 'thread')} in all."
    network = sum(kinds.kind(call.name) == "network" for call in document.calls)
    yield f"It makes {network} calls to the network." if network else "It makes no call to the network."


def _processor(measured: Measured | None) -> Iterator[str]:
    if measured is None:
        return
    every = measured.repetitions
    wall = statistics.median(item.wall for item in every)
    used = statistics.median(item.user + item.system for item in every)
    system = statistics.median(item.system for item in every)
    if wall <= 0:
        return
    inside = f" ({system / used:.0%} of that in the kernel)" if used > 0 else ""
    words = f"Untraced it takes {wall * 1000:.1f} ms, of which the processor works {used / wall:.0%}{inside}"
    if used >= _BUSY * wall:
        words += ": it computes and hardly waits"
    elif used < _IDLE * wall:
        words += ": it waits for most of the time, or the machine was busy with something else"
    yield f"{words}."
    spread = variation(measured.wall)
    if len(every) >= _FEW and spread > _NOISY:
        yield f"Its time varies by {spread:.0%}: a change smaller than that cannot be told from noise."


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
