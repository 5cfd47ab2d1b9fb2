"""Writing a canonical zip archive from the first byte to the last; its digest is taken on the way."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrenar_research.core import canonical_zip
from entrenar_research.errors import IntegrityError
from entrenar_research.store import checksums
from entrenar_research.store.meter import Meter

_STEP = 4 << 20
_CHUNK = 1 << 20


class Planned(msgspec.Struct, frozen=True):
    """A member to write: its name, where its bytes are, and what they are."""

    name: str
    source: Path | bytes
    checksums: checksums.Checksums


def write_archive(descriptor: int, members: Sequence[Planned], meter: Meter) -> tuple[int, str]:
    """Writes the members in the order given; the archive's size and SHA-256 (hex).

    Raises:
        IntegrityError: if a file is no longer what its checksums say.
        StorageError: if a file cannot be read.
        OSError: if the archive cannot be written.
    """
    following = _Following(descriptor)
    try:
        offset = 0
        entries: list[bytes] = []
        for member in members:
            name, sums = member.name.encode(), member.checksums
            entries.append(canonical_zip.central_header(name, sums.size, sums.crc, offset))
            header = canonical_zip.local_header(name, sums.size, sums.crc)
            _content(descriptor, header, member, meter)
            offset += len(header) + sums.size
            following.written(offset)
        directory = b"".join(entries)
        end = canonical_zip.end_records(len(entries), len(directory), offset)
        _write(descriptor, directory + end)
        size = offset + len(directory) + len(end)
    except BaseException:
        following.finish(0)
        raise
    return size, following.finish(size)


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


class _Following:
    """A thread that takes the digest of a file while it is being written, from the page cache."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._ends: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        self._told = 0
        self._sha256 = hashlib.sha256()
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="archive-digest", daemon=True)
        self._thread.start()

    def written(self, offset: int) -> None:
        """The file is complete up to `offset`."""
        if offset - self._told >= _STEP:
            self._told = offset
            self._ends.put((offset, False))

    def finish(self, size: int) -> str:
        """The digest of the first `size` bytes, in hex.

        Raises:
            OSError: if they cannot be read.
        """
        self._ends.put((size, True))
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._sha256.hexdigest()

    def _run(self) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        offset, last = 0, False
        try:
            while not last:
                end, last = self._ends.get()
                while offset < end:
                    count = os.preadv(self._descriptor, [buffer[: end - offset]], offset)
                    if not count:
                        return
                    self._sha256.update(buffer[:count])
                    offset += count
        except OSError as error:
            self._failure = error


def _write_both(descriptor: int, header: bytes, piece: bytes) -> None:
    done = os.writev(descriptor, (header, piece))
    if done < len(header) + len(piece):
        _write(descriptor, (header + piece)[done:])


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
