"""OpenTelemetry spans of a trace, read with the protocol's own messages."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

import msgspec
import pytest

from entrenar_research.core.traces.exports import otlp
from entrenar_research.core.traces.exports.located import Located
from entrenar_research.errors import MissingToolError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.source import SourceLocation
from tests.unit.traces.exported import CALLS, DOCUMENT, EPOCH, SPANS, STEP

trace_service_pb2 = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

BEGAN = 1_700_000_000_000_000_000
OWN = otlp.Context("1" * 32, "2" * 16)
ABOVE = otlp.Context("3" * 32, "4" * 16)
ORIGIN = otlp.Origin(service="study", version="1.2", began=BEGAN, own=OWN, attributes={"run.id": "r1"})


def sent(origin: otlp.Origin = ORIGIN, document: TraceDocument = DOCUMENT, **settings: Any) -> list[Any]:
    """All spans of all requests."""
    found = []
    for request, count in otlp.requests(document, origin, **settings):
        message = trace_service_pb2.ExportTraceServiceRequest.FromString(request)
        (resource,) = message.resource_spans
        assert told(resource.resource) == {"service.name": "study"}
        (scope,) = resource.scope_spans
        assert (scope.scope.name, scope.scope.version) == ("entrenar-research", "1.2")
        assert len(scope.spans) == count <= otlp.BATCH
        found += scope.spans
    return found


def told(message: Any) -> dict[str, Any]:
    """The attributes of a message."""
    return {
        item.key: [word.string_value for word in item.value.array_value.values]
        if item.value.WhichOneof("value") == "array_value"
        else getattr(item.value, item.value.WhichOneof("value"))
        for item in message.attributes
    }


def test_the_run_its_spans_and_its_calls_are_a_tree() -> None:
    spans = sent()
    assert len(spans) == 1 + 3 + len(CALLS)
    assert {span.trace_id.hex() for span in spans} == {OWN.trace}
    known = {span.span_id.hex() for span in spans}
    assert len(known) == len(spans)
    assert [span.parent_span_id.hex() for span in spans[:4]] == ["", OWN.span, EPOCH, EPOCH]
    assert [span.parent_span_id.hex() for span in spans[4:]] == [
        OWN.span, EPOCH, STEP, STEP, STEP, OWN.span, OWN.span,
    ]  # fmt: skip
    assert (spans[0].span_id.hex(), spans[0].name) == (OWN.span, "python3")
    assert [span.name for span in spans[4:]] == [call.name for call in CALLS]


def test_times_are_those_of_the_calls() -> None:
    spans = sent()
    times = [(span.start_time_unix_nano - BEGAN, span.end_time_unix_nano - BEGAN) for span in spans]
    assert times[:4] == [(0, 10_000), (1_000, 9_000), (3_000, 8_000), (5_000, 10_000)]
    assert times[4:] == [(call.began, call.began + (call.took or 0)) for call in CALLS]


def test_attributes_follow_the_conventions() -> None:
    root, epoch, step, other, _, failed, *_, last = sent()
    assert told(root) == {
        "process.pid": 10, "process.command_args": ["python3", "train.py"], "trace.tracer": "strace",
        "trace.complete": True, "trace.lost": 0, "run.id": "r1",
    }  # fmt: skip
    assert (root.status.code, root.status.message) == (2, "killed by SIGKILL")
    assert told(epoch) == {
        "process.pid": 10, "index": 3, "rate": 0.5, "last": True, "who": "x", "deep": '{"a": 1}',
    }  # fmt: skip
    assert (step.status.code, epoch.status.code) == (2, 0)
    assert told(other)["span.unfinished"] is True
    assert told(failed) == {
        "process.pid": 10, "thread.id": 10, "syscall.name": "openat", "syscall.result": "-1",
        "syscall.arguments": CALLS[1].arguments, "error.type": "ENOENT",
    }  # fmt: skip
    assert (failed.status.code, failed.status.message) == (2, "ENOENT")
    assert (last.status.code, told(last)["process.pid"]) == (0, 12)


def test_odd_spans_are_sent_so_that_receivers_take_them() -> None:
    root = msgspec.structs.replace(SPANS[0], id=OWN.span)  # what stands for the run is not sent a second time
    backward = msgspec.structs.replace(SPANS[1], parent=STEP, began=500, ended=400)
    spans = sent(document=msgspec.structs.replace(DOCUMENT, spans=(root, backward)))
    assert [span.span_id.hex() for span in spans].count(OWN.span) == 1
    assert len(spans) == 1 + 1 + len(CALLS)
    assert spans[1].parent_span_id.hex() == OWN.span
    assert spans[1].end_time_unix_nano == spans[1].start_time_unix_nano == BEGAN + 500
    assert spans[3].parent_span_id.hex() == OWN.span  # of a span that is not there


@pytest.mark.parametrize("identity", ["", "zz", "0" * 16, "ab", "A" * 16])
def test_ids_that_are_none_are_made_such(identity: str) -> None:
    odd = msgspec.structs.replace(SPANS[0], id=identity, attributes="[]", began=-(2**63), ended=-(2**63))
    calls = (msgspec.structs.replace(CALLS[0], span=identity or None),)
    root, span, call = sent(document=msgspec.structs.replace(DOCUMENT, spans=(odd,), calls=calls))
    assert len(span.span_id) == 8
    assert any(span.span_id)
    assert span.span_id != root.span_id
    assert call.parent_span_id == (span.span_id if identity else root.span_id)
    assert (span.start_time_unix_nano, told(span)["attributes"]) == (0, "[]")


def test_source_lines_are_told_where_they_are_those_of_the_call() -> None:
    place = SourceLocation("$STUDY/train.py", 12, "load", None)
    spans = sent(places={1: Located(place, None, exact=True), 2: Located(place, None, exact=False)})
    code = {"code.file.path": "$STUDY/train.py", "code.line.number": 12, "code.function.name": "load"}
    assert code.items() <= told(spans[5]).items()
    assert told(spans[6])["syscall.opened_at"] == "load ($STUDY/train.py:12)"
    assert not code.keys() & told(spans[6]).keys()


def test_the_callers_trace_is_taken_up() -> None:
    ours = sent(msgspec.structs.replace(ORIGIN, own=None, parent=ABOVE))
    assert {span.trace_id.hex() for span in ours} == {ABOVE.trace}
    assert ours[0].parent_span_id.hex() == ABOVE.span
    assert ours[0].flags == 0x301  # sampled, and the parent is known to be remote
    assert {span.flags for span in ours[1:]} == {0x101}
    assert not ours[0].links


def test_a_run_stays_in_its_own_trace_and_links_to_the_callers() -> None:
    spans = sent(msgspec.structs.replace(ORIGIN, parent=ABOVE))
    assert {span.trace_id.hex() for span in spans} == {OWN.trace}
    assert spans[0].parent_span_id == b""
    (link,) = spans[0].links
    assert (link.trace_id.hex(), link.span_id.hex(), link.flags) == (ABOVE.trace, ABOVE.span, 0x301)


def test_what_is_sent_twice_is_the_same() -> None:
    origin = msgspec.structs.replace(ORIGIN, own=None)
    first, again = list(otlp.requests(DOCUMENT, origin)), list(otlp.requests(DOCUMENT, origin))
    assert first == again
    other = msgspec.structs.replace(DOCUMENT, trace_id="sha256:" + "1" * 64)
    assert otlp.trace_context(other, origin) != otlp.trace_context(DOCUMENT, origin)


def test_requests_hold_512_spans() -> None:
    long = msgspec.structs.replace(DOCUMENT, calls=CALLS * 200)  # 1400 calls, and 4 more spans
    counts = [count for _, count in otlp.requests(long, ORIGIN)]
    assert counts == [512, 512, 380]


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("00-" + "3" * 32 + "-" + "4" * 16 + "-01", ABOVE),
        (" 00-" + "3" * 32 + "-" + "4" * 16 + "-00\n", ABOVE),
        ("cc-" + "3" * 32 + "-" + "4" * 16 + "-01-what.comes.later", ABOVE),
        ("00-" + "3" * 32 + "-" + "4" * 16 + "-01-more", None),
        ("ff-" + "3" * 32 + "-" + "4" * 16 + "-01", None),
        ("00-" + "0" * 32 + "-" + "4" * 16 + "-01", None),
        ("00-" + "3" * 32 + "-" + "0" * 16 + "-01", None),
        ("00-" + "A" * 32 + "-" + "4" * 16 + "-01", None),
        ("00-" + "3" * 31 + "-" + "4" * 16 + "-01", None),
        ("", None),
    ],
)
def test_traceparent_is_read_as_the_standard_has_it(header: str, found: otlp.Context | None) -> None:
    assert otlp.context(header) == found


def test_refusals_are_read() -> None:
    said = trace_service_pb2.ExportTraceServiceResponse()
    assert otlp.refused(b"") == (0, "")
    said.partial_success.rejected_spans, said.partial_success.error_message = 3, "too old"
    assert otlp.refused(said.SerializeToString()) == (3, "too old")
    with pytest.raises(ValueError, match=r"."):
        otlp.refused(b"<html>")


def test_without_the_messages_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.proto.collector.trace.v1", None)
    with pytest.raises(MissingToolError, match="opentelemetry-proto") as caught:
        list(otlp.requests(DOCUMENT, ORIGIN))
    assert "entrenar-research[otlp]" in str(caught.value.hint)


def test_ids_of_calls_are_made_from_the_trace_and_their_place() -> None:
    wanted = hashlib.sha256(f"{OWN.trace} {OWN.span} 1".encode()).digest()[:8]
    assert sent()[5].span_id == wanted
