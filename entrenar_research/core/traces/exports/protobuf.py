"""Protocol Buffers, written without any schema: what is needed of the encoding to write a message of few kinds.

The encoding: https://protobuf.dev/programming-guides/encoding/. Fields are put one after the other by their numbers.
"""

from __future__ import annotations

_VARINT, _BYTES = 0, 2
_ALL = (1 << 64) - 1


def varint(value: int) -> bytes:
    """A number of up to 64 bits; a negative one as its two's complement, as int64 has it."""
    value &= _ALL
    if value < 0x80:
        return bytes((value,))
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def number(field: int, value: int) -> bytes:
    """An integer, a boolean or an enumeration."""
    return varint(field << 3 | _VARINT) + varint(value)


def data(field: int, value: bytes) -> bytes:
    """Bytes, or a message that was written before."""
    return varint(field << 3 | _BYTES) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """A string, in UTF-8; what UTF-8 has no place for (half of a surrogate pair) is a question mark."""
    return data(field, value.encode("utf-8", "replace"))
