"""Traces for other people's viewers: files in their formats, and spans for a receiver of OpenTelemetry."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from entrenar_research.actions.traces.reading import Loaded
from entrenar_research.core.traces.exports import chrome, flamegraph, otlp, perfetto, table
from entrenar_research.core.traces.exports.located import Located, located
from entrenar_research.core.traces.exports.tracks import ending
from entrenar_research.core.traces.sources import source_document
from entrenar_research.core.traces.storing import packed
from entrenar_research.core.tracking import handover
from entrenar_research.errors import UsageError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.policy import CompressionPolicy, OtlpPolicy
from entrenar_research.models.run import RunRecord
from entrenar_research.net import client, redaction
from entrenar_research.net import otlp as receivers
from entrenar_research.store import files, output_files
from entrenar_research.store.run_files import RunFiles

Format = Literal["chrome", "perfetto", "flamegraph", "csv", "pack"]
FORMATS: Final[tuple[Format, ...]] = ("chrome", "perfetto", "flamegraph", "csv", "pack")
_SOURCE: Final = "_source.json"


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a format made of a trace; `note` is one more thing to know about it."""

    data: bytes
    note: str = ""


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """What became of spans: how many were sent where, in which trace, how many were refused, and what was said."""

    address: str
    trace: str
    spans: int
    refused: int
    reasons: tuple[str, ...]
    assumed_time: bool


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """Who sends spans: the name of the service they are of, our version, what the environment says, and the time."""

    service: str
    version: str
    environment: Mapping[str, str]
    now: datetime.datetime


def write(
    form: Format, document: TraceDocument, compression: CompressionPolicy, places: Mapping[int, Located]
) -> Written:
    """The trace in a format; `places` are those of calls in the source, by their place in the trace.

    Raises:
        IntegrityError: if the trace lacks what the format shows.
    """
    if form == "chrome":
        return Written(data=chrome.export(document))
    if form == "perfetto":
        return Written(data=perfetto.export(document))
    if form == "csv":
        return Written(data=table.export(document).encode("utf-8", "backslashreplace"))
    if form == "flamegraph":
        return Written(data=flamegraph.export(document, places).encode("utf-8", "backslashreplace"))
    data, stored = packed.pack(
        document,
        algorithm=compression.algorithm if compression.enabled else "none",
        level=compression.level,
        threshold=compression.min_file_size_kb * 1024,
    )
    return Written(data=data, note=f"{stored.algorithm}, {stored.ratio:.1%} of {stored.original_bytes:,} bytes")


def save(path: Path, data: bytes, source: str) -> None:
    """Writes `data` to `path`, in one go; `source` is what was exported.

    Raises:
        UsageError: if `path` is a directory, lies in one that is not there, or is the trace itself.
        StorageError: if the file system refuses.
    """
    if path.exists() and Path(source).exists() and path.samefile(source):
        raise UsageError(f"{path} is the trace that is exported", hint="name another file to write")
    output_files.write(path, data)


def address(given: str, policy: OtlpPolicy) -> str:
    """Where spans are sent to: what was given, or the endpoint of `renacer.toml` where it is enabled there.

    Raises:
        UsageError: if there is neither, or it is no address.
    """
    if not given and not policy.enabled:
        raise UsageError(
            "nobody to send spans to: no address was given, and [otlp] of renacer.toml is not enabled",
            hint="give one: --otlp http://localhost:4318",
        )
    return receivers.endpoint(given or policy.endpoint)


def record_of(found: Loaded, source: str, root: Path | None) -> RunRecord | None:
    """The record of the run that a trace was loaded from; None if `source` is a file, or of no run."""
    if root is None or Path(source).is_file() or found.name not in RunFiles(root).ids():
        return None
    return RunFiles(root).load(found.name)


def places(found: Loaded, source: str, root: Path | None) -> Mapping[int, Located]:
    """Where the calls come from, if that was recorded: `<name>_source.json` beside the trace, or the golden trace's.

    Raises:
        IntegrityError: if it is damaged, or of another trace.
    """
    beside = Path(source).with_name(f"{Path(source).stem}{_SOURCE}")
    golden = [root / "golden_traces" / found.name / f"{found.name}{_SOURCE}"] if root is not None else []
    for path in [beside] if Path(source).is_file() else golden:
        if path.is_file():
            with files.refusals(f"cannot read {path.name}"):
                data = path.read_bytes()
            return located(source_document.decode(data, path.name), found.document, path.name)
    return {}


def send(
    document: TraceDocument,
    url: str,
    sender: Sender,
    *,
    record: RunRecord | None = None,
    places: Mapping[int, Located] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Sent:
    """Sends a trace to `url`: that of a run in the run's own trace, another as a part of `TRACEPARENT`'s.

    A trace of no run does not say when it was made: it is sent as if it ended now, and says so.

    Raises:
        RemoteError: if nobody takes it; what was taken before stays there.
        MissingToolError: if what this needs is not installed.
    """
    origin = _origin(document, record, sender)
    total = 1 + len(document.spans) + len(document.calls)
    connection = client.Client(f"entrenar-research/{sender.version}", receivers.headers(sender.environment))
    receiver = receivers.Receiver(url, connection)
    done = 0
    try:
        for request, count in otlp.requests(document, origin, places):
            receiver.send(request)
            done += count
            progress(done, total)
    finally:
        connection.close()
    return Sent(
        address=redaction.address(url),
        trace=otlp.trace_context(document, origin).trace,
        spans=done,
        refused=receiver.refused,
        reasons=receiver.reasons,
        assumed_time=record is None,
    )


def _origin(document: TraceDocument, record: RunRecord | None, sender: Sender) -> otlp.Origin:
    if record is None:
        began = _nanoseconds(sender.now) - ending(document)
        told: dict[str, str | bool] = {"trace.time_assumed": True}
    else:
        began = _nanoseconds(datetime.datetime.fromisoformat(record.started))
        told = {"run.id": record.id, "run.experiment": record.experiment, "run.status": record.status}
    own = None
    if record is not None and record.trace_id is not None:
        own = otlp.context(f"00-{record.trace_id}-{handover.root_span(f'runs/{record.id}')}-01")
    return otlp.Origin(
        service=sender.service,
        version=sender.version,
        began=began,
        own=own,
        parent=otlp.context(sender.environment.get(handover.TRACE, "")),
        attributes=told,
    )


def _nanoseconds(moment: datetime.datetime) -> int:
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
