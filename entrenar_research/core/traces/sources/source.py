"""Where in the code the calls of a trace come from: marks of an interpreter and native stacks held against the calls.

A mark says what its thread was about to do, so the calls that such an act leads to, up to the thread's next mark, are
its (`audit`). Reading, writing and closing have no marks: they are traced to where their descriptor was opened
(`opened at`), which is a different place in the code, and says so. A call with neither has no place here.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Final

import msgspec

from entrenar_research.core.traces.calls import EXECUTIONS, ON_DESCRIPTORS, OPENS, TRANSFERS
from entrenar_research.core.traces.logs.frames import Frame, Stacks
from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.processes import CREATION, Life, Processes
from entrenar_research.core.traces.sources.source_marks import STARTS, Mark, Marks, Place, explains, is_spent
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.source import SourceDocument, SourceLocation, SourceRun, Way
from entrenar_research.models.trace import SystemCall, Trace

SCHEMA: Final = 1
Lines = Callable[[str, int], tuple[str, int] | None]
"""Source file and line of a place in a program or library, if its debugging information has them."""

_DUPLICATIONS: Final = frozenset(("dup", "dup2", "dup3", "fcntl"))
_ACCEPTED: Final = frozenset(("accept", "accept4"))
_MADE: Final = OPENS | _DUPLICATIONS | _ACCEPTED | {"socket", "memfd_create", "openat2"}
_PAIRS: Final = frozenset(("pipe", "pipe2", "socketpair"))
_USES: Final = (
    (TRANSFERS | ON_DESCRIPTORS | _DUPLICATIONS | _ACCEPTED)
    | frozenset(("fstat", "newfstatat", "statx", "ioctl", "getsockopt", "setsockopt", "getsockname", "getpeername"))
    | frozenset(("listen", "shutdown", "fadvise64", "readahead", "fgetxattr", "fsetxattr", "flistxattr", "fstatfs"))
) - {"mmap"}
_FIRST: Final = re.compile(r"(\d+)\b")
_MAPPED: Final = re.compile(r", (\d+)(?:<[^<>]*>(?:\(deleted\))?)?, (?:0x)?[0-9a-f]+$")
_PAIR: Final = re.compile(r"\[(\d+)(?:<[^<>]*>)?, (\d+)(?:<[^<>]*>)?\]")
_LIBRARY: Final = re.compile(r"/(?:usr/)?lib(?:32|64|x32)?/|\[")
_Found = tuple[int, Way]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a trace's code: marks, stacks, the debugging information; unreadable lines of stacks."""

    marks: Marks
    stacks: Stacks
    lines: Lines
    unreadable: int = 0


def correlate(trace: Trace, document: TraceDocument, names: Names, evidence: Evidence) -> SourceDocument:
    """The places of the calls of `trace`, whose document `document` is; `names` are those of its paths."""
    correlation = _Correlation(trace, names, evidence)
    runs: list[SourceRun] = []
    for place, found in enumerate(correlation.places()):
        if found is None:
            continue
        location, how = found
        span = document.calls[place].span
        last = runs[-1] if runs else None
        if last is not None and (last.first + last.count, last.location, last.how, last.span) == (place, *found, span):
            runs[-1] = SourceRun(last.first, last.count + 1, location, how, span)
        else:
            runs.append(SourceRun(place, 1, location, how, span))
    return SourceDocument(
        schema=SCHEMA,
        trace_id=document.trace_id,
        recorded=document.recorded,
        correlated=sum(run.count for run in runs),
        marks=len(evidence.marks.marks),
        stacks=len(evidence.stacks),
        unreadable=evidence.marks.unreadable + evidence.unreadable,
        locations=correlation.locations.rows,
        calls=tuple(runs),
    )


class _Locations:
    """The numbered places, each once."""

    def __init__(self, names: Names, lines: Lines) -> None:
        self._names, self._lines = names, lines
        self._known: dict[SourceLocation, int] = {}
        self._marked: dict[tuple[Place, ...], int] = {}
        self._stacked: dict[tuple[Frame, ...], int] = {}

    @property
    def rows(self) -> tuple[SourceLocation, ...]:
        return tuple(self._known)

    def _number(self, location: SourceLocation) -> int:
        return self._known.setdefault(location, len(self._known))

    def of_mark(self, mark: Mark) -> int:
        found = self._marked.get(mark.places)
        if found is None:
            above: int | None = None
            for file, line, function in reversed(mark.places):
                written = function.encode("utf-8", "backslashreplace").decode()
                above = self._number(SourceLocation(self._names.path(file), line or None, written, above))
            found = self._marked[mark.places] = above or 0
        return found

    def of_stack(self, frames: tuple[Frame, ...]) -> int:
        found = self._stacked.get(frames)
        if found is None:
            found = self._stacked[frames] = self._number(self._of_frames(frames))
        return found

    def _of_frames(self, frames: tuple[Frame, ...]) -> SourceLocation:
        """The innermost frame with a source line; without any, the innermost outside of the system's libraries."""
        for frame in frames:
            line = self._lines(frame.file, frame.place)
            if line is not None:
                return SourceLocation(self._names.path(line[0]), line[1], frame.symbol, None)
        frame = next((frame for frame in frames if not _LIBRARY.match(frame.file)), frames[0])
        return SourceLocation(self._names.path(frame.file), None, frame.symbol, None)


