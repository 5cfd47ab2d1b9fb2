"""CRC-32C (Castagnoli) and its masked form, fast enough in plain Python for files of many small records.

The polynomial and the check value are those of RFC 3720, appendix B.4; the mask is LevelDB's, which TFRecord files
use too: a checksum that is stored beside what it covers is rotated and shifted by a constant.

One byte after another costs about 70 ns each. For many records of one length the sum is linear instead: the
checksum is that of as many zeros, XORed with what each byte contributes by its value and its distance from the end.
All first bytes are looked up in one go with `bytes.translate`, then all second ones, and the columns are XORed as
integers: about 6 ns a byte.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence

_POLYNOMIAL = 0x82F63B78
_ALL = 0xFFFFFFFF
_MASK = 0xA282EAD8
_PLANES = 4
LONGEST_COLUMNS = 512
"""Records up to this many bytes are worth tables of their own; there are 1 KiB of tables for each byte."""


def crc32c(data: bytes) -> int:
    """The checksum of some bytes."""
    pairs = _pairs()
    state = _ALL
    even = len(data) & ~1
    for word in memoryview(data)[:even].cast("H") if _LITTLE else struct.unpack(f"<{even // 2}H", data[:even]):
        state = pairs[(state ^ word) & 0xFFFF] ^ (state >> 16)
    if even != len(data):
        state = _bytes()[(state ^ data[even]) & 0xFF] ^ (state >> 8)
    return state ^ _ALL


def masked(checksum: int) -> int:
    """The form in which LevelDB logs and TFRecord files store it."""
    return (((checksum >> 15) | (checksum << 17)) + _MASK) & _ALL


def crc32c_each(records: Sequence[bytes]) -> list[int]:
    """The checksums of records that are all of one length.

    Raises:
        ValueError: if they are not.
    """
    if not records:
        return []
    length, count = len(records[0]), len(records)
    joined = b"".join(records)
    if any(len(record) != length for record in records):
        raise ValueError("expected records of one length")
    if length > LONGEST_COLUMNS or count < 8:
        return [crc32c(record) for record in records]
    planes = [0] * _PLANES
    for place in range(length):
        column = joined[place::length]
        for plane, table in enumerate(_contributions(length - 1 - place)):
            planes[plane] ^= int.from_bytes(column.translate(table), "little")
    mixed = bytearray(_PLANES * count)
    for plane, bits in enumerate(planes):
        mixed[plane::_PLANES] = bits.to_bytes(count, "little")
    base = crc32c(bytes(length))
    return [base ^ part for part in struct.unpack(f"<{count}I", mixed)]


_LITTLE = struct.pack("=H", 1) == b"\x01\x00"


@functools.cache
def _bytes() -> list[int]:
    """What one byte does to the state."""
    table = []
    for byte in range(256):
        state = byte
        for _ in range(8):
            state = (state >> 1) ^ (_POLYNOMIAL if state & 1 else 0)
        table.append(state)
    return table


@functools.cache
def _pairs() -> list[int]:
    """What two bytes at once do to the state."""
    one = _bytes()
    first = [one[low] for low in range(256)]
    return [one[(first[word & 0xFF] ^ (word >> 8)) & 0xFF] ^ (first[word & 0xFF] >> 8) for word in range(65536)]


@functools.cache
def _contribution(distance: int) -> tuple[int, ...]:
    """What a byte of each value contributes, with `distance` bytes after it."""
    one = _bytes()
    if distance == 0:
        return tuple(one)
    return tuple(one[state & 0xFF] ^ (state >> 8) for state in _contribution(distance - 1))


@functools.cache
def _contributions(distance: int) -> tuple[bytes, ...]:
    """`_contribution`, one table for each of the four bytes of the checksum."""
    for nearer in range(0, distance, 200):  # fills the cache from below: no deep recursion
        _contribution(nearer)
    table = _contribution(distance)
    return tuple(bytes((state >> (8 * plane)) & 0xFF for state in table) for plane in range(_PLANES))
