"""A receiver of OpenTelemetry spans: OTLP over HTTP with protobuf bodies (https://opentelemetry.io/docs/specs/otlp/)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from entrenar_research.core.traces.exports import otlp
from entrenar_research.errors import UsageError
from entrenar_research.net import client, redaction
from entrenar_research.net.errors import RemoteError

HEADERS: Final = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS")
"""The variables that hold headers, the later one wins: OpenTelemetry's own."""

_PATH: Final = "/v1/traces"
_GRPC_PORT: Final = 4317
_TYPE: Final = "application/x-protobuf"
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def endpoint(address: str) -> str:
    """Where traces are sent to: the address itself if it has a path, else its `/v1/traces`.

    Raises:
        UsageError: if it is no http or https address, or that of OTLP over gRPC.
    """
    client.check_address(address)
    parts = urlsplit(address)
    if parts.port == _GRPC_PORT:
        other = redaction.address(address).replace(f":{_GRPC_PORT}", ":4318", 1)
        raise UsageError(
            f"{redaction.address(address)}: port {_GRPC_PORT} is OTLP over gRPC; spans are sent over HTTP",
            hint=f"the same receivers take HTTP on port 4318: {other}",
        )
    return address if parts.path.strip("/") else urlunsplit(parts._replace(path=_PATH))


def headers(environment: Mapping[str, str]) -> dict[str, str]:
    """The headers that the environment asks for: `name=value` with commas between them, values percent-encoded.

    Raises:
        UsageError: if a variable holds something else; its value is not shown.
    """
    found: dict[str, str] = {}
    for variable in HEADERS:
        for pair in filter(None, map(str.strip, environment.get(variable, "").split(","))):
            name, equals, value = (part.strip() for part in pair.partition("="))
            value = unquote(value)
            if not equals or not _NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise UsageError(
                    f"{variable} holds no list of headers", hint="write it as name=value,name=value, percent-encoded"
                )
            found[name.lower()] = value
    return found


class Receiver:
    """Takes requests at `url` (see `endpoint`) and counts what was refused."""

    def __init__(self, url: str, connection: client.Client) -> None:
        self._url, self._client = url, connection
        self.refused = 0
        self.reasons: tuple[str, ...] = ()

    def send(self, request: bytes) -> None:
        """Sends an `ExportTraceServiceRequest`.

        Raises:
            RemoteError: if nobody takes it, or the answer is not that of a receiver of OTLP.
        """
        reply = self._client.post(self._url, request, _TYPE)
        try:
            refused, reason = _partial(reply)
        except ValueError as error:
            raise RemoteError(
                f"{redaction.address(self._url)}: answered {reply.status}, but not as a receiver of OTLP does",
                hint="is the address right? A receiver listens on port 4318, below /v1/traces",
            ) from error
        self.refused += refused
        if reason and reason not in self.reasons:
            self.reasons = (*self.reasons, reason)


def _partial(reply: client.Reply) -> tuple[int, str]:
    """The spans that were refused, and why; receivers may answer in JSON instead."""
    kind = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("", _TYPE, "application/octet-stream"):
        return otlp.refused(reply.body)
    if kind != "application/json":
        raise ValueError(kind)
    said: Any = json.loads(reply.body or b"{}")
    partial = said.get("partialSuccess", {}) if isinstance(said, dict) else None
    if not isinstance(partial, dict):
        raise ValueError("no ExportTraceServiceResponse")
    return int(partial.get("rejectedSpans", 0)), str(partial.get("errorMessage", ""))
