"""Which span a system call belongs to: the innermost one that was open in its thread when the call began.

A span is open in the thread that entered it. A thread without an open span of its own goes by the one that started it,
at that moment; a process without one by the span in which it was created, for as long as it lives, as `TRACEPARENT`
tells its children (https://www.w3.org/TR/trace-context/). Of spans that overlap in one thread without lying in each
other, as those of concurrent tasks do, the one begun last counts.

Both clocks tell the time of day. Those of tracers are cut to whole microseconds, so spans are as well: whoever begins
or ends one takes longer than that between a call before it and a call after it.

`per_span` counts what the calls of a document's spans came to.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.processes import CREATION, Life, Processes
from entrenar_research.models.documented import DocumentedCall, DocumentedSpan, TraceDocument
from entrenar_research.models.trace import SystemCall, Trace

_NEVER: Final = 1 << 62
_READS: Final = frozenset(["read", "pread64", "readv", "preadv", "preadv2", "recv", "recvfrom", "recvmsg"])
_WRITES: Final = frozenset(["write", "pwrite64", "writev", "pwritev", "pwritev2", "send", "sendto", "sendmsg"])
_COPIES: Final = frozenset(["sendfile", "copy_file_range", "splice", "tee"])


class SpanCalls(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of a span came to, those of the spans within it included; `own` are those of no span within.

    `seconds` were spent in calls, waiting included and those of threads side by side added up. `read` and `written`
    are the bytes that went through calls: what is mapped into memory is not among them. `by_name` is the most frequent
    call first. `id` is None for what lies outside of all spans, and for the sum of `spans` spans of one name.
    """

    id: str | None
    name: str
    attributes: str
    began: int | None
    ended: int | None
    spans: int
    calls: int
    own: int
    errors: int
    seconds: float
    read: int
    written: int
    by_name: tuple[tuple[str, int], ...]

    @property
    def index(self) -> int | None:
        """The attribute `index`, as in `run.span("epoch", index=3)`, if it is a whole number."""
        found = msgspec.json.decode(self.attributes)
        index = found.get("index") if isinstance(found, dict) else None
        return index if isinstance(index, int) and not isinstance(index, bool) else None


def attribute(
    trace: Trace, spans: Sequence[DocumentedSpan], began: float, *, threads: Mapping[str, int] | None = None
) -> dict[int, str]:
    """The id of the span that each call belongs to, by the call's place in the trace; calls outside are not in it.

    `began` (seconds since 1970) is what the spans' times count from. `threads` has, by span id, the thread that
    entered it where that was not the first of its process.
    """
    if not spans:
        return {}
    start = round(began * 1e6)
    courses = _Courses(trace, spans, start, threads or {})
    found: dict[int, str] = {}
    for place, call in enumerate(trace.calls):
        course = courses.of(call)
        if course is not None:
            span = course.at(round(call.time * 1e6) - start)
            if span is not None:
                found[place] = span
    return found


def named(spans: Iterable[DocumentedSpan], names: Names) -> tuple[DocumentedSpan, ...]:
    """The spans with names for this machine's places, where their own names or attributes hold any."""
    return tuple(
        msgspec.structs.replace(
            span,
            name=names.text(span.name),
            attributes=msgspec.json.encode(
                _named(msgspec.json.decode(span.attributes), names), order="sorted"
            ).decode(),
        )
        for span in spans
    )


