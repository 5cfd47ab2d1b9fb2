"""What all viewers draw: a track a thread, on it calls one after the other, and lanes in which spans nest.

A trace document knows threads by number, and numbers come back. Here a number is one track all the same, as it is in
every viewer: the programs that bore it are all named.
"""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from entrenar_research.core.traces.syntax import split_arguments, unquote
from entrenar_research.models.documented import DocumentedCall, DocumentedSpan, TraceDocument

_EXECUTIONS: Final = frozenset({"execve", "execveat"})
_LONGEST: Final = 3


class Slice(msgspec.Struct, frozen=True, gc=False):
    """A call as it is drawn, `place` being its place in the document; nanoseconds since the trace began.

    A thread does one thing at a time: where rounding makes a call end after the next one began, it is drawn to where
    the next one begins. `length` is None where the tracer measured no duration.
    """

    place: int
    call: DocumentedCall
    length: int | None


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """Spans that nest within each other or follow each other, in the order in which they began."""

    process: int
    spans: tuple[DocumentedSpan, ...]


class Tracks(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is drawn; `programs` and `threads` in the order of their first calls.

    `programs` gives, by the number of a process, what it ran; `threads`, by that of a thread, its process; `ended` is
    when the last thing ended.
    """

    programs: Mapping[int, str]
    threads: Mapping[int, int]
    slices: Mapping[int, Sequence[Slice]]
    lanes: Sequence[Lane]
    ended: int


def tracks(document: TraceDocument) -> Tracks:
    """The tracks of a trace."""
    threads: dict[int, int] = {}
    calls: dict[int, list[tuple[int, DocumentedCall]]] = {}
    for place, call in enumerate(document.calls):
        threads.setdefault(call.thread, call.process)
        calls.setdefault(call.thread, []).append((place, call))
    ended = ending(document)
    return Tracks(
        programs=programs(document),
        threads=threads,
        slices={thread: _drawn(members) for thread, members in calls.items()},
        lanes=lanes(document.spans, ended),
        ended=ended,
    )


def ending(document: TraceDocument) -> int:
    """When the last call, span or process of the trace ended: nanoseconds since the trace began."""
    return max(
        max((call.began + (call.took or 0) for call in document.calls), default=0),
        max((end.at for end in document.ends), default=0),
        max((span.ended or span.began for span in document.spans), default=0),
    )


def programs(document: TraceDocument) -> dict[int, str]:
    """What each process ran, by its number: the names of the programs, or, without any, that of the process it is of.

    A child that starts no program of its own runs that of the command.
    """
    found: dict[int, list[str]] = {}
    for call in document.calls:
        names = found.setdefault(call.process, [])
        if call.name in _EXECUTIONS and call.error is None:
            name = _program(call)
            if name and name not in names:
                names.append(name)
    own = posixpath.basename(document.command[0]) if document.command else "command"
    return {process: ", ".join(names[-_LONGEST:]) or own for process, names in found.items()}


def _program(call: DocumentedCall) -> str | None:
    arguments = split_arguments(call.arguments)
    place = 1 if call.name == "execveat" else 0
    path = unquote(arguments[place]) if len(arguments) > place else None
    return posixpath.basename(path) if path else None


def _drawn(members: Sequence[tuple[int, DocumentedCall]]) -> tuple[Slice, ...]:
    ordered = sorted(members, key=lambda member: (member[1].began, member[0]))
    nexts = [call.began for _, call in ordered[1:]]
    drawn = []
    for index, (place, call) in enumerate(ordered):
        room = nexts[index] - call.began if index < len(nexts) else None
        length = call.took if room is None or call.took is None else min(call.took, room)
        drawn.append(Slice(place, call, length))
    return tuple(drawn)


def span_end(span: DocumentedSpan, ended: int) -> int:
    """When a span is drawn to end: one that never ended goes on to the end of the trace."""
    return span.ended if span.ended is not None else max(ended, span.began)


def attributes(span: DocumentedSpan) -> dict[str, Any]:
    """The attributes of a span; what is no JSON object is an attribute of its own."""
    try:
        found = json.loads(span.attributes)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"attributes": span.attributes}


def lanes(spans: Sequence[DocumentedSpan], ended: int) -> tuple[Lane, ...]:
    """The spans in lanes: a span is drawn below its parent where it lies within it, else in a lane of its own."""
    made: list[tuple[int, list[DocumentedSpan], list[DocumentedSpan]]] = []
    for span in sorted(spans, key=lambda span: (span.began, -span_end(span, ended))):
        for process, members, open_ in made:
            while open_ and span_end(open_[-1], ended) <= span.began:
                open_.pop()
            fits = not open_ or (span.parent == open_[-1].id and span_end(span, ended) <= span_end(open_[-1], ended))
            if process == span.process and fits:
                members.append(span)
                open_.append(span)
                break
        else:
            made.append((span.process, [span], [span]))
    return tuple(Lane(process=process, spans=tuple(members)) for process, members, _ in made)
