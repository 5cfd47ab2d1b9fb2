"""A trace as OpenTelemetry spans: the command, the spans it logged, and its system calls, in requests of OTLP.

OTLP (https://opentelemetry.io/docs/specs/otlp/), with the names of the semantic conventions where they have one
(`process.*`, `thread.id`, `code.*`, `error.type`) and `syscall.*` where they have none. The ids of calls are made from
the trace id and the call's place, so that what is sent twice is the same span twice, never two.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from entrenar_research.core.traces.exports.located import Located
from entrenar_research.core.traces.exports.tracks import attributes, ending, span_end
from entrenar_research.errors import MissingToolError
from entrenar_research.models.documented import DocumentedCall, DocumentedSpan, TraceDocument

BATCH: Final = 512
"""Spans in a request: what OpenTelemetry's own exporters put into one by default."""

_CONTEXT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
_SPAN_ID: Final = re.compile("[0-9a-f]{16}")
_SAMPLED, _REMOTE_KNOWN, _REMOTE = 0x001, 0x100, 0x200


class Context(msgspec.Struct, frozen=True):
    """A place in somebody's trace: its id (32 hex digits) and that of a span (16)."""

    trace: str
    span: str


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace document does not say: whose it is and when it began (nanoseconds since 1970).

    `own` is the trace and the root span that the run has had since it began; None for a trace of no run. `parent` is
    the span that sends it (W3C Trace Context). `attributes` are told of the root span.
    """

    service: str
    version: str
    began: int
    own: Context | None = None
    parent: Context | None = None
    attributes: Mapping[str, str | bool] = {}


def context(text: str) -> Context | None:
    """The place that a `traceparent` names (https://www.w3.org/TR/trace-context/#traceparent-header), if it does."""
    found = _CONTEXT.fullmatch(text.strip())
    if found is None or found[1] == "ff" or (found[1] == "00" and found[4]):
        return None
    return Context(found[2], found[3]) if found[2].strip("0") and found[3].strip("0") else None


def trace_context(document: TraceDocument, origin: Origin) -> Context:
    """The trace that the spans are sent in, and the id of their root.

    A run has both; another trace is part of its parent's, or, without one, of a trace named after what it holds.
    """
    if origin.own is not None:
        return origin.own
    digest = hashlib.sha256(f"{document.trace_id} {document.calls[0]} {document.calls[-1]}".encode()).hexdigest()
    return Context(origin.parent.trace if origin.parent is not None else digest[:32], digest[32:48])


def requests(
    document: TraceDocument, origin: Origin, places: Mapping[int, Located] | None = None
) -> Iterator[tuple[bytes, int]]:
    """The `ExportTraceServiceRequest`s, each with the number of its spans; parents come before their children.

    `places` are those of calls in the source, by their place in the trace.

    Raises:
        MissingToolError: if the messages of OTLP are not installed.
    """
    messages = _Messages(document, origin, places or {})
    batch = []
    for span in messages.spans():
        batch.append(span)
        if len(batch) == BATCH:
            yield messages.request(batch), len(batch)
            batch = []
    if batch:
        yield messages.request(batch), len(batch)


def refused(reply: bytes) -> tuple[int, str]:
    """How many spans the receiver did not take, and why: the `partial_success` of its reply.

    Raises:
        MissingToolError: if the messages of OTLP are not installed.
        ValueError: if it is no `ExportTraceServiceResponse`.
    """
    service = _protocol()[0]
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # comes with the messages

    try:
        said = service.ExportTraceServiceResponse.FromString(reply).partial_success
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return int(said.rejected_spans), str(said.error_message)


def _protocol() -> Any:
    """The modules of the messages: the service's, the trace's."""
    try:
        from opentelemetry.proto.collector.trace.v1 import trace_service_pb2  # an extra, and takes 40 ms
        from opentelemetry.proto.trace.v1 import trace_pb2
    except ImportError as error:
        raise MissingToolError(
            "spans cannot be sent here: the messages of OTLP (opentelemetry-proto) are not installed",
            hint="pip install 'entrenar-research[otlp]'",
        ) from error
    return trace_service_pb2, trace_pb2


class _Messages:
    """Makes the messages of one trace."""

    def __init__(self, document: TraceDocument, origin: Origin, places: Mapping[int, Located]) -> None:
        self._service, self._trace = _protocol()
        self._document, self._origin, self._places = document, origin, places
        self._root = trace_context(document, origin)
        self._trace_id, self._root_id = bytes.fromhex(self._root.trace), bytes.fromhex(self._root.span)
        self._known = {span.id for span in document.spans} - {self._root.span}

    def request(self, spans: list[Any]) -> bytes:
        """The request of one batch."""
        request = self._service.ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        _tell(resource.resource.attributes, {"service.name": self._origin.service})
        scope = resource.scope_spans.add()
        scope.scope.name, scope.scope.version = "entrenar-research", self._origin.version
        scope.spans.extend(spans)
        return bytes(request.SerializeToString())

    def spans(self) -> Iterator[Any]:
        """The root, the spans that the command logged, the calls."""
        yield self._command()
        ended = ending(self._document)
        for span in sorted(self._document.spans, key=lambda span: span.began):
            if span.id in self._known:
                yield self._logged(span, ended)
        for place, call in enumerate(self._document.calls):
            yield self._call(place, call)

    def _span(self, name: str, identity: bytes, began: int, ended: int) -> Any:
        return self._trace.Span(
            trace_id=self._trace_id,
            span_id=identity,
            name=_text(name),
            kind=self._trace.Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=max(self._origin.began + began, 0),
            end_time_unix_nano=max(self._origin.began + max(began, ended), 0),
            flags=_SAMPLED | _REMOTE_KNOWN,
        )

    def _fail(self, span: Any, words: str) -> None:
        span.status.code = self._trace.Status.STATUS_CODE_ERROR
        span.status.message = words

    def _command(self) -> Any:
        document, parent = self._document, self._origin.parent
        name = posixpath.basename(document.command[0]) if document.command else "command"
        span = self._span(name, self._root_id, 0, ending(document))
        if parent is not None and parent.trace == self._root.trace and parent.span != self._root.span:
            span.parent_span_id = bytes.fromhex(parent.span)
            span.flags |= _REMOTE
        elif parent is not None and parent.trace != self._root.trace:
            flags = _SAMPLED | _REMOTE_KNOWN | _REMOTE
            span.links.add(trace_id=bytes.fromhex(parent.trace), span_id=bytes.fromhex(parent.span), flags=flags)
        told: dict[str, Any] = {"process.pid": document.calls[0].process, "process.command_args": document.command}
        told |= {"trace.tracer": document.tracer, "trace.complete": document.complete, "trace.lost": document.lost}
        how = document.exit
        if how.status is not None:
            told["process.exit.code"] = how.status
        _tell(span.attributes, {**told, **self._origin.attributes})
        if how.signal is not None or how.status:
            self._fail(span, f"killed by {how.signal}" if how.signal else f"exit status {how.status}")
        return span

    def _logged(self, found: DocumentedSpan, ended: int) -> Any:
        span = self._span(found.name, _span_id(found.id), found.began, span_end(found, ended))
        known = found.parent in self._known and found.parent != found.id
        span.parent_span_id = _span_id(found.parent) if found.parent and known else self._root_id
        unfinished = {"span.unfinished": True} if found.ended is None else {}
        _tell(span.attributes, {"process.pid": found.process, **attributes(found), **unfinished})
        if found.failed:
            self._fail(span, "the span ended with an exception")
        return span

    def _call(self, place: int, call: DocumentedCall) -> Any:
        identity = hashlib.sha256(f"{self._root.trace} {self._root.span} {place}".encode()).digest()[:8]
        span = self._span(call.name, identity, call.began, call.began + (call.took or 0))
        span.parent_span_id = _span_id(call.span) if call.span in self._known and call.span else self._root_id
        told: dict[str, Any] = {"process.pid": call.process, "thread.id": call.thread, "syscall.name": call.name}
        told |= {"syscall.arguments": call.arguments, "syscall.result": call.result}
        if call.error is not None:
            told["error.type"] = call.error
            self._fail(span, call.error)
        where = self._places.get(place)
        if where is not None:
            told |= _source(where)
        _tell(span.attributes, told)
        return span


def _source(where: Located) -> dict[str, Any]:
    """The source line of a call; where only that of its descriptor is known, that is no `code.*`."""
    if not where.exact:
        return {"syscall.opened_at": where.frames[-1].removesuffix(" (opened here)")}
    told: dict[str, Any] = {"code.file.path": where.location.file}
    told |= {"code.line.number": where.location.line} if where.location.line is not None else {}
    return told | ({"code.function.name": where.location.function} if where.location.function else {})


def _tell(target: Any, values: Mapping[str, Any]) -> None:
    """Adds attributes: what has no type of its own in OTLP is told as JSON."""
    for key, value in values.items():
        attribute = target.add(key=_text(key)).value
        if isinstance(value, bool):
            attribute.bool_value = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            attribute.int_value = value
        elif isinstance(value, float):
            attribute.double_value = value
        elif isinstance(value, str):
            attribute.string_value = _text(value)
        elif isinstance(value, tuple):
            for word in value:
                attribute.array_value.values.add(string_value=_text(word))
        else:
            attribute.string_value = json.dumps(value, ensure_ascii=True, sort_keys=True)


def _span_id(identity: str) -> bytes:
    """The id of a span; one that is none by the standard (a document that somebody wrote) is digested to one."""
    if _SPAN_ID.fullmatch(identity) and identity.strip("0"):
        return bytes.fromhex(identity)
    return hashlib.sha256(identity.encode("utf-8", "backslashreplace")).digest()[:8]


def _text(words: str) -> str:
    """Text that UTF-8 can hold."""
    return words.encode("utf-8", "backslashreplace").decode()
