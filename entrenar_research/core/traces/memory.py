"""What the processes of a trace allocated: the true extent of their anonymous memory, call by call.

Counted is memory that a process asked for and may write to, as the kernel counts what it commits itself to (Linux,
Documentation/mm/overcommit-accounting): anonymous mmap and mremap, less what munmap takes back, and the growth of the
heap by brk. A mapping without write permission is a reservation, and counts from the mprotect on that makes it
writable. Lengths are rounded up to pages of 4096 bytes. A forked child shares its parent's memory and counts what it
allocates itself; execve and the end of a process give everything back.
"""

from __future__ import annotations

from typing import Final

import msgspec

from entrenar_research.core.traces.activity import Activity, end_of, leader
from entrenar_research.core.traces.calls import EXECUTIONS
from entrenar_research.core.traces.intervals import Intervals
from entrenar_research.core.traces.processes import CREATION, Life
from entrenar_research.models.documented import DocumentedCall, TraceDocument

MEMORY_CALLS: Final = frozenset({"mmap", "mmap2", "munmap", "mremap", "brk", "mprotect"})
_ALL_THAT_MATTER: Final = MEMORY_CALLS | CREATION | EXECUTIONS
_PAGE: Final = 4096
_ANONYMOUS: Final = 0x20
_WRITE: Final = 0x2


class Peak(msgspec.Struct, frozen=True, kw_only=True):
    """The highest sum over all processes: `total` bytes at `at` nanoseconds, after the call at `place`.

    `processes` gives the bytes of each process at that moment, by label; `unread` counts the memory calls whose
    arguments the trace does not show.
    """

    total: int
    at: int
    place: int | None
    processes: dict[str, int]
    unread: int


class Space:
    """The anonymous memory of one process."""

    def __init__(self, heap_end: int | None = None) -> None:
        self._reserved = Intervals()
        self._writable = Intervals()
        self.heap_end = heap_end
        self._heap_start = heap_end

    @property
    def bytes(self) -> int:
        """The bytes that are allocated now."""
        heap = (self.heap_end or 0) - (self._heap_start or 0)
        return self._writable.total + max(heap, 0)

    def map(self, start: int, length: int, *, anonymous: bool, writable: bool) -> None:
        """A mapping at `start`, in place of what was there."""
        end = start + _pages(length)
        self._forget(start, end)
        if anonymous:
            (self._writable if writable else self._reserved).add(start, end)

    def unmap(self, start: int, length: int) -> None:
        """Gives a range back."""
        self._forget(start, start + _pages(length))

    def protect(self, start: int, length: int, *, writable: bool) -> None:
        """Makes what is anonymous in a range writable, or no longer."""
        source, target = (self._reserved, self._writable) if writable else (self._writable, self._reserved)
        for low, high in source.remove(start, start + _pages(length)):
            target.add(low, high)

    def move(self, old: int, old_length: int, new: int, new_length: int) -> None:
        """mremap: a mapping moves, grows or shrinks. Of one that is not known here only the growth is counted."""
        old_end, new_end = old + _pages(old_length), new + _pages(new_length)
        reserved = self._reserved.remove(old, old_end)
        known = self._writable.remove(old, old_end)
        self._forget(new, new_end)
        if reserved and not known:
            self._reserved.add(new, new_end)
        elif known:
            self._writable.add(new, new_end)
        else:
            self._writable.add(min(new + _pages(old_length), new_end), new_end)

    def set_heap_end(self, end: int) -> None:
        """What brk returned: the end of the heap. The first one seen is where it starts."""
        if self._heap_start is None:
            self._heap_start = end
        self.heap_end = end

    def _forget(self, start: int, end: int) -> None:
        self._reserved.remove(start, end)
        self._writable.remove(start, end)


def peak(activity: Activity) -> Peak:
    """The peak of the trace; zero where nothing was allocated."""
    accounting = _Accounting(activity)
    for at, place, life in _moments(activity):
        accounting.take(at, place, life)
    return accounting.peak()


def steady_peak(document: TraceDocument) -> int:
    """The peak in bytes as it repeats: without the stacks of threads.

    Whether a thread needs a stack of its own or is left that of one that has ended is chance.
    """
    calls = (call for call in document.calls if call.name in _ALL_THAT_MATTER)
    kept = tuple(call for call in calls if "MAP_STACK" not in call.arguments)
    return peak(Activity(msgspec.structs.replace(document, calls=kept))).total


