"""Reading the central directory of any zip archive with distrust: what it claims of its members."""

from __future__ import annotations

import stat
import struct
from typing import Final

import msgspec

from entrenar_research.core.zips import canonical_zip as layout

TAIL: Final = 65_535 + layout.END.size + layout.ZIP64_LOCATOR.size + layout.ZIP64_END.size
"""How many bytes from the end of an archive hold its end records, whatever its comment."""

STORED: Final = 0
DEFLATED: Final = 8
_ENCRYPTED = 0x0001 | 0x0040 | 0x2000
_UTF8 = 0x0800
_UNIX = 3
_DOS_DIRECTORY = 0x10


class DirectoryError(Exception):
    """The archive has no readable central directory; the message says why."""


class End(msgspec.Struct, frozen=True):
    """Where the central directory is, as the end records claim: bytes from the start, length, entries."""

    offset: int
    size: int
    count: int


class Claim(msgspec.Struct, frozen=True):
    """What the central directory claims of one member; `packed` and `size` are bytes, in and out of it."""

    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int
    system: int
    attributes: int

    @property
    def encrypted(self) -> bool:
        """Whether the content needs a password."""
        return bool(self.flags & _ENCRYPTED)

    @property
    def directory(self) -> bool:
        """Whether this is an entry for a directory."""
        mode = self.attributes >> 16 if self.system == _UNIX else 0
        return self.name.endswith("/") or stat.S_ISDIR(mode) or bool(self.attributes & _DOS_DIRECTORY)

    @property
    def special(self) -> str | None:
        """What a Unix mode says it is, if neither regular file nor directory: `symbolic link`, ..."""
        kind = stat.S_IFMT(self.attributes >> 16) if self.system == _UNIX else 0
        if kind == stat.S_IFLNK:
            return "symbolic link"
        return "special file" if kind not in (0, stat.S_IFREG, stat.S_IFDIR) else None


def find_end(tail: bytes, size: int) -> End:
    """The last end record in the last bytes of an archive of `size` bytes.

    Raises:
        DirectoryError: if there is none, or it points outside the archive.
    """
    place = tail.rfind(layout.END_MARK)
    if place < 0 or len(tail) - place < layout.END.size:
        raise DirectoryError("no end record was found: not a zip archive, or cut off")
    _, _, _, _, count, length, offset, _ = layout.END.unpack_from(tail, place)
    locator = place - layout.ZIP64_LOCATOR.size
    if locator >= 0 and tail.startswith(layout.ZIP64_LOCATOR_MARK, locator):
        _, _, where, _ = layout.ZIP64_LOCATOR.unpack_from(tail, locator)
        record = where - (size - len(tail))
        if not 0 <= record <= locator - layout.ZIP64_END.size:
            raise DirectoryError("its zip64 end record is not where the locator says")
        mark, *_, count, length, offset = layout.ZIP64_END.unpack_from(tail, record)
        if mark != layout.ZIP64_END_MARK:
            raise DirectoryError("its zip64 end record is damaged")
    if offset + length > size:
        raise DirectoryError("its end record points outside the archive")
    return End(offset, length, count)


def parse(data: bytes, count: int) -> list[Claim]:
    """The entries of a central directory.

    Raises:
        DirectoryError: if the bytes are not `count` entries.
    """
    claims: list[Claim] = []
    place = 0
    while place < len(data):
        if not data.startswith(layout.CENTRAL_MARK, place) or len(data) - place < layout.CENTRAL.size:
            after = f" after {claims[-1].name!r}" if claims else ""
            raise DirectoryError(f"its central directory is damaged{after}")
        claim, place = _entry(data, place)
        claims.append(claim)
    if len(claims) != count:
        raise DirectoryError(f"its central directory has {len(claims)} entries, the end record says {count}")
    return claims


def _entry(data: bytes, place: int) -> tuple[Claim, int]:
    (_, made, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length,
     _, _, attributes, offset) = layout.CENTRAL.unpack_from(data, place)  # fmt: skip
    start = place + layout.CENTRAL.size
    after_name = start + name_length
    after_extra = after_name + extra_length
    stop = after_extra + comment_length
    if stop > len(data):
        raise DirectoryError("its central directory is cut off")
    size, packed, offset = _zip64(data[after_name:after_extra], size, packed, offset)
    name = decode_name(data[start:after_name], flags)
    return Claim(name, flags, method, crc, packed, size, offset, made >> 8, attributes), stop


def decode_name(raw: bytes, flags: int) -> str:
    """A name: UTF-8 where flagged, else code page 437 (APPNOTE appendix D); bad bytes are shown in hex."""
    return raw.decode("utf-8", "backslashreplace") if flags & _UTF8 else raw.decode("cp437")


def _zip64(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """The 64-bit values of those fields that are full in the 32-bit record (APPNOTE 4.5.3)."""
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, place)
        field = extra[place + 4 : place + 4 + length]
        place += 4 + length
        if kind != layout.ZIP64_FIELD:
            continue
        values = list(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
        full = layout.FULL_32
        if (size, packed, offset).count(full) > len(values):
            raise DirectoryError("a zip64 field is damaged")
        size = values.pop(0) if size == full else size
        packed = values.pop(0) if packed == full else packed
        offset = values.pop(0) if offset == full else offset
    return size, packed, offset
