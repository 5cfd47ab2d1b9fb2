"""Spans and system calls of one execution: joined when it is traced, and shown side by side."""

from __future__ import annotations

from pathlib import Path

import msgspec

from entrenar_research.core.traces.document import beginning
from entrenar_research.core.traces.spans import attribution
from entrenar_research.core.traces.spans.span_table import SpanRow, rows, summed
from entrenar_research.core.tracking import handover
from entrenar_research.models.documented import DocumentedSpan, TraceDocument
from entrenar_research.models.trace import Trace
from entrenar_research.store.logged import log as logged
from entrenar_research.store.logged import span_values


class Joined(msgspec.Struct, frozen=True, kw_only=True):
    """The spans of an execution, in time of its trace, and the span of each call by its place there."""

    spans: tuple[DocumentedSpan, ...] = ()
    span_of: dict[int, str] = {}


def joined(trace: Trace, directory: Path) -> Joined:
    """The spans that the processes of `trace` logged into the run whose directory this is, before it is sealed."""
    start = beginning(trace)
    first = round(start * 1e6) * 1000
    root = handover.root_span(f"runs/{directory.name}")
    spans: list[DocumentedSpan] = []
    threads: dict[str, int] = {}
    for item in logged.event_logs(directory):
        for span in item.log.spans if item.log is not None else ():
            spans.append(
                DocumentedSpan(
                    span.id,
                    None if span.parent == root else span.parent,
                    span.name,
                    msgspec.json.encode(span.attributes, order="sorted").decode(),
                    item.log.pid if item.log is not None else 0,
                    span.started - first,
                    None if span.ended is None else span.ended - first,
                    span.failed,
                )
            )
            if span.thread is not None:
                threads[span.id] = span.thread
    return Joined(spans=tuple(spans), span_of=attribution.attribute(trace, spans, start, threads=threads))


def table(document: TraceDocument, run: Path | None = None, *, by_name: bool = False) -> tuple[SpanRow, ...]:
    """What the calls of each span came to and the last value of each metric logged in it; or summed `by_name`.

    `run` is the directory of the run that the document is of, where there is one: it has the metrics.

    Raises:
        MissingToolError: if the run is sealed as Parquet and pyarrow is not installed.
        IntegrityError: if its Parquet file is damaged.
        StorageError: if the file system refuses.
    """
    values = span_values.last_values(run) if run is not None and document.spans else {}
    return summed(document) if by_name else rows(document, values)
