"""Size, SHA-256 and CRC-32 of files, each read once; with several processes where there is much to read."""

from __future__ import annotations

import hashlib
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.store import workers

Named = tuple[str, Path]
"""What a file is called in messages, and where it is."""

_SMALL = 1 << 16
_CHUNK = 1 << 20
_PART = 250
_WORTH_FILES = 2000
_WORTH_BYTES = 256 << 20
_MOST_PROCESSES = 4


class Checksums(msgspec.Struct, frozen=True, array_like=True):
    """Of one file: `size` in bytes, `sha256` in hex, `crc` as zip archives have it."""

    size: int
    sha256: str
    crc: int


def of_bytes(data: bytes) -> Checksums:
    """The checksums of bytes in memory."""
    return Checksums(len(data), hashlib.sha256(data).hexdigest(), zlib.crc32(data))


def of_file(named: Named) -> Checksums:
    """The checksums of a regular file, read to its end.

    Raises:
        IntegrityError: if it is no regular file.
        StorageError: if it cannot be read.
    """
    sha256, crc, size = hashlib.sha256(), 0, 0
    for piece in pieces(named):
        sha256.update(piece)
        crc = zlib.crc32(piece, crc)
        size += len(piece)
    return Checksums(size, sha256.hexdigest(), crc)


def pieces(named: Named) -> Iterator[bytes]:
    """The bytes of a regular file, in pieces of at most a megabyte; a named pipe does not block.

    Raises:
        IntegrityError: if it is no regular file.
        StorageError: if it cannot be read.
    """
    name, path = named
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise IntegrityError(f"{name}: expected a file, found a directory, device, pipe or socket")
            chunk = _SMALL if status.st_size < _SMALL else _CHUNK
            while data := os.read(descriptor, chunk):
                yield data
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"cannot read {name}: {error.strerror}") from error


def of_files(files: Sequence[Named]) -> list[Checksums]:
    """The checksums of many files, in order.

    Raises:
        IntegrityError: if one is no regular file.
        StorageError: if one cannot be read.
    """
    processes = min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)
    if processes < 2 or not _worth_sharing(files):
        return [of_file(named) for named in files]
    parts = [files[start : start + _PART] for start in range(0, len(files), _PART)]
    with workers.pool(min(processes, len(parts))) as pool:
        return [item for part in pool.map(_of_part, parts) for item in part]


def _of_part(files: Sequence[Named]) -> list[Checksums]:
    return [of_file(named) for named in files]


def _worth_sharing(files: Sequence[Named]) -> bool:
    """Whether starting processes costs less than it saves."""
    if len(files) >= _WORTH_FILES:
        return True
    return len(files) > _PART and sum(size_of(named) for named in files) >= _WORTH_BYTES


def size_of(named: Named) -> int:
    """The size of a file as the file system gives it.

    Raises:
        StorageError: if it cannot be found.
    """
    name, path = named
    try:
        return path.stat().st_size
    except OSError as error:
        raise StorageError(f"cannot read {name}: {error.strerror}") from error
