"""The fast path: a point costs one call of a closure, and no lock, no thread and no system call.

It looks up the number of the key within the active span, takes the next slot, and packs 32 bytes into memory, the
mark last. `itertools.count` gives every slot out once, under the interpreter's own lock. Everything else raises here
and is dealt with by `SlotLog`.
"""

from __future__ import annotations

import os
import struct
import time
from itertools import count, repeat

from entrenar_research.client import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Protocol, SupportsFloat, SupportsIndex

    from entrenar_research.client.port import Room
    from entrenar_research.client.slots import SlotLog

    class LogMetric(Protocol):
        """The type of `log_metric`."""

        def __call__(self, key: str, value: SupportsFloat | SupportsIndex, step: SupportsIndex | None = None) -> None:
            """Logs a number under a name."""


NOWHERE = 1 << 62
"""A slot that no room reaches: what is given out while there is no log to write to."""


class NoRoomError(Exception):
    """There is no room for a statement; the storage said why."""


class Scope(dict[str, int]):
    """A span as far as the log needs it: the refs of the keys that were logged in it, made when first asked for.

    `ref` is the span's own number in the file, 0 while it is not in it; `inherited` means that another process began
    it, and that this one, its forked child, needs a span of its own below. `thread` is the kernel's number of the
    thread that entered it, 0 for the first one of the process.
    """

    __slots__ = ("above", "attributes", "id", "inherited", "log", "name", "ref", "thread")

    def __init__(self, log: SlotLog, name: str, above: Scope | None, attributes: Mapping[str, Any]) -> None:
        super().__init__()
        self.log, self.name, self.above, self.attributes = log, name, above, attributes
        self.id = os.urandom(8).hex()
        self.ref = self.thread = 0
        self.inherited = False

    def __missing__(self, key: str) -> int:
        return self.log.name_key(self, key)


class _Steps(dict[str, "count[int]"]):
    """Steps for those who give none: each key counts from 0."""

    def __missing__(self, key: str) -> count[int]:
        return self.setdefault(key, count())


def fast_path(log: SlotLog, scope: Callable[[], Scope]) -> tuple[LogMetric, Callable[..., None]]:
    """`log_metric` bound to one log, and what gives it another room and another dispenser of slots."""
    pack, now, error = layout.POINT_SLOT.pack_into, time.time_ns, struct.error
    steps = _Steps()
    room: Room = bytearray()
    slots: Iterator[int] = repeat(NOWHERE)

    def log_metric(key: str, value: SupportsFloat | SupportsIndex, step: SupportsIndex | None = None) -> None:
        """Logs a number under a name, in the active span, with the time.

        `value` is anything that has `__float__` or `__index__`, NaN and infinities included. Steps may come in any
        order; without one, they count up from 0 for each key.

        Raises:
            UsageError: if the key is no name (1 to 250 characters without control characters), the value no number,
                or the step no whole number from 0 to 2^63 - 1; or if the run has ended.
        """
        try:
            ref = scope()[key]
            if step is None:
                step = next(steps[key])
        except (TypeError, NoRoomError):
            log.refuse(key, value, step)
            return
        slot = next(slots)
        try:
            pack(room, slot, step, value, now(), ref, 1)  # the mark of a point; a constant is the fastest to load
        except (error, TypeError, ValueError, OverflowError):
            log.repair(slot, key, ref, value, step)

    def switch(new_room: Room, new_slots: Iterator[int]) -> None:
        nonlocal room, slots
        room, slots = new_room, new_slots

    return log_metric, switch
