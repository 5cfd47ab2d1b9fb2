"""The kernel's own record of system calls: a ring for each processor (perf_event_open(2)).

Both events of raw_syscalls are opened for the command on every processor, inherited by whatever it starts, and written
to one ring a processor.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
from _thread import allocate_lock

from entrenar_research.tools.kernel_ring import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

TRACEFS: Final = "/sys/kernel/tracing"
_PLACES: Final = (TRACEFS, "/sys/kernel/debug/tracing")
_NAMES: Final = ("sys_enter", "sys_exit")

# struct perf_event_attr, 112 bytes (PERF_ATTR_SIZE_VER5).
_ATTRIBUTES: Final = struct.Struct("=IIQQQQQIIQQQQIiQIHH")
_SOFTWARE: Final = 1
_TRACEPOINT: Final = 2
_DUMMY: Final = 9  # a software event that never happens
_TID_TIME_RAW: Final = 0x2 | 0x4 | 0x400
_FORMAT_LOST: Final = 1 << 4  # since Linux 6.0
_DISABLED: Final = 1 << 0
_INHERIT: Final = 1 << 1
_NOT_THE_KERNEL: Final = 1 << 5 | 1 << 6  # nor the hypervisor: what any account may ask for
_BY_BYTES: Final = 1 << 14
_OWN_CLOCK: Final = 1 << 25
_CLOCK_MONOTONIC: Final = 1
_SET_OUTPUT: Final = 0x2405
_HEAD: Final = 1024
_TAIL: Final = 1032
# The rings of all processors together, and what one of them has at least and at most.
_ALL_BYTES: Final = 64 << 20
_MOST_BYTES: Final = 8 << 20
_LEAST_BYTES: Final = 64 << 10
_EINVAL: Final = 22


def event_ids() -> tuple[int, int]:
    """The numbers of the events sys_enter and sys_exit; tracefs is mounted for a moment, unseen by others, if need be.

    Raises:
        OSError: if tracefs cannot be read.
    """
    for place in _PLACES:
        if os.access(f"{place}/events/raw_syscalls", os.X_OK):
            return _ids_below(place)
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            libc.mount_privately("tracefs", TRACEFS)
            os.write(sending, b"%d %d" % _ids_below(TRACEFS))
        finally:
            os._exit(0)
    os.close(sending)
    found = os.read(receiving, 64).split()
    os.close(receiving)
    os.waitpid(child, 0)
    if len(found) != 2:
        raise PermissionError(1, f"{TRACEFS} (tracefs) cannot be read, nor mounted by this account")
    return int(found[0]), int(found[1])


def _ids_below(place: str) -> tuple[int, int]:
    found = []
    for name in _NAMES:
        with open(f"{place}/events/raw_syscalls/{name}/id", "rb") as file:
            found.append(int(file.read()))
    return found[0], found[1]


def keep_switched_on(machine: str) -> None:
    """Holds an event that counts nothing until this process ends, if that may be done.

    The kernel switches its events on with the first that is opened, which takes it 10 ms, and off a second after the
    last was closed: as long as one is held, those of a trace are there at once.
    """
    attributes = _attributes(_SOFTWARE, _DUMMY, _DISABLED | _NOT_THE_KERNEL)
    try:
        libc.perf_event_open(attributes, 0, -1, machine)
    except OSError:
        return


def processors() -> list[int]:
    """The numbers of the processors that are in use."""
    with open("/sys/devices/system/cpu/online", "rb") as file:
        parts = [part.partition(b"-") for part in file.read().strip().split(b",")]
    return [number for low, _, high in parts for number in range(int(low), int(high or low) + 1)]


class Ring:
    """The ring of one processor."""

    def __init__(self, pid: int, processor: int, ids: tuple[int, int], size: int, machine: str) -> None:
        self.processor = processor
        self.events = [_open(number, pid, processor, size, machine) for number in ids]
        self.descriptor = self.events[0][0]
        self._map = mmap.mmap(self.descriptor, mmap.PAGESIZE + size)
        fcntl.ioctl(self.events[1][0], _SET_OUTPUT, self.descriptor)
        self._head = ctypes.c_uint64.from_buffer(self._map, _HEAD)
        self._tail = ctypes.c_uint64.from_buffer(self._map, _TAIL)
        self._data = memoryview(self._map)[mmap.PAGESIZE :]
        self._size = size
        # Taking a lock is a memory barrier: what was written before the head was moved is read after it.
        self._barrier = allocate_lock()

    def taken(self) -> bytes:
        """What the kernel has added since the last time; it has room for as much again."""
        head, tail = self._head.value, self._tail.value
        if head == tail:
            return b""
        with self._barrier:
            start, end = tail % self._size, head % self._size
            data = self._data
            found = bytes(data[start:end]) if start < end else bytes(data[start:]) + bytes(data[:end])
        self._tail.value = head
        return found

    def lost(self) -> int:
        """How many events the kernel had no room for; 0 where it does not count them (before Linux 6.0)."""
        counts = [struct.unpack("=2Q", os.read(event, 16))[1] for event, counted in self.events if counted]
        return sum(counts)


def _attributes(kind: int, event: int, flags: int, *, lost: int = 0, wake_after: int = 0) -> bytes:
    return _ATTRIBUTES.pack(
        kind, _ATTRIBUTES.size, event, 1, _TID_TIME_RAW, lost, flags,
        wake_after, 0, 0, 0, 0, 0, 0, _CLOCK_MONOTONIC, 0, 0, 0, 0,
    )  # fmt: skip


def _open(number: int, pid: int, processor: int, size: int, machine: str) -> tuple[int, bool]:
    for lost in (_FORMAT_LOST, 0):
        attributes = _attributes(
            _TRACEPOINT, number, _INHERIT | _BY_BYTES | _OWN_CLOCK, lost=lost, wake_after=size // 4
        )
        try:
            return libc.perf_event_open(attributes, pid, processor, machine), bool(lost)
        except OSError as error:
            if error.errno != _EINVAL or not lost:
                raise
    raise AssertionError


def open_all(pid: int, ids: tuple[int, int], machine: str) -> list[Ring]:
    """A ring on every processor for a process and all that it will start; `ids` are those of `event_ids`.

    Raises:
        OSError: if the kernel refuses.
    """
    numbers = processors()
    size = _MOST_BYTES
    while size > _LEAST_BYTES and size * len(numbers) > _ALL_BYTES:
        size //= 2
    while True:
        rings: list[Ring] = []
        try:
            for number in numbers:
                rings.append(Ring(pid, number, ids, size, machine))
            return rings
        except OSError as error:
            # An account's rings may be limited in size (perf_event_mlock_kb): smaller ones may fit.
            if "perf_event_open" in str(error) or size <= _LEAST_BYTES:
                raise
            for ring in rings:
                for event, _ in ring.events:
                    os.close(event)
            size //= 2
