"""The Trace Event Format, which chrome://tracing and ui.perfetto.dev open.

https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: the JSON object format, with complete
events (`X`) for calls and spans, instants (`i`) for what has no duration, and metadata (`M`) for names. Times are
microseconds since the trace began.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from entrenar_research.core.traces.exports.tracks import Tracks, attributes, span_end, tracks
from entrenar_research.models.documented import DocumentedSpan, TraceDocument

Event = dict[str, Any]


def export(document: TraceDocument) -> bytes:
    """The trace as JSON, an event a line."""
    encoder = msgspec.json.Encoder()
    lines = b",\n".join(encoder.encode(event) for event in _events(document, tracks(document)))
    about = {
        "command": list(document.command),
        "complete": document.complete,
        "lost": document.lost,
        "trace_id": document.trace_id,
        "tracer": document.tracer,
    }
    return b'{"displayTimeUnit":"ns","otherData":' + encoder.encode(about) + b',"traceEvents":[\n' + lines + b"\n]}\n"


def _events(document: TraceDocument, drawn: Tracks) -> Iterator[Event]:
    for order, (process, program) in enumerate(drawn.programs.items()):
        yield _named("process_name", process, process, {"name": program})
        yield _named("process_sort_index", process, process, {"sort_index": order})
    for order, (thread, process) in enumerate(drawn.threads.items()):
        name = drawn.programs[process] if thread == process else "thread"
        yield _named("thread_name", process, thread, {"name": name})
        yield _named("thread_sort_index", process, thread, {"sort_index": order})
    yield from _spans(drawn)
    yield from _calls(drawn)
    for end in document.ends:
        word = f"killed by {end.signal}" if end.signal is not None else f"exited with {end.status}"
        if end.status is not None or end.signal is not None:
            yield _instant(word, "exit", end.at, drawn.threads.get(end.thread, end.thread), end.thread)


def _calls(drawn: Tracks) -> Iterator[Event]:
    for thread, slices in drawn.slices.items():
        for item in slices:
            call = item.call
            args: Event = {"arguments": call.arguments, "result": call.result}
            if call.error is not None:
                args["error"] = call.error
            if call.span is not None:
                args["span"] = call.span
            if item.length is None:
                yield _instant(call.name, "syscall", call.began, call.process, thread, args)
            else:
                yield _complete(call.name, "syscall", (call.began, item.length), call.process, thread, args)


def _spans(drawn: Tracks) -> Iterator[Event]:
    free = max(drawn.threads, default=0) + 1  # tracks are threads: these take numbers that nobody has
    for track, lane in enumerate(drawn.lanes, free):
        yield _named("thread_name", lane.process, track, {"name": "spans"})
        yield _named("thread_sort_index", lane.process, track, {"sort_index": track - free - len(drawn.lanes)})
        for span in lane.spans:
            length = span_end(span, drawn.ended) - span.began
            yield _complete(span.name, "span", (span.began, length), lane.process, track, _said(span))


def _said(span: DocumentedSpan) -> Event:
    said: Event = {"id": span.id, "attributes": attributes(span)}
    if span.failed:
        said["failed"] = True
    if span.ended is None:
        said["unfinished"] = True
    return said


def _named(what: str, process: int, thread: int, args: Event) -> Event:
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": args}


def _complete(name: str, category: str, when: tuple[int, int], process: int, thread: int, args: Event) -> Event:
    began, length = when
    return {
        "name": name, "cat": category, "ph": "X", "ts": began / 1000, "dur": length / 1000,
        "pid": process, "tid": thread, "args": args,
    }  # fmt: skip


def _instant(name: str, category: str, at: int, process: int, thread: int, args: Event | None = None) -> Event:
    return {
        "name": name, "cat": category, "ph": "i", "s": "t", "ts": at / 1000,
        "pid": process, "tid": thread, "args": args or {},
    }  # fmt: skip
