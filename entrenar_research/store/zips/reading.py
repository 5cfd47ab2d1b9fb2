"""Reading an archive that should be canonical: every byte of it against what its list of members demands."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from entrenar_research.core.crates.checking import Listed, Problem
from entrenar_research.core.zips import canonical_zip, zip_directory
from entrenar_research.store.meter import Meter, Progress

STRUCTURE: Final = "archive structure"
"""The subject of problems that belong to no single member."""

Sink = Callable[[str], contextlib.AbstractContextManager[Callable[[memoryview], object]]]
"""Opens a place for a member's bytes: `with sink(name) as write`."""

_CHUNK = 1 << 20
_SAME = 14  # the bytes of a local header before its checksum
_LARGEST_DIRECTORY = 1 << 28


class Archive:
    """An archive opened for reading; `size` is its length in bytes."""

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        status = os.fstat(self.descriptor)
        self.regular = stat.S_ISREG(status.st_mode)
        self.size = status.st_size
        self.meter = Meter(progress, self.size)
        self._buffer = memoryview(bytearray(_CHUNK))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.descriptor)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset`; fewer where the archive ends."""
        length = max(0, min(length, self.size - offset)) if offset >= 0 else 0
        return os.pread(self.descriptor, length, offset) if length else b""

    def chunks(self, offset: int, length: int) -> Iterator[memoryview]:
        """The same in pieces, each valid until the next is asked for."""
        stop = min(offset + length, self.size)
        while 0 <= offset < stop:
            count = os.preadv(self.descriptor, [self._buffer[: stop - offset]], offset)
            if not count:
                return
            self.meter.advance(count)
            offset += count
            yield self._buffer[:count]

    def claims(self) -> list[zip_directory.Claim]:
        """What the central directory says.

        Raises:
            DirectoryError: if there is none that can be read.
        """
        tail = self.read(max(0, self.size - zip_directory.TAIL), zip_directory.TAIL)
        end = zip_directory.find_end(tail, self.size)
        if end.size > _LARGEST_DIRECTORY:
            raise zip_directory.DirectoryError("its central directory is larger than this tool reads")
        return zip_directory.parse(self.read(end.offset, end.size), end.count)


class Member(msgspec.Struct, frozen=True):
    """A member as it is demanded: its name and what the metadata lists."""

    name: str
    listed: Listed

    @property
    def size(self) -> int:
        """Its bytes; nothing where the metadata does not say."""
        return self.listed.size or 0


class _Seen(msgspec.Struct, frozen=True):
    """A member as it was met: the checksum its headers must carry, and where its local header begins."""

    member: Member
    crc: int
    offset: int


def walk(archive: Archive, members: Sequence[Member], *, sink: Sink | None = None) -> Iterator[Problem]:
    """Compares the whole archive with the canonical layout of `members`: each byte belongs to one comparison.

    With `sink`, the content of each member goes there as well, a large one before it is known to fit.

    Raises:
        OSError: if the archive cannot be read.
    """
    offset = 0
    seen: list[_Seen] = []
    for member in members:
        crc, problem = _member(archive, member, offset, sink)
        if problem is not None:
            yield problem
        seen.append(_Seen(member, crc, offset))
        offset += canonical_zip.local_header_size(member.name.encode(), member.size) + member.size
    yield from _directory(archive, seen, offset)


def laid_out_here(archive: Archive, members: Sequence[Member]) -> bool:
    """Whether any member has a header as this tool begins it where this tool puts it.

    Another program may reach the same length by chance; its headers then all differ.

    Raises:
        OSError: if the archive cannot be read.
    """
    offset = 0
    for member in members:
        name = member.name.encode()
        head = canonical_zip.local_header(name, member.size, 0)[:_SAME]
        if archive.read(offset, _SAME) == head:
            return True
        offset += canonical_zip.local_header_size(name, member.size) + member.size
    return False


def _member(archive: Archive, member: Member, offset: int, sink: Sink | None) -> tuple[int, Problem | None]:
    """The checksum that the member's headers must carry, and what is wrong with header or content."""
    name = member.name.encode()
    header_size = canonical_zip.local_header_size(name, member.size)
    whole = header_size + member.size
    pieces = archive.chunks(offset, whole)
    first = next(pieces, memoryview(b""))
    header = bytes(first[:header_size])
    claimed = int.from_bytes(header[14:18], "little")
    sha256 = hashlib.sha256(first[header_size:])
    crc = zlib.crc32(first[header_size:])
    total = len(first)
    if total == whole:
        problem = _content_problem(member, sha256.hexdigest()) or _header_problem(member, header, crc)
        if problem is None and sink is not None:
            with sink(member.name) as write:
                write(first[header_size:])
        return (crc if problem is None else claimed), problem
    with sink(member.name) if sink is not None else contextlib.nullcontext(_discard) as write:
        write(first[header_size:])
        for piece in pieces:
            sha256.update(piece)
            crc = zlib.crc32(piece, crc)
            write(piece)
            total += len(piece)
    if total < whole:
        missing = whole - total
        return claimed, Problem(member.name, f"cut off: {missing} of its {whole} bytes are not in the archive")
    problem = _content_problem(member, sha256.hexdigest()) or _header_problem(member, header, crc)
    return (crc if problem is None else claimed), problem


def _discard(piece: memoryview) -> None:
    del piece


def _content_problem(member: Member, sha256: str) -> Problem | None:
    if member.listed.sha256 is None or sha256 == member.listed.sha256:
        return None
    found, expected = sha256[:12], member.listed.sha256[:12]
    detail = f"its bytes were changed: found sha256:{found}..., expected sha256:{expected}..."
    return Problem(member.name, detail)


def _header_problem(member: Member, header: bytes, crc: int) -> Problem | None:
    expected = canonical_zip.local_header(member.name.encode(), member.size, crc)
    if header == expected:
        return None
    place = _first_difference(header, expected)
    if 14 <= place < 18:
        return Problem(member.name, "its checksum (crc32) in the archive is not that of its bytes")
    return Problem(member.name, f"its header in the archive was changed at byte {place}")


def _first_difference(found: bytes, expected: bytes) -> int:
    pairs = enumerate(zip(found, expected, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(found), len(expected)))


def _directory(archive: Archive, seen: Sequence[_Seen], offset: int) -> Iterator[Problem]:
    """The central directory at `offset` and what follows it."""
    start = offset
    for item in seen:
        entry = canonical_zip.central_header(item.member.name.encode(), item.member.size, item.crc, item.offset)
        found = archive.read(offset, len(entry))
        if len(found) < len(entry):
            name = item.member.name
            yield Problem(STRUCTURE, f"cut off in the central directory; nearest member: {name}")
            return
        if found != entry:
            place = _first_difference(found, entry)
            yield Problem(item.member.name, f"its entry in the central directory was changed at byte {place}")
        offset += len(entry)
    end = canonical_zip.end_records(len(seen), offset - start, start)
    found = archive.read(offset, len(end))
    if found != end:
        state = "was changed" if len(found) == len(end) else "is cut off"
        nearest = seen[-1].member.name if seen else "the start"
        place = _first_difference(found, end)
        yield Problem(STRUCTURE, f"its end record {state} at byte {place}; nearest member: {nearest}")
    if archive.size > offset + len(end):
        extra = archive.size - offset - len(end)
        yield Problem(STRUCTURE, f"{extra} bytes follow its end record, none were expected")
