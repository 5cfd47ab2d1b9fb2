"""The events in the rings, decoded: which thread began and ended which call when (perf_event_open(2), MMAP layout)."""

from __future__ import annotations

import operator
import struct
from collections.abc import Mapping
from typing import Final

import msgspec

# A record's kind and size and, of a sample, the type of the tracepoint's record in it.
_HEADER: Final = struct.Struct("=IxxH20xH")
# A sample: header, process, thread, time; the size of the tracepoint's record and its type, flags and process; then the
# call's number with its six arguments, or with its result.
_ENTER: Final = struct.Struct("=12xIQ12xq6Q")
_EXIT: Final = struct.Struct("=12xIQ12xqq")
_LOST: Final = 2
_THROTTLED: Final = 5
_SAMPLE: Final = 9
_LOST_SAMPLES: Final = 13
_COUNT: Final = struct.Struct("=Q")

Event = tuple[int, int, int, tuple[int, ...] | None, int]
"""Time, thread, number of the call, its arguments when it begins (None when it ends), its result."""


class Decoded(msgspec.Struct):
    """All events in the order of their times, how many the rings say were lost, and whether a ring ends oddly."""

    events: list[Event]
    lost: int = 0
    damaged: bool = False


def decode(rings: Mapping[int, bytes], enter: int, leave: int) -> Decoded:
    """The events in the bytes of each processor's ring; `enter` and `leave` are the ids of the two tracepoints."""
    found = Decoded([])
    for _, data in sorted(rings.items()):
        _decode_one(data, (enter, leave), found)
    found.events.sort(key=operator.itemgetter(0))
    return found


def _decode_one(data: bytes, ids: tuple[int, int], found: Decoded) -> None:
    enter, leave = ids
    at, end, add = 0, len(data), found.events.append
    header, entered, left = _HEADER.unpack_from, _ENTER.unpack_from, _EXIT.unpack_from
    data += bytes(_HEADER.size)  # so that the header of the last record can be read with what a sample has
    while at + 8 <= end:
        kind, size, tracepoint = header(data, at)
        if size < 8 or at + size > end:
            found.damaged = True
            return
        if kind == _SAMPLE:
            if tracepoint == enter and size >= _ENTER.size:
                call = entered(data, at)
                add((call[1], call[0], call[2], call[3:], 0))
            elif tracepoint == leave and size >= _EXIT.size:
                tid, time, number, result = left(data, at)
                add((time, tid, number, None, result))
        elif kind == _LOST:
            found.lost += _COUNT.unpack_from(data, at + 16)[0]
        elif kind == _LOST_SAMPLES:
            found.lost += _COUNT.unpack_from(data, at + 8)[0]
        elif kind == _THROTTLED:
            found.damaged = True
        at += size
    found.damaged = found.damaged or at != end
