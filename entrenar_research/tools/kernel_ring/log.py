"""The log of the kernel tracer: what its parts are and how they are written and read.

The file is a line that names it and then frames: kind, processor, length, and so many bytes. One process writes it,
each frame by one call, and after a write that failed none follows: so a log is whole up to its end or up to where it
was cut, and only one that ends in an END frame was finished. Numbers are those of this machine (native byte order).
"""

from __future__ import annotations

import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

MAGIC: Final = b"entrenar-research kernel trace 1\n"
_FRAME: Final = struct.Struct("=BxHI")

HEAD: Final = 1
RING: Final = 2
STOPS: Final = 3
PROBLEM: Final = 4
END: Final = 5

_HEAD: Final = struct.Struct("=16s8sqHHI")  # machine, level, clock offset, ids of enter and exit, the command's number
_LOST: Final = struct.Struct("=Q")

# Kinds of records among the stops.
CALL: Final = 1
EXECUTED: Final = 2
BORN: Final = 3
ENDED: Final = 4
UNDECODED: Final = 5
_CALL: Final = struct.Struct("=BBxxiqqqQ6QH")  # kind, how far, thread, begun, ended, result, number, arguments, items
_OTHER: Final = struct.Struct("=BBxxiqqqqH")  # kind, 0, thread, moment, three numbers, items
_ITEM: Final = struct.Struct("=BI")

# Which part of a call an item belongs to, beside the places of its arguments.
RESULT: Final = 100
"""What is behind the descriptor that the call gave back."""
DIRECTORY: Final = 101
"""The working directory after the call."""
DESCRIPTORS: Final = 102
"""All descriptors after the call: pairs of number and what is behind, each ended by NUL."""
BEHIND: Final = 110
"""What is behind the descriptor that the argument (place - 110) is."""
AFTER: Final = 120
"""What the argument (place - 120) points to after the call."""

# How far a call came while it was followed.
BEGUN: Final = 0
DONE: Final = 1
LEFT: Final = 2
"""Its end was not waited for: the ring tells the result."""


def frame(kind: int, payload: bytes | memoryview, processor: int = 0) -> tuple[bytes, bytes | memoryview]:
    """The two pieces of a frame, to be written by one call."""
    return _FRAME.pack(kind, processor, len(payload)), payload


def head(machine: str, level: str, offset: int, ids: tuple[int, int], pid: int) -> bytes:
    """The content of a HEAD frame; `offset` turns the clock of the records into nanoseconds since the epoch."""
    return _HEAD.pack(machine.encode(), level.encode(), offset, *ids, pid)


def end(lost: int) -> bytes:
    """The content of an END frame: how many events the kernel says it could not keep."""
    return _LOST.pack(lost)


def call_record(
    tid: int, times: tuple[int, int], result: int, how_far: int, call: Sequence[int], items: list[tuple[int, bytes]]
) -> bytes:
    """A call that was stopped at: `call` is its number and six arguments, `times` when it began and ended."""
    return _CALL.pack(CALL, how_far, tid, *times, result, *call, len(items)) + _packed(items)


def record(kind: int, tid: int, moment: int, numbers: tuple[int, int, int], items: list[tuple[int, bytes]]) -> bytes:
    """A record of another kind, about a thread at a moment."""
    return _OTHER.pack(kind, 0, tid, moment, *numbers, len(items)) + _packed(items)


def _packed(items: list[tuple[int, bytes]]) -> bytes:
    return b"".join(_ITEM.pack(place, len(content)) + content for place, content in items)


class Head:
    """What a HEAD frame says."""

    __slots__ = ("enter", "exit", "level", "machine", "offset", "pid")

    def __init__(self, payload: bytes) -> None:
        machine, level, self.offset, self.enter, self.exit, self.pid = _HEAD.unpack(payload)
        self.machine: str = machine.rstrip(b"\0").decode("ascii")
        self.level: str = level.rstrip(b"\0").decode("ascii")


def lost(payload: bytes) -> int:
    """What an END frame says."""
    found: int = _LOST.unpack(payload)[0]
    return found


class Record:
    """One record among the stops. `numbers` are number and arguments of a CALL, three numbers of another kind."""

    __slots__ = ("ended", "how_far", "items", "kind", "moment", "numbers", "result", "tid")

    def __init__(self, data: memoryview, at: int) -> None:
        self.kind: int = data[at]
        self.how_far, self.ended, self.result = BEGUN, 0, 0
        if self.kind == CALL:
            found = _CALL.unpack_from(data, at)
            self.how_far, self.ended, self.result = found[1], found[4], found[5]
            self.numbers: tuple[int, ...] = found[6:13]
        else:
            found = _OTHER.unpack_from(data, at)
            self.numbers = found[4:7]
        self.tid, self.moment = found[2], found[3]
        self.items: dict[int, bytes] = {}


def records(payload: bytes) -> Iterator[Record]:
    """The records of a STOPS frame.

    Raises:
        struct.error: if they are cut off.
    """
    data, at = memoryview(payload), 0
    while at < len(data):
        one = Record(data, at)
        layout = _CALL if one.kind == CALL else _OTHER
        (items,) = struct.unpack_from("=H", data, at + layout.size - 2)
        at += layout.size
        for _ in range(items):
            place, length = _ITEM.unpack_from(data, at)
            at += _ITEM.size
            one.items[place] = bytes(data[at : at + length])
            at += length
        yield one


def frames(data: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Kind, processor and content of the frames after the first line; a last one that was cut off is left out."""
    view, at = memoryview(data), len(MAGIC)
    while at + _FRAME.size <= len(data):
        kind, processor, length = _FRAME.unpack_from(view, at)
        at += _FRAME.size
        if at + length > len(data):
            return
        yield kind, processor, view[at : at + length]
        at += length


def first_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Kind and content of the first frame of a stream, and what follows it; None while it is not whole."""
    if len(data) < _FRAME.size:
        return None
    kind, _, length = _FRAME.unpack_from(data)
    whole = _FRAME.size + length
    return (kind, data[_FRAME.size : whole], data[whole:]) if len(data) >= whole else None


class Writer:
    """Writes frames to a file, and nothing more once a write has failed."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.failed: OSError | None = None
        self._write((MAGIC,))

    def write(self, kind: int, payload: bytes | memoryview, processor: int = 0) -> None:
        """Adds a frame."""
        self._write(frame(kind, payload, processor))

    def _write(self, pieces: tuple[bytes | memoryview, ...]) -> None:
        if self.failed is not None:
            return
        wanted = sum(map(len, pieces))
        try:
            written = os.writev(self._descriptor, pieces)
            rest = memoryview(b"".join(pieces))[written:] if written < wanted else memoryview(b"")
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.failed = error
