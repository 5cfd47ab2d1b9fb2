"""The JSON document of a trace (`<name>.json`): canonical bytes, one call a line, so that a change is local.

It holds every call, decoded, and the normalised lines, with relative times; never contents, environments or this
machine's paths. Every byte counts: what was decoded is encoded again, and other bytes than these are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.normalisation import RULES, Step, counts_of, trace_id
from entrenar_research.core.traces.processes import Directories, Life, Processes
from entrenar_research.core.traces.scrubbing import Scrubber
from entrenar_research.core.traces.spans import attribution
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import (
    DocumentedCall,
    DocumentedEnd,
    DocumentedExit,
    DocumentedLine,
    DocumentedSpan,
    TraceDocument,
)
from entrenar_research.models.trace import ProcessEnd, SystemCall, Trace

SCHEMA: Final = 2
_LISTS: Final = ("spans", "ends", "lines", "calls")
_BETWEEN: Final = b",\n    "
_PIECE: Final = 4096  # so many rows: what is written is still in the processor's cache when it is compared


def document(
    trace: Trace,
    steps: Sequence[Step],
    *,
    version: str | None,
    replacements: Mapping[str, str],
    spans: Sequence[DocumentedSpan] = (),
    span_of: Mapping[int, str] | None = None,
) -> TraceDocument:
    """The document of `trace` and its normalised steps; `replacements` are those they were made with.

    `span_of` gives, by a call's place in the trace, the id of the span it belongs to.

    Raises:
        IntegrityError: if there are no steps.
    """
    if not steps:
        raise IntegrityError("the trace holds no calls: there is nothing to document")
    processes = Processes(trace)
    names = Names(trace, processes, replacements)
    lines = [step.line for step in steps]
    first = min(step.time for step in steps)
    end = processes.of(trace.calls[0]).end
    start = beginning(trace)
    return TraceDocument(
        schema=SCHEMA,
        tracer=trace.tracer,
        tracer_version=version,
        level=trace.level,
        rules=RULES,
        command=tuple(names.text(word) for word in trace.command),
        exit=DocumentedExit(status=end.status if end else None, signal=end.signal if end else None),
        complete=trace.complete,
        problems=trace.problems,
        lost=trace.lost,
        recorded=len(trace.calls),
        counts=counts_of(lines),
        trace_id=trace_id(lines),
        spans=attribution.named(spans, names),
        ends=tuple(DocumentedEnd(end.pid, _since(start, end.time), end.status, end.signal) for end in trace.ends),
        lines=tuple(
            DocumentedLine(step.line, round((step.time - first) * 1e6), round(step.duration * 1e6)) for step in steps
        ),
        calls=_calls(trace, processes, Scrubber(names), span_of or {}),
    )


def beginning(trace: Trace) -> float:
    """When the trace began: seconds since the epoch."""
    return min(call.time for call in trace.calls)


def _calls(
    trace: Trace, processes: Processes, scrubber: Scrubber, span_of: Mapping[int, str]
) -> tuple[DocumentedCall, ...]:
    start = beginning(trace)
    groups = _Groups(processes)
    directories = Directories(processes)
    found = []
    for place, call in enumerate(trace.calls):
        life = processes.of(call)
        found.append(
            DocumentedCall(
                groups.of(call),
                call.pid,
                _since(start, call.time),
                None if call.duration is None else _nanoseconds(call.duration),
                call.name,
                scrubber.arguments(call, directories.current(life)),
                scrubber.result(call),
                call.error,
                span_of.get(place),
            )
        )
        directories.follow(call, life)
    return tuple(found)


class _Groups:
    """The thread group of a call's thread: the number of the process that it is a thread of."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._leaders: dict[Life, int] = {}

    def of(self, call: SystemCall) -> int:
        own = life = self._processes.of(call)
        while life.thread and life.parent is not None:
            life = life.parent
        return self._leaders.setdefault(life, call.pid) if life is own else self._leaders.get(life, call.pid)


def trace_of(found: TraceDocument) -> Trace:
    """The calls of a document as a trace whose first call began at 0; what was replaced in it stays replaced."""
    return Trace(
        tracer=found.tracer,
        level=found.level,
        command=found.command,
        calls=tuple(
            SystemCall(
                call.thread,
                call.began / 1e9,
                call.name,
                call.arguments,
                call.result,
                call.error,
                None if call.took is None else call.took / 1e9,
            )
            for call in found.calls
        ),
        ends=tuple(ProcessEnd(end.thread, end.at / 1e9, end.status, end.signal) for end in found.ends),
        complete=found.complete,
        problems=found.problems,
        lost=found.lost,
    )


