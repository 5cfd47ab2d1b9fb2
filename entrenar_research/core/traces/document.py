"""The JSON document of a trace (`<name>.json`): canonical bytes, one call a line, so that a change is local.

It holds the normalised lines with their relative times, never contents, environments or this machine's paths.
Every byte counts: what was decoded is encoded again, and other bytes than these are refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.normalisation import RULES, Step, counts_of, trace_id
from entrenar_research.core.traces.processes import Processes
from entrenar_research.errors import IntegrityError
from entrenar_research.models.trace import Trace

SCHEMA: Final = 1


class DocumentedExit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the command ended: with a status or by a signal; both None if the trace does not say."""

    status: int | None
    signal: str | None


class DocumentedCall(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A normalised line; microseconds since the first one began, and spent in it."""

    line: str
    began: int
    took: int


class TraceDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the document says. The fields are written in this order.

    `rules` is the version of the normalisation. `recorded` counts the calls that the tracer saw, `counts` the
    lines in `calls` by name; only the latter are the same in every repetition.
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
    recorded: int
    counts: dict[str, int]
    trace_id: str
    calls: tuple[DocumentedCall, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The normalised lines alone."""
        return tuple(call.line for call in self.calls)


def document(
    trace: Trace, steps: Sequence[Step], *, version: str | None, replacements: Mapping[str, str]
) -> TraceDocument:
    """The document of `trace` and its normalised steps; `replacements` are those they were made with.

    Raises:
        IntegrityError: if there are no steps.
    """
    if not steps:
        raise IntegrityError("the trace holds no calls: there is nothing to document")
    processes = Processes(trace)
    names = Names(trace, processes, replacements)
    lines = [step.line for step in steps]
    start = min(step.time for step in steps)
    end = processes.of(trace.calls[0]).end
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
        recorded=len(trace.calls),
        counts=counts_of(lines),
        trace_id=trace_id(lines),
        calls=tuple(
            DocumentedCall(step.line, _microseconds(step.time - start), _microseconds(step.duration)) for step in steps
        ),
    )


def encode(found: TraceDocument) -> bytes:
    """The document's bytes: the same for the same document."""
    head = msgspec.to_builtins(found)
    calls = head.pop("calls")
    fields = [f"  {_json(name)}: {_json(value)},\n" for name, value in head.items()]
    rows = ",\n".join(f"    {_json(call)}" for call in calls)
    return ("{\n" + "".join(fields) + f'  "calls": [\n{rows}\n  ]\n' + "}\n").encode()


def decode(data: bytes, name: str) -> TraceDocument:
    """The document in the bytes of the file `name`.

    Raises:
        IntegrityError: if it is not JSON of this schema, is empty, contradicts itself, or was touched.
    """
    try:
        found = msgspec.json.decode(data, type=TraceDocument)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{name}: not a trace document: {error}", hint=_AGAIN) from error
    if found.schema != SCHEMA:
        raise IntegrityError(f"{name}: schema {found.schema}, this version reads schema {SCHEMA}")
    if not found.calls:
        raise IntegrityError(f"{name}: the trace holds no calls", hint=_AGAIN)
    lines = found.lines
    if found.counts != counts_of(lines):
        raise IntegrityError(f"{name}: the counts are not those of the {len(lines)} calls listed", hint=_AGAIN)
    if found.trace_id != trace_id(lines):
        raise IntegrityError(
            f"{name}: the calls have the digest {trace_id(lines)}, trace_id says {found.trace_id}",
            hint=_AGAIN,
        )
    if encode(found) != data:
        raise IntegrityError(f"{name}: the bytes are not as this tool writes them", hint=_AGAIN)
    return found


_AGAIN: Final = "the file was changed after it was written: restore it, or promote the trace again"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def _microseconds(seconds: float) -> int:
    return round(seconds * 1e6)