class _Correlation:
    """What is known after the calls seen so far: the mark of each thread, the opening of each descriptor."""

    def __init__(self, trace: Trace, names: Names, evidence: Evidence) -> None:
        self._trace, self._stacks = trace, evidence.stacks
        self._processes = Processes(trace)
        self.locations = _Locations(names, evidence.lines)
        self._marks: defaultdict[Life, list[Mark]] = defaultdict(list)
        for mark in reversed(evidence.marks.marks):
            moment = SystemCall(mark.thread, mark.time // 1000 / 1e6, "", "", "")
            self._marks[self._processes.of(moment)].append(mark)  # the next one last
        self._latest: dict[Life, Mark] = {}
        self._opened: dict[Life, dict[int, int]] = {}
        self._started: dict[Life, int] = {}

    def places(self) -> list[_Found | None]:
        """For each call its location and how that is known.

        They are gone through as they began: a vfork ends after calls of its child, whose place it tells.
        """
        calls = self._trace.calls
        places: list[_Found | None] = [None] * len(calls)
        for number in sorted(range(len(calls)), key=lambda number: calls[number].time):
            call = calls[number]
            life = self._processes.of(call)
            found = places[number] = self._place(call, life, round(call.time * 1e6))
            self._follow(call, life, None if found is None else found[0])
        return places

    def _place(self, call: SystemCall, life: Life, moment: int) -> _Found | None:
        frames = self._stacks.get((call.pid, moment))
        if frames is not None:
            return self.locations.of_stack(frames), "stack"
        mark = self._mark(life, moment)
        if mark is not None and explains(mark, call):
            if is_spent(mark, call):
                self._latest.pop(life)
            location = self.locations.of_mark(mark)
            if call.name in CREATION and mark.event in STARTS:
                child = self._processes.born(call)
                if child is not None:
                    self._started.setdefault(child, location)
            return location, "audit"
        number = _used(call)
        opened = self._table(life).get(number) if number is not None else None
        if opened is not None:
            return opened, "opened at"
        return (self._started[life], "audit") if life in self._started else None

    def _mark(self, life: Life, moment: int) -> Mark | None:
        """The last mark of a thread before a moment."""
        coming = self._marks.get(life)
        while coming and coming[-1].time // 1000 <= moment:
            self._latest[life] = coming.pop()
        return self._latest.get(life)

    def _table(self, life: Life) -> dict[int, int]:
        """Where the descriptors of a process were opened: at first, those of the process that created it."""
        own = life
        while own.thread and own.parent is not None:
            own = own.parent
        table = self._opened.get(own)
        if table is None:
            above = self._opened.get(_leader(own.parent)) if own.parent is not None else None
            table = self._opened[own] = dict(above or {})
        return table

    def _follow(self, call: SystemCall, life: Life, location: int | None) -> None:
        """Takes note of descriptors that came and went, and of programs that began."""
        if call.error is not None:
            return
        table = self._table(life)
        if call.name == "close":
            table.pop(_used(call) or 0, None)
        elif call.name in EXECUTIONS:
            self._started.pop(life, None)
        elif call.name in _MADE and (call.name != "fcntl" or "F_DUPFD" in call.arguments):
            made = _FIRST.match(call.result)
            _note(table, [made[1]] if made is not None else [], location)
        elif call.name in _PAIRS and (pair := _PAIR.search(call.arguments)) is not None:
            _note(table, [pair[1], pair[2]], location)


def _note(table: dict[int, int], numbers: list[str], location: int | None) -> None:
    for number in map(int, numbers):
        if location is None:
            table.pop(number, None)
        else:
            table[number] = location


def _leader(life: Life) -> Life:
    while life.thread and life.parent is not None:
        life = life.parent
    return life


def _used(call: SystemCall) -> int | None:
    """The descriptor that a call acts on, or None."""
    if call.name == "mmap":
        found = _MAPPED.search(call.arguments)
    elif call.name in _USES and (call.name not in ("newfstatat", "statx") or "AT_EMPTY_PATH" in call.arguments):
        found = _FIRST.match(call.arguments)
    else:
        return None
    return int(found[1]) if found is not None else None