def _moments(activity: Activity) -> list[tuple[int, int, Life]]:
    """When memory changes: (time, place of the call or -1 for the end of a process, process), in that order.

    What a call gives is there when it returns; what munmap takes is gone for others before it returns.
    """
    moments = []
    for place, call in enumerate(activity.calls):
        if (call.name in MEMORY_CALLS or call.name in EXECUTIONS) and call.error is None:
            at = call.began if call.name == "munmap" else end_of(call)
            moments.append((at, place, leader(activity.life(call))))
    for life, call in activity.births.items():
        if not life.thread:
            moments.append((call.began, -2, life))
    for process in activity.by_process:
        if process.end is not None:
            moments.append((activity.ends_at(process), -1, process))
    return sorted(moments, key=lambda moment: (moment[0], moment[1] < 0, moment[1]))


class _Accounting:
    """The spaces of all processes, and the highest sum so far."""

    def __init__(self, activity: Activity) -> None:
        self._calls = activity.calls
        self._spaces: dict[Life, Space] = {}
        self._total = 0
        self._highest = (0, 0, -1)
        self._then: dict[Life, int] = {}
        self._changed: dict[Life, int] = {}
        self._unread = 0

    def take(self, at: int, place: int, life: Life) -> None:
        if place == -2:
            self._fork(life)
            return
        space = self._spaces.setdefault(life, Space())
        before = space.bytes
        if place == -1 or self._calls[place].name in EXECUTIONS:
            space = self._spaces[life] = Space()
        else:
            self._unread += not _apply(space, self._calls[place])
        self._total += space.bytes - before
        self._changed[life] = space.bytes
        if self._total > self._highest[0]:
            self._highest = (self._total, at, place)
            self._then.update(self._changed)
            self._changed.clear()

    def _fork(self, child: Life) -> None:
        """The child's heap goes on from where its parent's ends."""
        above = self._spaces.get(leader(child.parent)) if child.parent is not None else None
        self._spaces[child] = Space(above.heap_end if above else None)

    def peak(self) -> Peak:
        total, at, place = self._highest
        processes = {life.label: size for life, size in self._then.items() if size}
        return Peak(
            total=total,
            at=at,
            place=place if place >= 0 else None,
            processes=dict(sorted(processes.items())),
            unread=self._unread,
        )


def _apply(space: Space, call: DocumentedCall) -> bool:
    """Carries a memory call out on `space`; whether its arguments could be read."""
    parts = call.arguments.split(", ", 5)
    try:
        if call.name == "brk":
            space.set_heap_end(_number(call.result))
        elif call.name == "munmap":
            space.unmap(_number(parts[0]), _number(parts[1]))
        elif call.name == "mprotect":
            writable = _has(parts[2], "PROT_WRITE", _WRITE)
            space.protect(_number(parts[0]), _number(parts[1]), writable=writable)
        elif call.name == "mremap":
            space.move(_number(parts[0]), _number(parts[1]), _number(call.result), _number(parts[2]))
        else:
            anonymous, writable = _has(parts[3], "MAP_ANONYMOUS", _ANONYMOUS), _has(parts[2], "PROT_WRITE", _WRITE)
            space.map(_number(call.result), _number(parts[1]), anonymous=anonymous, writable=writable)
    except (ValueError, IndexError):
        return False
    return True


def _has(flags: str, name: str, bit: int) -> bool:
    """Whether `flags`, as names or as a number, have one.

    Raises:
        ValueError: if they are neither.
    """
    if flags[:1].isdigit() and "|" not in flags:
        return bool(int(flags, 0) & bit)
    if not flags.startswith(("PROT_", "MAP_")):
        raise ValueError(flags)
    return name in flags.split("|")


def _number(text: str) -> int:
    """`4096`, `0x7f00`, or `0x21000 /* 0x21000 */`-like notes behind it.

    Raises:
        ValueError: if it is no number.
    """
    return 0 if text == "NULL" else int(text.partition(" ")[0], 0)


def _pages(length: int) -> int:
    return -(-length // _PAGE) * _PAGE
