"""Protocol Buffers on the wire, read without any schema: numbers of fields and their raw values.

The encoding: https://protobuf.dev/programming-guides/encoding/. Nothing here knows what a field means.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10
_ALL = (1 << 64) - 1
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")


class WireError(ValueError):
    """The bytes are no Protocol Buffers message; the message says at which byte of it."""


def fields(data: bytes) -> Iterator[tuple[int, int, Any]]:
    """Each field as (number, wire type, value): an int for a varint, else the bytes.

    Raises:
        WireError: if the message is cut off or malformed.
    """
    place, end = 0, len(data)
    while place < end:
        key = data[place]
        if key < 0x80:
            place += 1
        else:
            key, place = varint(data, place)
        kind = key & 7
        if key < 8:
            raise WireError(f"byte {place}: a field with the number 0")
        if kind == BYTES:
            length = data[place] if place < end else 0x80
            if length < 0x80:
                place += 1
            else:
                length, place = varint(data, place)
            stop = place + length
        elif kind == VARINT:
            value, place = varint(data, place)
            yield key >> 3, VARINT, value
            continue
        elif kind in (FIXED64, FIXED32):
            stop = place + (8 if kind == FIXED64 else 4)
        else:
            raise WireError(f"byte {place}: a field of wire type {kind}")
        if stop > end:
            raise WireError(f"byte {place}: a field of {stop - place} bytes, {end - place} are there")
        yield key >> 3, kind, data[place:stop]
        place = stop


def varint(data: bytes, place: int) -> tuple[int, int]:
    """The unsigned number of up to 64 bits at `place`, and the place behind it.

    Raises:
        WireError: if it does not end.
    """
    value = shift = 0
    for byte in data[place : place + _LONGEST_VARINT]:
        if byte < 0x80:
            return (value | byte << shift) & _ALL, place + shift // 7 + 1
        value |= (byte & 0x7F) << shift
        shift += 7
    if shift == 7 * _LONGEST_VARINT:
        raise WireError(f"byte {place}: a number of more than {_LONGEST_VARINT} bytes")
    raise WireError(f"byte {place}: a number that is cut off")


def signed(value: int) -> int:
    """An int32 or int64: negative numbers are written as 64-bit two's complement."""
    return value - (1 << 64) if value >> 63 else value


def double(raw: bytes) -> float:
    """The value of a field of type double."""
    found: float = _DOUBLE.unpack(raw)[0]
    return found


def single(raw: bytes) -> float:
    """The value of a field of type float, exactly."""
    found: float = _FLOAT.unpack(raw)[0]
    return found


def text(raw: Any) -> str:
    """A field of type string; what is no UTF-8 becomes an escape."""
    return bytes(raw).decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else str(raw)


class Message:
    """A small message with every field at hand: the last value of a number, or all of them."""

    def __init__(self, data: bytes) -> None:
        self._fields: dict[int, list[Any]] = {}
        for number, _, value in fields(data):
            self._fields.setdefault(number, []).append(value)

    def every(self, number: int) -> list[Any]:
        """All values of a repeated field."""
        return self._fields.get(number, [])

    def text(self, number: int) -> str:
        """A string, empty if it is not there."""
        values = self._fields.get(number)
        return text(values[-1]) if values else ""

    def texts(self, number: int) -> list[str]:
        """A repeated string."""
        return [text(value) for value in self.every(number)]

    def number(self, number: int) -> int:
        """An integer, 0 if it is not there."""
        values = self._fields.get(number)
        return signed(values[-1]) if values and isinstance(values[-1], int) else 0

    def message(self, number: int) -> Message | None:
        """A message within, or None.

        Raises:
            WireError: if it is none.
        """
        values = self._fields.get(number)
        return Message(values[-1]) if values and isinstance(values[-1], bytes) else None

    def messages(self, number: int) -> list[Message]:
        """A repeated message.

        Raises:
            WireError: if one is none.
        """
        return [Message(value) for value in self.every(number) if isinstance(value, bytes)]
