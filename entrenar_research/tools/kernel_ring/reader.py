"""The process that empties the kernel's rings into the log.

It copies bytes and decodes nothing. What empties the rings never waits: where that is permitted it runs before
everything else, and another thread writes to the disk, which may take its time.
"""

from __future__ import annotations

import os
import select
import time
from _queue import SimpleQueue
from _thread import allocate_lock, start_new_thread

from entrenar_research.tools.kernel_ring import log, perf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_TICK_MILLISECONDS: Final = 200
_PIPE_BYTES: Final = 1 << 20
_MOST_WAITING: Final = 512 << 20
"""How many bytes may wait for the disk before the rings are left to fill."""
_READY: Final = b"ready"


class Reader:
    """The process that empties the rings; what is given to `write` here goes into the same log."""

    def __init__(self, pid: int, known: tuple[int, ...], machine: str, log_descriptor: int) -> None:
        """Starts it; `known` are the numbers of the events, or nothing if it is to look them up."""
        control, self._control = os.pipe()
        self._said, telling = os.pipe()
        self.failed: OSError | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._control)
            os.close(self._said)
            _read_rings(pid, known, machine, (control, telling, log_descriptor))
        os.close(control)
        os.close(telling)

    def ready(self) -> tuple[int, int]:
        """Waits until every call will be recorded: the numbers of the events.

        Raises:
            OSError: if the kernel refuses them.
        """
        first, _, rest = os.read(self._said, 4096).partition(b" ")
        if first != _READY:
            os.waitpid(self.pid, 0)
            raise OSError(int(first or b"0"), rest.decode() or "the reader of the rings died")
        enter, leave = map(int, rest.split())
        return enter, leave

    def write(self, kind: int, payload: bytes | memoryview) -> None:
        """Adds a frame to the log."""
        data = memoryview(b"".join(log.frame(kind, payload)))
        while data and self.failed is None:
            try:
                data = data[os.write(self._control, data) :]
            except OSError as error:
                self.failed = error

    def close(self) -> None:
        """Returns when what was written and what is left in the rings is in the log, or it can be no more.

        It is not waited for: the kernel takes a tenth of a second to close its events.
        """
        os.close(self._control)
        os.read(self._said, 1)


class _Disk:
    """Writes frames in a thread of its own, in the order in which they came."""

    def __init__(self, descriptor: int) -> None:
        self._writer = log.Writer(descriptor)
        self._waiting: SimpleQueue[tuple[int, bytes, int] | None] = SimpleQueue()
        self._added = self._written = 0
        self._busy = allocate_lock()
        self._busy.acquire()
        start_new_thread(self._write, ())

    @property
    def behind(self) -> bool:
        """Whether so much waits to be written that no more should be added."""
        return self._added - self._written > _MOST_WAITING

    def add(self, kind: int, payload: bytes, processor: int = 0) -> None:
        """Has a frame written."""
        self._added += len(payload)
        self._waiting.put((kind, payload, processor))

    def close(self) -> bool:
        """Waits until all is written: whether it is."""
        self._waiting.put(None)
        with self._busy:
            return self._writer.failed is None

    def _write(self) -> None:
        while (frame := self._waiting.get()) is not None:
            self._writer.write(*frame)
            self._written += len(frame[1])
        self._busy.release()


def _read_rings(pid: int, known: tuple[int, ...], machine: str, ends: tuple[int, int, int]) -> None:
    """What the reader does. It does not return."""
    control, telling, descriptor = ends
    try:
        events = (known[0], known[1]) if known else perf.event_ids()
        rings = perf.open_all(pid, events, machine)
    except OSError as error:
        os.write(telling, f"{error.errno} {error.strerror}".encode())
        os._exit(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # whoever reads what the command writes is not to wait for us
        os.dup2(nothing, stream, inheritable=False)
    disk = _Disk(descriptor)
    _hurry()
    os.write(telling, b"%s %d %d" % (_READY, *events))
    ended = _copy(rings, control, disk)
    for ring in rings:
        disk.add(log.RING, ring.taken(), ring.processor)
    if ended:
        disk.add(log.END, log.end(sum(ring.lost() for ring in rings)))
    whole = disk.close()
    os.close(telling)
    os._exit(0 if whole else 1)


def _hurry() -> None:
    """Has this thread run as soon as there is something to do, if it may: it does little at a time."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        return  # it competes with the others


def _copy(rings: list[perf.Ring], control: int, disk: _Disk) -> bool:
    """Copies until nobody writes to `control` any more; whether an END came last."""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    for ring in rings:
        poll.register(ring.descriptor, select.POLLIN)
    received, last, emptied = b"", 0, time.monotonic()
    while True:
        found = poll.poll(_TICK_MILLISECONDS)
        now = time.monotonic()
        if now - emptied > _TICK_MILLISECONDS / 1000 or any(descriptor != control for descriptor, _ in found):
            emptied = now
            _empty(rings, disk)
        for descriptor, what in found:
            if descriptor == control:
                piece = os.read(control, _PIPE_BYTES)
                if not piece:
                    return last == log.END
                received, last = _pass_on(received + piece, last, disk)
            elif not what & select.POLLIN:
                poll.unregister(descriptor)  # nothing that it watches lives any more


def _empty(rings: list[perf.Ring], disk: _Disk) -> None:
    for ring in rings:
        if not disk.behind and (content := ring.taken()):
            disk.add(log.RING, content, ring.processor)


def _pass_on(received: bytes, last: int, disk: _Disk) -> tuple[bytes, int]:
    """Adds the whole frames among what was received: the rest, and the kind of the last one (END is kept back)."""
    while (found := log.first_frame(received)) is not None:
        last, content, received = found
        if last != log.END:
            disk.add(last, content)
    return received, last
