"""A documented trace seen by who did what: the life behind every call, the program each process runs, its spans."""

from __future__ import annotations

import math
import posixpath
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from entrenar_research.core.traces.calls import EXECUTIONS
from entrenar_research.core.traces.processes import CREATION, Life, Processes
from entrenar_research.core.traces.syntax import unquote
from entrenar_research.models.documented import DocumentedCall, TraceDocument
from entrenar_research.models.trace import ProcessEnd, SystemCall, Trace

_CREATES_OR_BEGINS: Final = CREATION | EXECUTIONS


class Activity:
    """The calls of a document by thread and process. Times are nanoseconds since the trace began."""

    def __init__(self, document: TraceDocument) -> None:
        self.document = document
        self.calls: tuple[DocumentedCall, ...] = document.calls
        self._ends: defaultdict[int, list[int]] = defaultdict(list)
        for end in sorted(document.ends, key=lambda end: end.at):
            self._ends[end.thread].append(end.at)
        self._few = [call for call in self.calls if call.name in _CREATES_OR_BEGINS]
        self._processes = Processes(
            Trace(
                tracer=document.tracer,
                level=document.level,
                command=document.command,
                calls=tuple(_plain(call) for call in self._few if call.name in CREATION),
                ends=tuple(ProcessEnd(end.thread, end.at / 1e9, end.status, end.signal) for end in document.ends),
            )
        )
        self._known: dict[tuple[int, int], Life] = {}
        self._images: defaultdict[Life, list[tuple[int, str]]] = defaultdict(list)
        for call in self._few:
            if call.name in EXECUTIONS and call.error is None:
                path = _path(call)
                if path is not None:
                    self._images[leader(self.life(call))].append((call.began, path))

    @cached_property
    def dated(self) -> bool:
        """Whether the trace says when its calls began."""
        return any(call.began for call in self.calls)

    @cached_property
    def timed(self) -> bool:
        """Whether the trace says how long its calls took."""
        return any(call.took for call in self.calls)

    def life(self, call: DocumentedCall) -> Life:
        """The thread or process that made `call`."""
        ends = self._ends.get(call.thread)
        which = 0 if not ends or call.began <= ends[0] else bisect_left(ends, call.began)
        life = self._known.get((call.thread, which))
        if life is None:
            life = self._known[call.thread, which] = self._processes.of(_plain(call))
        return life

    @cached_property
    def lives(self) -> list[Life]:
        """The life behind each of the calls, in their order."""
        until = {thread: ends[0] for thread, ends in self._ends.items()}
        first: dict[int, tuple[Life, float]] = {}  # of each number: who bears it first, and when that one ends
        found = []
        for call in self.calls:
            known = first.get(call.thread)
            if known is None or call.began > known[1]:
                known = (self.life(call), until.get(call.thread, math.inf))
                if call.began <= known[1]:
                    first[call.thread] = known
            found.append(known[0])
        return found

    @cached_property
    def by_thread(self) -> dict[Life, list[int]]:
        """The places (in `calls`) of each thread's calls, in the order in which they began; the command's first."""
        found: defaultdict[Life, list[int]] = defaultdict(list)
        for place, life in enumerate(self.lives):
            found[life].append(place)
        began = [call.began for call in self.calls]
        for places in found.values():
            places.sort(key=began.__getitem__)
        return {life: found[life] for life in sorted(found, key=lambda life: life.order)}

    @cached_property
    def by_process(self) -> dict[Life, list[Life]]:
        """The threads of each process that made calls, its first one among them; the command's own process first."""
        found: defaultdict[Life, list[Life]] = defaultdict(list)
        for life in self.by_thread:
            found[leader(life)].append(life)
        return {process: found[process] for process in sorted(found, key=lambda life: life.order)}

    @cached_property
    def births(self) -> dict[Life, DocumentedCall]:
        """The call that created each thread and process, where the trace shows it."""
        found: dict[Life, DocumentedCall] = {}
        for call in self._few:
            born = self._processes.born(_plain(call)) if call.name in CREATION and call.error is None else None
            if born is not None:
                found.setdefault(born, call)
        return found

    def ends_at(self, life: Life) -> int:
        """When a life ended, or was last seen."""
        if life.end is not None:
            return round(life.end.time * 1e9)
        return max((end_of(self.calls[place]) for place in self.by_thread.get(life, ())), default=0)

    def image(self, process: Life) -> str | None:
        """The path of the program that a process ran last: its own or the one it was forked with."""
        while not self._images.get(process):
            if process.parent is None:
                return self.document.command[0] if self.document.command and len(process.order) == 1 else None
            process = leader(process.parent)
        return self._images[process][-1][1]

    def own_image(self, process: Life) -> str | None:
        """The path of the program that a process began itself, last; None if it only ran what it was forked with."""
        images = self._images.get(process)
        return images[-1][1] if images else None

    def begins_at(self, process: Life) -> int:
        """When a process began its last program, or was first seen."""
        images = self._images.get(process)
        first = self.by_thread.get(process)
        return images[-1][0] if images else self.calls[first[0]].began if first else 0

    def program(self, process: Life) -> str:
        """The name of the program of a process, without its directory; `?` where the trace does not tell."""
        return posixpath.basename(self.image(process) or "") or "?"

    def place(self, life: Life) -> str:
        """Where a life is, in words: `process 1.2 (python3)`, `thread 1.3 of process 1 (python3)`."""
        process = leader(life)
        words = f"process {process.label} ({self.program(process)})"
        return words if process is life else f"thread {life.label} of {words}"

    def span(self, places: Sequence[int]) -> str | None:
        """The name of the span that most of these calls were made in; None if most of them were made in none."""
        found: defaultdict[str | None, int] = defaultdict(int)
        for place in places:
            found[self.calls[place].span] += 1
        best = max(sorted(found, key=str), key=lambda span: found[span], default=None)
        return next((span.name for span in self.document.spans if span.id == best), None)


def leader(life: Life) -> Life:
    """The process of a thread: the life that it is a thread of."""
    while life.thread and life.parent is not None:
        life = life.parent
    return life


def end_of(call: DocumentedCall) -> int:
    """When a call returned; when it began, where the tracer does not say."""
    return call.began + (call.took or 0)


def _plain(call: DocumentedCall) -> SystemCall:
    return SystemCall(call.thread, call.began / 1e9, call.name, call.arguments, call.result, call.error)


def _path(call: DocumentedCall) -> str | None:
    """The program of an execve: its first string."""
    at = call.arguments.find('"')
    return unquote(call.arguments[at:]) if at >= 0 else None
