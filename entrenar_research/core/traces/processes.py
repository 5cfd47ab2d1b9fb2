"""Who is who in a trace: the tree of processes and threads, and the directory each of them stands in.

The kernel gives process numbers out again and again. A `Life` is one process or thread from its creation to
its end; its label counts births, not numbers: `1` is the command itself, `1.2` the second child it made,
`1.2.1` the first child of that one. Labels are the same in every repetition of a program, however its parts
are scheduled.
"""

from __future__ import annotations

import posixpath
from bisect import bisect_left
from collections import defaultdict
from typing import Final

import msgspec

from entrenar_research.core.traces.syntax import descriptor, split_arguments, unquote
from entrenar_research.models.trace import ProcessEnd, SystemCall, Trace

CREATION: Final = frozenset({"clone", "clone3", "fork", "vfork"})
DIRECTORY_CHANGES: Final = CREATION | {"chdir", "fchdir"}
_Key = tuple[int, int]  # a process number and which of its bearers, from 0


class Life(msgspec.Struct, frozen=True, eq=False):
    """A process, or a thread of one. `order` sorts lives as a tree is read; `end` is None if unknown.

    `parent` is None for the command itself and for a process whose creation the trace does not show.
    """

    order: tuple[int, ...]
    parent: Life | None
    thread: bool
    shares_directory: bool
    end: ProcessEnd | None

    @property
    def label(self) -> str:
        """`1`, `1.2`, `1.2.1`."""
        return ".".join(map(str, self.order))


class Processes:
    """The lives of a trace: `of` the process that made a call, `born` in a call that creates one."""

    def __init__(self, trace: Trace) -> None:
        self._ends: defaultdict[int, list[ProcessEnd]] = defaultdict(list)
        for end in sorted(trace.ends, key=lambda end: end.time):
            self._ends[end.pid].append(end)
        self._births: dict[_Key, tuple[_Key, SystemCall]] = {}
        self._children: defaultdict[_Key, int] = defaultdict(int)
        self._ordinal: dict[_Key, int] = {}
        creations = [call for call in trace.calls if call.name in CREATION]
        for call in sorted(creations, key=lambda call: call.time):
            self._note_birth(call)
        self._lives: dict[_Key, Life] = {}
        self._roots = 0

    def of(self, call: SystemCall) -> Life:
        """The process or thread that made `call`."""
        return self._life(self._key(call.pid, call.time))

    def born(self, call: SystemCall) -> Life | None:
        """The child that `call` created, or None if it created none."""
        if call.name not in CREATION or not call.result.isdecimal() or call.result == "0":
            return None
        return self._life(self._key(int(call.result), call.time))

    def _key(self, pid: int, time: float) -> _Key:
        ends = self._ends.get(pid)
        return (pid, bisect_left(ends, time, key=lambda end: end.time) if ends else 0)

    def _note_birth(self, call: SystemCall) -> None:
        if not call.result.isdecimal() or call.result == "0":
            return
        # The child may be seen at work before the call that made it returns, never before that call began.
        child, parent = self._key(int(call.result), call.time), self._key(call.pid, call.time)
        if child not in self._births and child != parent and not self._descends(parent, child):
            self._children[parent] += 1
            self._ordinal[child] = self._children[parent]
            self._births[child] = (parent, call)

    def _descends(self, member: _Key, ancestor: _Key) -> bool:
        """Whether it does already: then a number is one of another namespace, for nobody is their own ancestor."""
        if ancestor not in self._children:  # as it is with whoever is born just now
            return False
        while member in self._births and member != ancestor:
            member = self._births[member][0]
        return member == ancestor

    def _life(self, key: _Key) -> Life:
        if key in self._lives:
            return self._lives[key]
        line = [key]  # a child of a child of a child ...: without recursion, for deep trees
        while line[-1] in self._births and line[-1] not in self._lives:
            line.append(self._births[line[-1]][0])
        for member in reversed(line):
            if member not in self._lives:
                self._lives[member] = self._begin(member)
        return self._lives[key]

    def _begin(self, key: _Key) -> Life:
        ends = self._ends.get(key[0], [])
        end = ends[key[1]] if key[1] < len(ends) else None
        birth = self._births.get(key)
        if birth is None:
            self._roots += 1
            return Life((self._roots,), None, False, False, end)
        parent, flags = self._lives[birth[0]], birth[1].arguments
        order = (*parent.order, self._ordinal[key])
        return Life(order, parent, "CLONE_THREAD" in flags, "CLONE_FS" in flags, end)


class Directories:
    """The working directory of each life, followed call by call in the order of the trace."""

    def __init__(self, processes: Processes, initial: str | None = None) -> None:
        self._processes = processes
        self._initial = initial
        # Threads share a directory: what they share is this one list with one entry.
        self._current: dict[Life, list[str | None]] = {}

    def absolute(self, path: str, life: Life, base: str | None = None) -> str:
        """`path` as `life` means it, from `base` where a directory descriptor is given, without `.` and `..`.

        Stays relative where the directory is unknown.
        """
        start = base if base is not None else self._cell(life)[0]
        joined = posixpath.join(start, path) if start else path
        plain = posixpath.normpath(joined)
        return plain[1:] if plain.startswith("//") else plain

    def current(self, life: Life) -> str | None:
        """The directory that `life` is in, None where it is unknown."""
        return self._cell(life)[0]

    def follow(self, call: SystemCall, life: Life) -> None:
        """Takes note of where `call` shows or changes the directory of `life`."""
        shown = descriptor(call.arguments) if call.arguments.startswith("AT_FDCWD<") else None
        if shown is not None:
            self._cell(life)[0] = shown[1]
        elif call.name in DIRECTORY_CHANGES and call.error is None:
            self._change(call, life)

    def _change(self, call: SystemCall, life: Life) -> None:
        if call.name in CREATION:
            child = self._processes.born(call)
            if child is not None:
                self._cell(child)  # a copy of what the parent's directory is now
            return
        shown = descriptor(call.arguments)
        path = unquote(call.arguments) if call.name == "chdir" else shown and shown[1]
        if path:
            self._cell(life)[0] = self.absolute(path, life)

    def _cell(self, life: Life) -> list[str | None]:
        cell = self._current.get(life)
        if cell is None:
            above = self._cell(life.parent) if life.parent is not None else [self._initial]
            cell = above if life.shares_directory else list(above)
            self._current[life] = cell
        return cell


def path_arguments(call: SystemCall, life: Life, directories: Directories) -> list[str]:
    """The paths that `call` names, absolute, in order, each joined to the directory given before it."""
    found: list[str] = []
    base: str | None = None
    for argument in split_arguments(call.arguments):
        shown = descriptor(argument)
        if shown is not None:
            base = shown[1]
            continue
        text = unquote(argument)
        if text is not None:
            found.append(directories.absolute(text, life, base) if text or base is None else base)
            base = None
    return found
