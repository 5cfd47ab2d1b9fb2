"""What `<name>.json` holds: a trace in full, without contents or this machine's places, and its normalised lines."""

from __future__ import annotations

import msgspec


class DocumentedExit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the command ended: with a status or by a signal; both None if the trace does not say."""

    status: int | None
    signal: str | None


class DocumentedCall(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A system call: who made it, when it began (nanoseconds since the trace did) and how long it took.

    `process` is the thread group, `thread` the caller. `arguments` are decoded, with names for places and `"..."` for
    contents; `result` and `error` as in `models.trace.SystemCall`; `span` is the id of the innermost span around it.
    """

    process: int
    thread: int
    began: int
    took: int | None
    name: str
    arguments: str
    result: str
    error: str | None
    span: str | None


class DocumentedEnd(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A process or thread that ended, nanoseconds after the trace began, with a status or by a signal."""

    thread: int
    at: int
    status: int | None
    signal: str | None


class DocumentedSpan(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A span that the command logged: W3C ids, name, attributes as JSON, nanoseconds since the trace began."""

    id: str
    parent: str | None
    name: str
    attributes: str
    process: int
    began: int
    ended: int | None
    failed: bool


class DocumentedLine(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """A normalised line; microseconds since the first one began, and spent in it."""

    line: str
    began: int
    took: int


class TraceDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the document says. The fields are written in this order.

    `rules` is the version of the normalisation. `recorded` counts the calls that the tracer saw and `lost` those that
    it knows it missed; `counts` counts the `lines` by name; `trace_id` is the digest of the lines. `spans` are those
    of the calls; where the command logged none it is empty.
    """

    schema: int
    tracer: str
    tracer_version: str | None
    level: str
    rules: int
    command: tuple[str, ...]
    exit: DocumentedExit
    complete: bool
    problems: tuple[str, ...]
    lost: int
    recorded: int
    counts: dict[str, int]
    trace_id: str
    spans: tuple[DocumentedSpan, ...]
    ends: tuple[DocumentedEnd, ...]
    lines: tuple[DocumentedLine, ...]
    calls: tuple[DocumentedCall, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The normalised lines alone."""
        return tuple([line.line for line in self.lines])
