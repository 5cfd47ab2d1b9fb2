"""A log of the kernel tracer, read: the calls of a command in strace's notation."""

from __future__ import annotations

import contextlib
import gc
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.errors import IntegrityError
from entrenar_research.models.trace import ProcessEnd, SystemCall
from entrenar_research.tools.kernel_ring import events, log, numbers
from entrenar_research.tools.kernel_ring.joining import Joining
from entrenar_research.tools.kernel_ring.log import Head, Record
from entrenar_research.tools.kernel_ring.signatures import plans

_HINT: Final = "was the command found, and may this account trace? `trace record --tracer kernel -- true` tells"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What a log holds; `lost` is how many calls are known to be missing, `events` the numbers of enter and exit."""

    calls: tuple[SystemCall, ...]
    ends: tuple[ProcessEnd, ...]
    problems: tuple[str, ...]
    lost: int
    events: tuple[int, int]


class _Parts(msgspec.Struct):
    """The frames of a log, sorted by kind."""

    head: Head | None = None
    rings: dict[int, list[bytes]] = msgspec.field(default_factory=dict)
    records: list[Record] = msgspec.field(default_factory=list)
    problems: list[str] = msgspec.field(default_factory=list)
    lost: int | None = None


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Millions of small things are made here and none refers to itself: looking for cycles among them takes long."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@_uncollected()
def read(path: Path) -> Reading:
    """The calls in a log; one that was cut gives what is there, and says so.

    Raises:
        IntegrityError: if it is absent, empty, no log of this tracer, or holds no call.
    """
    parts, head = _parts(path)
    names = numbers.names(head.machine)
    joining = Joining(head.machine, names, plans(names, head.level), head.offset)
    joining.alive.add(head.pid)
    decoded = events.decode({number: b"".join(pieces) for number, pieces in parts.rings.items()}, head.enter, head.exit)
    if head.level == "full":
        _merge(joining, parts.records, decoded.events)
    else:
        for record in parts.records:
            joining.record(record, alone=True)
    if not joining.calls:
        raise IntegrityError(f"{path.name}: the trace holds no call", hint=_HINT)
    lost = max(decoded.lost, parts.lost or 0) + joining.lost
    return Reading(
        calls=tuple(joining.calls),
        ends=tuple(joining.ends),
        problems=tuple(_problems(parts, joining, lost, damaged=decoded.damaged)),
        lost=lost,
        events=(head.enter, head.exit),
    )


def _parts(path: Path) -> tuple[_Parts, Head]:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise IntegrityError(f"{path.name}: the kernel tracer left no log", hint=_HINT) from error
    if not data:
        raise IntegrityError(f"{path.name}: the trace is empty", hint=_HINT)
    if not data.startswith(log.MAGIC):
        raise IntegrityError(f"{path.name}: not a log of the kernel tracer: it begins {data[:40]!r}")
    parts = _Parts()
    _sort(data, parts, path.name)
    if parts.head is None:
        raise IntegrityError(f"{path.name}: the trace is empty", hint=_HINT)
    if parts.head.machine not in numbers.AUDIT_ARCHITECTURES:
        raise IntegrityError(f"{path.name}: damaged: made on a machine called {parts.head.machine!r}")
    return parts, parts.head


def _sort(data: bytes, parts: _Parts, name: str) -> None:
    try:
        for kind, processor, content in log.frames(data):
            if kind == log.HEAD:
                parts.head = Head(bytes(content))
            elif kind == log.RING:
                parts.rings.setdefault(processor, []).append(bytes(content))
            elif kind == log.STOPS:
                parts.records += log.records(bytes(content))
            elif kind == log.PROBLEM:
                parts.problems.append(bytes(content).decode("utf-8", "backslashreplace"))
            elif kind == log.END:
                parts.lost = log.lost(bytes(content))
            else:
                raise IntegrityError(f"{name}: damaged: a part of the unknown kind {kind}")
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{name}: damaged: {error}") from error


def _merge(joining: Joining, records: list[Record], found: list[events.Event]) -> None:
    """Hands on records and events in the order of their times; a record was made before an event of the same time."""
    records.sort(key=lambda record: record.moment)
    at, event = 0, joining.event
    for record in records:
        moment = record.moment
        while at < len(found) and found[at][0] < moment:
            event(found[at])
            at += 1
        joining.record(record, alone=False)
    for rest in found[at:]:
        event(rest)


def _problems(parts: _Parts, joining: Joining, lost: int, *, damaged: bool) -> Iterable[str]:
    if joining.calls[0].name != "execve":
        yield f"the log begins with {joining.calls[0].name}, not with the start of the command"
    if parts.lost is None:
        yield "the log was not finished: the tracer was killed, or the disk is full"
    if damaged:
        yield "a ring of the kernel was throttled or cut off"
    if lost:
        yield f"{lost} events were lost"
    if joining.undecoded:
        yield f"{len(joining.undecoded)} threads made calls of 32-bit programs, which are not decoded"
    if joining.alive:
        yield f"the log stops before {len(joining.alive)} of the processes ended"
    yield from parts.problems
