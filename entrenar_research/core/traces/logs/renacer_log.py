"""Reading the JSON that renacer prints (`renacer-json-v1`), which stands after the traced program's own output.

It has neither processes nor times, and arguments as numbers; what it lacks is told among the problems.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from entrenar_research.core.traces.processes import CREATION
from entrenar_research.errors import IntegrityError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import SystemCall, Trace

FORMAT: Final = "renacer-json-v1"
UNNAMED: Final = "unknown"
"""The name that renacer gives to every call that is not in its table."""
_GAPS: Final = (
    "renacer tells no processes: all calls stand under number 0",
    "renacer tells no times: every call is told to begin at 0",
    "renacer leaves out calls that do not return (exit_group) and how processes ended",
    "renacer names some calls wrongly (version 0.6.6 has setgid for getegid)",
    "renacer keeps signals from the program it traces",
)
# What the kernel hands to itself only, and a tracer sees (include/linux/errno.h).
_RESTARTS: Final = {512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK"}


class _Call(msgspec.Struct, frozen=True):
    name: str
    args: list[Any]
    result: int
    duration_us: int | None = None


class _Summary(msgspec.Struct, frozen=True):
    total_syscalls: int
    exit_code: int


class _Document(msgspec.Struct, frozen=True):
    format: str
    version: str
    syscalls: list[_Call]
    summary: _Summary


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What a renacer run left: the trace, renacer's version, the exit status, and the program's own output before."""

    trace: Trace
    version: str
    status: int
    output: str


def is_renacer(text: str) -> bool:
    """Whether `text` may hold such a document: it holds the name of the format."""
    return FORMAT in text


def parse(text: str, name: str, *, command: Sequence[str] = (), level: TraceLevel = "full") -> Found:
    """The last document in `text`, the file `name`, and what stands before it.

    Raises:
        IntegrityError: if there is no whole document in it, or it contradicts its own summary.
    """
    start, raw = _last_document(text, name)
    try:
        found = msgspec.convert(raw, type=_Document)
    except msgspec.ValidationError as error:
        raise IntegrityError(f"{name}: not as renacer writes {FORMAT}: {error}") from error
    if found.summary.total_syscalls != len(found.syscalls):
        raise IntegrityError(
            f"{name}: its summary counts {found.summary.total_syscalls} calls, {len(found.syscalls)} are listed"
        )
    if not found.syscalls:
        raise IntegrityError(f"{name}: the trace holds no calls")
    calls = tuple(_call(call, place) for place, call in enumerate(found.syscalls))
    trace = Trace(
        tracer="renacer",
        level=level,
        command=tuple(command),
        calls=calls,
        complete=False,
        problems=problems(calls),
    )
    return Found(trace=trace, version=found.version, status=found.summary.exit_code, output=text[:start])


def _last_document(text: str, name: str) -> tuple[int, Any]:
    """Where the last object of the format begins, and the object: the program may have printed braces of its own."""
    decoder = json.JSONDecoder()
    found: tuple[int, Any] | None = None
    for start in _openings(text):
        try:
            value, _ = decoder.raw_decode(text, start)
        except ValueError:
            continue
        if isinstance(value, dict) and value.get("format") == FORMAT:
            found = (start, value)
            break
    if found is None:
        raise IntegrityError(
            f"{name}: no whole document of the format {FORMAT}",
            hint="`renacer -f -T --format json -- COMMAND` prints it when the command has ended: was it cut off?",
        )
    return found


def _openings(text: str) -> Iterator[int]:
    """The places of `{` from which the last mention of the format may be enclosed, the nearest first."""
    place = text.rfind(FORMAT)
    while place >= 0:
        start = text.rfind("{", 0, place)
        for _ in range(64):  # within a document only `version` stands before `format`
            if start < 0:
                break
            yield start
            start = text.rfind("{", 0, start)
        place = text.rfind(FORMAT, 0, place)


def _call(call: _Call, place: int) -> SystemCall:
    failed = -4096 < call.result < 0
    known = _RESTARTS.get(-call.result) or errno.errorcode.get(-call.result)
    error = known or f"E{-call.result}" if failed else None
    arguments = ", ".join(str(word[1] if isinstance(word, list) and len(word) == 2 else word) for word in call.args)
    duration = None if call.duration_us is None else call.duration_us / 1e6
    return SystemCall(0, float(place), call.name, arguments, "-1" if failed else str(call.result), error, duration)


def problems(calls: Sequence[SystemCall]) -> tuple[str, ...]:
    """What a trace of these calls by renacer does not tell, or tells wrongly."""
    more = []
    if unnamed := sum(call.name == UNNAMED for call in calls):
        more.append(f"renacer has no name for {unnamed} of the calls: they stand under {UNNAMED!r}")
    if children := sum(call.name in CREATION and call.error is None for call in calls):
        more.append(f"the command created {children} processes or threads, whose calls renacer may have missed")
    untimed = sum(call.duration is None for call in calls)
    if untimed == len(calls):
        more.append("the document has no durations (`renacer -T` writes them)")
    elif untimed:
        more.append(f"{untimed} calls took less than the microsecond that renacer counts in: no duration is known")
    return (*_GAPS, *more)
