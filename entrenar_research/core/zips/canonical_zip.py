"""The bytes around the members of a canonical zip archive: every one follows from names, sizes and contents.

The rules (field numbers after PKWARE's APPNOTE 6.3.10): members are stored, never compressed; the time is
1980-01-01 00:00:00; names are UTF-8 and always flagged so (bit 11); made by Unix, version 2.0, or 4.5 where
the entry needs a zip64 field, which it has exactly when a size or offset does not fit into 32 bits;
attributes are those of a regular file with mode 0644; no comments, no data descriptors, no gaps.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

LOCAL: Final = struct.Struct("<4s5H3L2H")
CENTRAL: Final = struct.Struct("<4s6H3L5H2L")
END: Final = struct.Struct("<4s4H2LH")
ZIP64_END: Final = struct.Struct("<4sQ2H2L4Q")
ZIP64_LOCATOR: Final = struct.Struct("<4sLQL")

LOCAL_MARK: Final = b"PK\x03\x04"
CENTRAL_MARK: Final = b"PK\x01\x02"
END_MARK: Final = b"PK\x05\x06"
ZIP64_END_MARK: Final = b"PK\x06\x06"
ZIP64_LOCATOR_MARK: Final = b"PK\x06\x07"

ZIP64_FIELD: Final = 1
FULL_16: Final = 0xFFFF
FULL_32: Final = 0xFFFFFFFF

_VERSION = 20
_VERSION_64 = 45
_UNIX = 3 << 8
_UTF8 = 0x0800
_STORED = 0
_TIME = 0
_DATE = 1 << 5 | 1
_ATTRIBUTES = 0o100644 << 16


def order(names: Iterable[str], first: str) -> list[str]:
    """The order of the members: `first` at the front, the others by code points, as UTF-8 bytes sort too."""
    return sorted(names, key=lambda name: (name != first, name))


def local_header_size(name: bytes, size: int) -> int:
    """How long the local header of a member is."""
    return LOCAL.size + len(name) + (20 if size >= FULL_32 else 0)


def local_header(name: bytes, size: int, crc: int) -> bytes:
    """The local header of a member of `size` bytes (APPNOTE 4.3.7)."""
    if size < FULL_32:
        head = LOCAL.pack(LOCAL_MARK, _VERSION, _UTF8, _STORED, _TIME, _DATE, crc, size, size, len(name), 0)
        return head + name
    extra = struct.pack("<2H2Q", ZIP64_FIELD, 16, size, size)
    head = LOCAL.pack(
        LOCAL_MARK, _VERSION_64, _UTF8, _STORED, _TIME, _DATE, crc, FULL_32, FULL_32, len(name), len(extra)
    )
    return head + name + extra


def central_header(name: bytes, size: int, crc: int, offset: int) -> bytes:
    """A member's entry in the central directory (APPNOTE 4.3.12); `offset` is that of its local header."""
    large = [size, size] if size >= FULL_32 else []
    if offset >= FULL_32:
        large.append(offset)
    extra = struct.pack(f"<2H{len(large)}Q", ZIP64_FIELD, 8 * len(large), *large) if large else b""
    version = _VERSION_64 if large else _VERSION
    shown = min(size, FULL_32)
    head = CENTRAL.pack(
        CENTRAL_MARK, _UNIX | version, version, _UTF8, _STORED, _TIME, _DATE, crc, shown, shown,
        len(name), len(extra), 0, 0, 0, _ATTRIBUTES, min(offset, FULL_32),
    )  # fmt: skip
    return head + name + extra


def end_records(count: int, size: int, offset: int) -> bytes:
    """What follows a central directory of `count` entries, `size` bytes, at `offset` (APPNOTE 4.3.14-16)."""
    end = END.pack(
        END_MARK, 0, 0, min(count, FULL_16), min(count, FULL_16), min(size, FULL_32), min(offset, FULL_32), 0
    )
    if count < FULL_16 and size < FULL_32 and offset < FULL_32:
        return end
    record = ZIP64_END.pack(
        ZIP64_END_MARK,
        ZIP64_END.size - 12,
        _UNIX | _VERSION_64,
        _VERSION_64,
        0,
        0,
        count,
        count,
        size,
        offset,
    )
    return record + ZIP64_LOCATOR.pack(ZIP64_LOCATOR_MARK, 0, offset + size, 1) + end


def archive_size(members: Iterable[tuple[str, int]]) -> int:
    """How long the whole archive of these (name, size) members is, in order."""
    offset = directory = count = 0
    for text, size in members:
        name = text.encode()
        directory += len(central_header(name, size, 0, offset))
        offset += local_header_size(name, size) + size
        count += 1
    return offset + directory + len(end_records(count, directory, offset))