def _named(value: object, names: Names) -> object:
    if isinstance(value, str):
        return names.text(value)
    if isinstance(value, dict):
        return {names.text(key): _named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    return value


class _Course:
    """Which span is open in one thread, from when to when (microseconds since the beginning)."""

    def __init__(self, moments: Sequence[int], ids: Sequence[str | None]) -> None:
        self.moments, self.ids = moments, ids

    def at(self, moment: int) -> str | None:
        place = bisect_right(self.moments, moment)
        return self.ids[place - 1] if place else None

    def over(self, below: _Course | None) -> _Course:
        """The same, with what is `below` where it has no span."""
        if below is None:
            return self
        if not self.moments:
            return below
        moments = sorted({*self.moments, *below.moments})
        return _Course(moments, [self.at(moment) or below.at(moment) for moment in moments])


def _own_course(spans: Sequence[DocumentedSpan]) -> _Course:
    """The course of a thread that entered these spans, in the order in which it began them."""
    changes: list[tuple[int, int, int]] = []
    for place, span in enumerate(spans):
        first, after = span.began // 1000, _NEVER if span.ended is None else span.ended // 1000
        if first < after:
            changes += [(after, 0, place), (first, 1, place)]
    open_now: list[int] = []
    moments: list[int] = []
    ids: list[str | None] = []
    for moment, begins, place in sorted(changes):
        if begins:
            open_now.append(place)
        else:
            open_now.remove(place)
        if moments and moments[-1] == moment:
            moments.pop(), ids.pop()
        moments.append(moment)
        ids.append(spans[open_now[-1]].id if open_now else None)
    return _Course(moments, ids)


class _Courses:
    """The course of every thread of a trace, made when it is first asked for."""

    def __init__(self, trace: Trace, spans: Sequence[DocumentedSpan], start: int, threads: Mapping[str, int]) -> None:
        self._processes = Processes(trace)
        self._start = start
        self._births: dict[Life, SystemCall] = {}
        for call in trace.calls:
            if call.name in CREATION:
                child = self._processes.born(call)
                if child is not None:
                    self._births.setdefault(child, call)
        entered: dict[Life, list[DocumentedSpan]] = {}
        for span in sorted(spans, key=lambda span: span.began):
            pid = threads.get(span.id, span.process)
            moment = SystemCall(pid, (start + span.began // 1000) / 1e6, "", "", "")
            entered.setdefault(self._processes.of(moment), []).append(span)
        self._own = {life: _own_course(found) for life, found in entered.items()}
        self._whole: dict[Life, _Course | None] = {}
        # A number that never ended, or ended once and was not seen again, has one bearer: it is looked up once.
        self._by_number: dict[int, _Course | None] = {}
        ended = {end.pid: end.time for end in sorted(trace.ends, key=lambda end: -end.time)}
        self._reused = {call.pid for call in trace.calls if call.time > ended.get(call.pid, math.inf)}

    def of(self, call: SystemCall) -> _Course | None:
        if call.pid in self._by_number:
            return self._by_number[call.pid]
        course = self._course(self._processes.of(call))
        if call.pid not in self._reused:
            self._by_number[call.pid] = course
        return course

    def _course(self, life: Life) -> _Course | None:
        line = [life]  # a child of a child of a child ...: without recursion, for deep trees
        while line[-1].parent is not None and line[-1] not in self._whole:
            line.append(line[-1].parent)
        for member in reversed(line):
            if member not in self._whole:
                self._whole[member] = self._begin(member)
        return self._whole[life]

    def _begin(self, life: Life) -> _Course | None:
        own, above = self._own.get(life), self._whole.get(life.parent) if life.parent is not None else None
        if above is not None and not life.thread:
            birth = self._births.get(life)
            around = above.at(round(birth.time * 1e6) - self._start) if birth is not None else None
            above = None if around is None else _Course([-_NEVER], [around])
        return above if own is None else own.over(above)


class _Sum:
    """What some calls came to."""

    __slots__ = ("errors", "names", "nanoseconds", "own", "read", "written")

    def __init__(self) -> None:
        self.own = self.errors = self.nanoseconds = self.read = self.written = 0
        self.names: Counter[str] = Counter()

    def take(self, call: DocumentedCall) -> None:
        self.own += 1
        self.names[call.name] += 1
        if call.error is not None:
            self.errors += 1
        self.nanoseconds += call.took or 0
        if call.name in _READS or call.name in _COPIES:
            self.read += _bytes(call)
        if call.name in _WRITES or call.name in _COPIES:
            self.written += _bytes(call)

    def add(self, other: _Sum) -> None:
        self.errors += other.errors
        self.nanoseconds += other.nanoseconds
        self.read += other.read
        self.written += other.written
        self.names += other.names

    def row(self, span: DocumentedSpan | None, own: int, spans: int = 1) -> SpanCalls:
        return SpanCalls(
            id=None if span is None else span.id,
            name="" if span is None else span.name,
            attributes="{}" if span is None else span.attributes,
            began=None if span is None else span.began,
            ended=None if span is None else span.ended,
            spans=spans,
            calls=self.names.total(),
            own=own,
            errors=self.errors,
            seconds=self.nanoseconds / 1e9,
            read=self.read,
            written=self.written,
            by_name=tuple(sorted(self.names.items(), key=lambda item: (-item[1], item[0]))),
        )


def _bytes(call: DocumentedCall) -> int:
    return int(call.result) if call.error is None and call.result.isdecimal() else 0


def per_span(document: TraceDocument) -> tuple[SpanCalls, ...]:
    """What the calls of every span came to, in the order in which the spans began; last, if any, those outside."""
    sums = _own_sums(document)
    outside = sums.pop(None, None)
    within = {span.id: _Sum() for span in document.spans}
    lines = lines_of(document.spans)
    for span in document.spans:
        for above in lines[span.id]:
            if span.id in sums:
                within[above].add(sums[span.id])
    ordered = sorted(document.spans, key=lambda span: (span.began, span.id))
    rows = [within[span.id].row(span, sums[span.id].own if span.id in sums else 0) for span in ordered]
    return (*rows, *([outside.row(None, outside.own, 0)] if outside is not None else []))


def by_name(document: TraceDocument) -> tuple[SpanCalls, ...]:
    """The same summed over the spans of a name, sorted by it; spans within one of their own name count once."""
    sums, names = _own_sums(document), {span.id: span.name for span in document.spans}
    outside = sums.pop(None, None)
    totals = {name: _Sum() for name in sorted(names.values())}
    own = Counter[str]()
    lines = lines_of(document.spans)
    for span, found in sums.items():
        own[names[span or ""]] += found.own
        for name in {names[above] for above in lines[span or ""]}:
            totals[name].add(found)
    rows = [
        msgspec.structs.replace(total.row(None, own[name], count), name=name)
        for (name, total), count in zip(totals.items(), map(Counter(names.values()).__getitem__, totals), strict=True)
    ]
    return (*rows, *([outside.row(None, outside.own, 0)] if outside is not None else []))


def _own_sums(document: TraceDocument) -> dict[str | None, _Sum]:
    known: set[str | None] = {span.id for span in document.spans}
    sums: dict[str | None, _Sum] = {}
    for call in document.calls:
        span = call.span if call.span in known else None
        found = sums.get(span)
        if found is None:
            found = sums[span] = _Sum()
        found.take(call)
    return sums


def lines_of(spans: Iterable[DocumentedSpan]) -> dict[str, tuple[str, ...]]:
    """Each span's own id and those of the spans around it, from the inside out."""
    parents = {span.id: span.parent for span in spans}
    lines: dict[str, tuple[str, ...]] = {}
    for span, parent in parents.items():
        line, above = [span], parent
        while above in parents and above not in line:
            line.append(above)
            above = parents[above]
        lines[span] = tuple(line)
    return lines
