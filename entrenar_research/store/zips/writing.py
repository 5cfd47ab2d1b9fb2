"""Writing a canonical zip archive from the first byte to the last."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrenar_research.core.zips import canonical_zip
from entrenar_research.errors import IntegrityError
from entrenar_research.store import checksums
from entrenar_research.store.meter import Meter


class Planned(msgspec.Struct, frozen=True):
    """A member to write: its name, where its bytes are, and what they are."""

    name: str
    source: Path | bytes
    checksums: checksums.Checksums


def write_archive(descriptor: int, members: Sequence[Planned], meter: Meter) -> int:
    """Writes the members in the order given; the archive's size.

    Raises:
        IntegrityError: if a file is no longer what its checksums say.
        StorageError: if a file cannot be read.
        OSError: if the archive cannot be written.
    """
    offset = 0
    entries: list[bytes] = []
    for member in members:
        name, sums = member.name.encode(), member.checksums
        entries.append(canonical_zip.central_header(name, sums.size, sums.crc, offset))
        header = canonical_zip.local_header(name, sums.size, sums.crc)
        _content(descriptor, header, member, meter)
        offset += len(header) + sums.size
    directory = b"".join(entries)
    end = canonical_zip.end_records(len(entries), len(directory), offset)
    _write(descriptor, directory + end)
    return offset + len(directory) + len(end)


def _content(descriptor: int, header: bytes, member: Planned, meter: Meter) -> None:
    """A member's header and bytes; they must still be those that were hashed."""
    sums = member.checksums
    if isinstance(member.source, bytes):
        _write(descriptor, header + member.source)
        meter.advance(sums.size)
        return
    crc = total = 0
    for piece in checksums.pieces((member.name, member.source)):
        crc = zlib.crc32(piece, crc)
        total += len(piece)
        if total > sums.size:
            break
        if header:
            _write_both(descriptor, header, piece)
            header = b""
        else:
            _write(descriptor, piece)
        meter.advance(len(piece))
    if header:
        _write(descriptor, header)
    if (crc, total) != (sums.crc, sums.size):
        raise IntegrityError(
            f"{member.name}: it changed while it was being bundled",
            hint="wait until nothing writes to it, then run the same command again",
        )


def _write_both(descriptor: int, header: bytes, piece: bytes) -> None:
    done = os.writev(descriptor, (header, piece))
    if done < len(header) + len(piece):
        _write(descriptor, (header + piece)[done:])


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
