"""Watching a command's processes from outside: which there are, and how much memory they take together.

Looking costs the watcher, not the watched, and the pauses between looks are at least fifty times as long as the
processor time that a look took. How much memory processes share is only asked where there are several: it makes them
wait for a moment.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Literal

import msgspec

from entrenar_research.tools import nvidia_smi

_FIRST_SECONDS = 0.02
_LONGEST_SECONDS = 5.0
_GROWTH = 1.5
_SHARE = 50
_CARD_SECONDS = 1.0


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen: every process id, and peaks in bytes (None: nothing to see, or it could not be seen).

    `largest` is that of any single process by the kernel's own mark (VmHWM), if it was looked at in the second half
    of its time, `memory` that of all together. `own` is what we ourselves had held when the command started.
    """

    own: int
    processes: frozenset[int] = frozenset()
    largest: int | None = None
    memory: int | None = None
    gpu_memory: int | None = None
    gpu_scope: Literal["processes", "cards"] | None = None

    def peak(self, kept: int) -> int:
        """The largest process's peak, given what the kernel kept for the child (ru_maxrss).

        Linux counts what we hold as the child's until it executes its program, and keeps that mark (`exec_mmap`):
        only what lies above it is surely the command's.
        """
        return kept if kept > self.own or not self.largest else self.largest


class Watch:
    """Looks from time to time at the process group `group`, whose leader is none of the command's processes.

    Made before the command starts: what the cards hold by then is not the command's. It looks from a thread of its
    own, so that the one that waits for the command makes the same system calls whatever the time is.
    """

    def __init__(self, group: int) -> None:
        self._group = group
        self._own = _numbers("/proc/self/status", "VmHWM:")[0] * 1024
        self._processes: set[int] = set()
        self._largest = 0
        self._memory = 0
        self._pause = _FIRST_SECONDS
        self._began = self._looked = time.monotonic()
        self._cards = _Cards() if nvidia_smi.present() else None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def follow(self, child: int) -> None:
        """The command has started: this is its first process."""
        self._processes.add(child)
        self._began = time.monotonic()
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(self._pause):
            self._look()

    def _look(self) -> None:
        began = time.thread_time()
        members = _members(self._group)
        self._processes |= {*members}
        marks = {pid: _numbers(f"/proc/{pid}/status", "TracerPid:", "VmHWM:") for pid in members}
        tracers = {tracer for tracer, _ in marks.values()}
        working = [pid for pid in members if pid not in tracers]
        self._largest = max(self._largest, *(marks[pid][1] * 1024 for pid in working), 0)
        if len(working) > 1:
            shares = [_numbers(f"/proc/{pid}/smaps_rollup", "Pss:")[0] for pid in working]
            self._memory = max(self._memory, sum(shares) * 1024)
        if self._cards is not None:
            self._cards.tell(self._processes)
        self._looked = time.monotonic()
        cost = time.thread_time() - began
        self._pause = max(min(self._pause * _GROWTH, _LONGEST_SECONDS), _SHARE * cost)

    def end(self) -> Seen:
        """Ends the watch: what was seen in all."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join()
        late = self._looked - self._began >= (time.monotonic() - self._began) / 2
        gpu_memory, scope = self._cards.end() if self._cards is not None else (None, None)
        return Seen(
            own=self._own,
            processes=frozenset(self._processes),
            largest=self._largest or None if late else None,
            memory=self._memory or None,
            gpu_memory=gpu_memory,
            gpu_scope=scope,
        )


def _members(group: int) -> list[int]:
    """The processes of the group or begun by one of them, without its leader."""
    parents: dict[int, int] = {}
    found = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:
                fields = stream.read().rpartition(")")[2].split()  # state, parent, group ...
        except OSError:
            continue
        pid, parents[int(name)] = int(name), int(fields[1])
        if int(fields[2]) == group:
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found and pid not in found}
        found |= more
        grown = bool(more)
    return sorted(found - {group})


def _numbers(path: str, *keys: str) -> list[int]:
    """The numbers behind these keys in a file of /proc; 0 where there is none, or the process has ended."""
    found = dict.fromkeys(keys, 0)
    try:
        with open(path, encoding="ascii", errors="replace") as stream:
            for line in stream:
                key, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
                if key in found:
                    found[key] = int(rest.split()[0])
    except (OSError, ValueError, IndexError):
        pass
    return list(found.values())


class _Cards:
    """Asks nvidia-smi once a second, in a thread: it may take as long as that to answer."""

    def __init__(self) -> None:
        self._processes: frozenset[int] = frozenset()
        self._own: int | None = None
        self._before = nvidia_smi.used_in_all()
        self._most = self._before
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def tell(self, processes: set[int]) -> None:
        """Which processes are the command's."""
        self._processes = frozenset(processes)

    def _ask(self) -> None:
        while not self._ended.wait(_CARD_SECONDS):
            own, every = nvidia_smi.used_by(self._processes), nvidia_smi.used_in_all()
            self._own = max((used for used in (self._own, own) if used is not None), default=None)
            self._most = max((used for used in (self._most, every) if used is not None), default=None)

    def end(self) -> tuple[int | None, Literal["processes", "cards"] | None]:
        """The peak and its scope; nothing where no use was seen."""
        self._ended.set()
        self._thread.join(_CARD_SECONDS * 2)
        if self._own:
            return self._own, "processes"
        rise = (self._most or 0) - (self._before or 0)
        return (rise, "cards") if self._before is not None and rise > 0 else (None, None)
