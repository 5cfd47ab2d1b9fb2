"""The digest of a file tree's Nix archive, as `nix hash path` computes it, without Nix and without holding it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from entrenar_research.core.nix import nar
from entrenar_research.errors import StorageError

_CHUNK: Final = 1 << 20


def digest(path: Path) -> tuple[str, int]:
    """The hex SHA-256 of the archive of a file, directory or link, and the archive's size in bytes.

    Raises:
        StorageError: if something cannot be read, changes while it is, or is neither file, directory nor link.
    """
    sha = hashlib.sha256()
    size = 0

    def write(data: bytes) -> None:
        nonlocal size
        sha.update(data)
        size += len(data)

    dump(path, write)
    return sha.hexdigest(), size


def directory_hash(path: Path) -> str:
    """The hex SHA-256 of the archive alone.

    Raises:
        StorageError: as `digest`.
    """
    return digest(path)[0]


def dump(path: Path, write: Callable[[bytes], object]) -> None:
    """Writes the archive of a file, directory or link piece by piece.

    Raises:
        StorageError: as `digest`.
    """
    write(nar.MAGIC)
    try:
        _node(os.fsencode(path), write)
    except OSError as error:
        shown = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename or path
        raise StorageError(f"cannot read {shown}: {error.strerror}") from error


def _node(path: bytes, write: Callable[[bytes], object]) -> None:
    status = os.lstat(path)
    if stat.S_ISREG(status.st_mode):
        _file(path, write, executable=bool(status.st_mode & stat.S_IXUSR))
    elif stat.S_ISDIR(status.st_mode):
        write(nar.DIRECTORY)
        for name in sorted(os.listdir(path)):
            write(nar.entry_head(name))
            _node(path + b"/" + name, write)
            write(nar.ENTRY_CLOSE)
        write(nar.CLOSE)
    elif stat.S_ISLNK(status.st_mode):
        write(nar.symlink(os.readlink(path)))  # noqa: PTH115 - bytes, as the archive has them
    else:
        raise StorageError(f"{os.fsdecode(path)}: expected a file, directory or link, found a pipe, socket or device")


def _file(path: bytes, write: Callable[[bytes], object], *, executable: bool) -> None:
    with open(path, "rb", buffering=0, opener=_without_waiting) as stream:
        size = os.fstat(stream.fileno()).st_size
        write(nar.file_head(size, executable=executable))
        left = size
        while left:
            data = stream.read(min(left, _CHUNK))
            if not data:
                raise StorageError(f"{os.fsdecode(path)}: the file became shorter while it was read")
            write(data)
            left -= len(data)
    write(nar.file_tail(size))


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