def encode(found: TraceDocument) -> bytes:
    """The document's bytes: the same for the same document."""
    return b"".join(pieces(found))


def pieces(found: TraceDocument) -> Iterator[bytes]:
    """The document's bytes in pieces, for what need not hold all of them at once."""
    head = {name: getattr(found, name) for name in found.__struct_fields__ if name not in _LISTS}
    fields = [f"  {_json(name)}: {_json(msgspec.to_builtins(value))},\n" for name, value in head.items()]
    yield ("{\n" + "".join(fields)).encode()
    for name in _LISTS:
        yield from _rows(name, getattr(found, name))
        yield b"\n}\n" if name == _LISTS[-1] else b",\n"


def _rows(name: str, values: tuple[Any, ...]) -> Iterator[bytes]:
    if not values:
        yield f'  "{name}": []'.encode()
        return
    encoder = msgspec.json.Encoder()
    yield f'  "{name}": [\n    '.encode()
    for first in range(0, len(values), _PIECE):
        # Within JSON a line cannot end: each of these ends stands between two rows.
        rows = encoder.encode_lines(values[first : first + _PIECE]).replace(b"\n", _BETWEEN)
        yield rows if first + _PIECE < len(values) else rows[: -len(_BETWEEN)]
    yield b"\n  ]"


def decode(data: bytes, name: str) -> TraceDocument:
    """The document in the bytes of the file `name`.

    Raises:
        IntegrityError: if it is not JSON of this schema, is empty, contradicts itself, or was touched.
    """
    try:
        found = msgspec.json.decode(data, type=TraceDocument)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        refuse_schema(_schema(data, name), name)
        raise IntegrityError(f"{name}: not a trace document: {error}", hint=_AGAIN) from error
    refuse_schema(found.schema, name)
    refuse_contradictions(found, name)
    if not _is_written_as(found, data):
        raise IntegrityError(f"{name}: the bytes are not as this tool writes them", hint=_AGAIN)
    return found


def _is_written_as(found: TraceDocument, data: bytes) -> bool:
    """Whether the document's bytes are these, piece by piece: a second copy of a long trace would be no small one."""
    end = 0
    for piece in pieces(found):
        if not data.startswith(piece, end):
            return False
        end += len(piece)
    return end == len(data)


def refuse_schema(schema: object, name: str) -> None:
    """Refuses a document, in the file `name`, of another schema than this version's.

    Raises:
        IntegrityError: if it is one.
    """
    if isinstance(schema, bool) or not isinstance(schema, int):
        found = "is missing" if schema is None else f"is {_json(schema)}"
        raise IntegrityError(
            f"{name}: not a trace document: its `schema` {found}, expected the number {SCHEMA}", hint=_AGAIN
        )
    if schema != SCHEMA:
        older = schema < SCHEMA
        hint = (
            "promote or record the trace again" if older else "read it with the version that wrote it, or a newer one"
        )
        raise IntegrityError(f"{name}: schema {schema}, this version reads schema {SCHEMA}", hint=hint)


class _Versioned(msgspec.Struct):
    schema: Any = None


def _schema(data: bytes, name: str) -> Any:
    try:
        return msgspec.json.decode(data, type=_Versioned).schema
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{name}: not a trace document: {error}", hint=_AGAIN) from error


def refuse_contradictions(found: TraceDocument, name: str) -> None:
    """Refuses the document of the file `name` if it is empty or its parts are not those of one trace.

    Raises:
        IntegrityError: if so, with what contradicts what.
    """
    if not found.calls or not found.lines:
        raise IntegrityError(f"{name}: the trace holds no calls", hint=_AGAIN)
    if found.recorded != len(found.calls):
        raise IntegrityError(
            f"{name}: {found.recorded} calls were recorded, {len(found.calls)} are listed", hint=_AGAIN
        )
    lines = found.texts
    if found.counts != counts_of(lines):
        raise IntegrityError(f"{name}: the counts are not those of the {len(lines)} lines listed", hint=_AGAIN)
    if found.trace_id != trace_id(lines):
        raise IntegrityError(
            f"{name}: the lines have the digest {trace_id(lines)}, trace_id says {found.trace_id}",
            hint=_AGAIN,
        )


_AGAIN: Final = "the file was changed after it was written: restore it, or promote the trace again"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)


def _since(start: float, time: float) -> int:
    """Nanoseconds, in whole microseconds: seconds since the epoch are exact to a quarter of one in 64 bits."""
    return round((time - start) * 1e6) * 1000
