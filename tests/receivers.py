"""A receiver of OpenTelemetry spans that lets nothing pass: the protocol's own messages, on the loopback interface."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

trace_service_pb2 = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

Answer = tuple[int, dict[str, str], bytes]
OTLP = "application/x-protobuf"


class Receiver:
    """What was received; `answers` are given first, in order, before it begins to take anything."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: dict[str, Any] = {}
        self.resources: list[Any] = []
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.faults: list[str] = []
        self.answers: list[Answer] = []
        self.last: Answer = (200, {"Content-Type": OTLP}, b"")

    def take(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answers a request."""
        self.requests.append((path, headers))
        if self.answers:
            return self.answers.pop(0)
        if headers.get("content-type") != OTLP:
            return 415, {}, b"expected protobuf"
        if path != "/v1/traces":
            return 404, {}, b"404 page not found"
        request = trace_service_pb2.ExportTraceServiceRequest.FromString(body)
        if request.ByteSize() != len(body):
            self.faults.append("the request does not have one encoding")
        for resource in request.resource_spans:
            self.resources.append(resource.resource)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self._take_span(span)
        return self.last

    def _take_span(self, span: Any) -> None:
        name, identity = span.name, span.span_id.hex()
        if len(span.trace_id) != 16 or len(span.span_id) != 8 or len(span.parent_span_id) not in (0, 8):
            self.faults.append(f"{name}: ids of the wrong length")
        if not any(span.trace_id) or not any(span.span_id):
            self.faults.append(f"{name}: an id of zeros")
        if identity in self.spans:
            self.faults.append(f"{name}: {identity} came twice")
        if not name or not span.kind:
            self.faults.append(f"{identity}: no name or kind")
        if span.end_time_unix_nano < span.start_time_unix_nano or not span.start_time_unix_nano:
            self.faults.append(f"{name}: ends before it begins")
        if span.parent_span_id == span.span_id:
            self.faults.append(f"{name}: its own parent")
        keys = [item.key for item in span.attributes]
        if len(set(keys)) != len(keys) or not all(item.value.WhichOneof("value") for item in span.attributes):
            self.faults.append(f"{name}: attributes that come twice or hold nothing: {keys}")
        self.spans[identity] = span


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens, at `url`."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            status, said, answer = receiver.take(self.path, headers, body)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer)), **said}.items():
                self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # who asked may have read enough
                self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
