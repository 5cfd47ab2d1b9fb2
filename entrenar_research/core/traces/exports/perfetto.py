"""Perfetto's own format: a `Trace` of track events, which ui.perfetto.dev and trace_processor open.

https://perfetto.dev/docs/reference/synthetic-track-event and `protos/perfetto/trace/trace_packet.proto` (the numbers
of its fields are below). Processes, threads and lanes of spans are tracks; names and texts that come back are interned;
times are nanoseconds since the trace began, on a clock that began with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from entrenar_research.core.traces.exports.protobuf import data, number, text, varint
from entrenar_research.core.traces.exports.tracks import Slice, Tracks, attributes, span_end, tracks
from entrenar_research.models.documented import DocumentedCall, DocumentedSpan, TraceDocument

_SEQUENCE: Final = number(10, 1)
_TIME: Final = number(8, 0)[:-1]  # what comes before the value of the field
_FRESH: Final = number(13, 1)
"""The sequence's first packet: what was interned before counts no more."""
_INTERNING: Final = number(13, 2)
_BOOT_CLOCK: Final = 6
_BEGIN, _END, _INSTANT = number(9, 1), number(9, 2), number(9, 3)
_IN_ORDER: Final = number(11, 3)

_CATEGORIES, _NAMES, _KEYS, _TEXTS = 1, 2, 3, 29
_ROOM: Final = 1 << 32  # tracks of processes below, of threads above, of lanes above those

_Event = tuple[int, bytes]


def export(document: TraceDocument) -> bytes:
    """The trace as a `Trace` message."""
    drawn, interned = tracks(document), _Interned()
    events = [*_spans(drawn, interned), *_calls(drawn, interned), *_ends(document, drawn, interned)]
    events.sort(key=itemgetter(0))  # stable: what begins and ends at once on a track stays in order
    clock = data(6, data(1, number(1, _BOOT_CLOCK) + number(2, 0)) + number(2, _BOOT_CLOCK))
    defaults = data(59, number(58, _BOOT_CLOCK))
    first = _SEQUENCE + _FRESH + number(87, 1) + defaults + data(12, interned.message())
    packets = [_SEQUENCE + clock, first, *(_SEQUENCE + data(60, track) for track in _described(document, drawn))]
    packets += [_TIME + varint(at) + _SEQUENCE + _INTERNING + data(11, event) for at, event in events]
    return b"".join(data(1, packet) for packet in packets)


class _Interned:
    """Names and texts by number: each is written once, and referred to."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[int, str], int] = {}
        self._annotations: dict[tuple[str, str], bytes] = {}
        self._events: dict[tuple[bytes, int, str, str], bytes] = {}

    def of(self, kind: int, words: str) -> int:
        """The number of a name or text."""
        return self._numbers.setdefault((kind, words), len(self._numbers) + 1)

    def message(self) -> bytes:
        """The `InternedData`: entries with `iid` 1 and their words 2."""
        return b"".join(data(kind, number(1, iid) + text(2, words)) for (kind, words), iid in self._numbers.items())

    def event(self, kind: bytes, track: int, name: str, category: str) -> bytes:
        """The `TrackEvent`, less its annotations."""
        key = (kind, track, name, category)
        made = self._events.get(key)
        if made is None:
            named = number(10, self.of(_NAMES, name)) + number(3, self.of(_CATEGORIES, category))
            made = self._events[key] = kind + number(11, track) + named
        return made

    def annotated(self, key: str, value: str) -> bytes:
        """A `DebugAnnotation` of text."""
        made = self._annotations.get((key, value))
        if made is None:
            made = data(4, number(1, self.of(_KEYS, key)) + number(17, self.of(_TEXTS, value)))
            self._annotations[key, value] = made
        return made

    def flagged(self, key: str) -> bytes:
        """A `DebugAnnotation` that says yes."""
        return data(4, number(1, self.of(_KEYS, key)) + number(2, 1))


def _described(document: TraceDocument, drawn: Tracks) -> Iterator[bytes]:
    """The `TrackDescriptor`s: processes in order of appearance, their threads, their lanes above these."""
    for order, (process, program) in enumerate(drawn.programs.items()):
        words = document.command if order == 0 else ()
        about = number(1, process) + b"".join(text(2, word) for word in words) + text(6, program)
        yield number(1, _process(process)) + data(3, about) + _IN_ORDER + number(12, order)
    for order, lane in enumerate(drawn.lanes):
        yield (
            number(1, _lane(order)) + text(2, "spans") + number(5, _process(lane.process)) + number(12, order)
        )  # fmt: skip
    for order, (thread, process) in enumerate(drawn.threads.items(), len(drawn.lanes)):
        name = drawn.programs[process] if thread == process else "thread"
        about = number(1, process) + number(2, thread) + text(5, name)
        yield number(1, _thread(thread)) + number(5, _process(process)) + data(4, about) + number(12, order)


def _process(process: int) -> int:
    return process + 1


def _thread(thread: int) -> int:
    return _ROOM + thread


def _lane(order: int) -> int:
    return 2 * _ROOM + order


def _calls(drawn: Tracks, interned: _Interned) -> Iterator[_Event]:
    for thread, slices in drawn.slices.items():
        end = _END + number(11, _thread(thread))
        for item in slices:
            begun = item.call.began
            yield begun, _call(item, _thread(thread), interned)
            if item.length is not None:
                yield begun + item.length, end


def _call(item: Slice, track: int, interned: _Interned) -> bytes:
    call: DocumentedCall = item.call
    event = interned.event(_INSTANT if item.length is None else _BEGIN, track, call.name, "syscall")
    event += interned.annotated("arguments", call.arguments) + interned.annotated("result", call.result)
    event += interned.annotated("error", call.error) if call.error is not None else b""
    return event + (interned.annotated("span", call.span) if call.span is not None else b"")


def _spans(drawn: Tracks, interned: _Interned) -> Iterator[_Event]:
    for order, lane in enumerate(drawn.lanes):
        track, open_ = _lane(order), list[int]()
        for span in lane.spans:
            while open_ and open_[-1] <= span.began:
                yield open_.pop(), _END + number(11, track)
            yield span.began, _span(span, track, interned)
            open_.append(span_end(span, drawn.ended))
        while open_:
            yield open_.pop(), _END + number(11, track)


def _span(span: DocumentedSpan, track: int, interned: _Interned) -> bytes:
    event = interned.event(_BEGIN, track, span.name, "span") + interned.annotated("id", span.id)
    for key, value in attributes(span).items():
        event += interned.annotated(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    event += interned.flagged("failed") if span.failed else b""
    return event + (interned.flagged("unfinished") if span.ended is None else b"")


def _ends(document: TraceDocument, drawn: Tracks, interned: _Interned) -> Iterator[_Event]:
    for end in document.ends:
        word = f"killed by {end.signal}" if end.signal is not None else f"exited with {end.status}"
        if end.thread in drawn.threads and (end.status is not None or end.signal is not None):
            yield end.at, interned.event(_INSTANT, _thread(end.thread), word, "exit")
