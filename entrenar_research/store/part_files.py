"""A large file that is written beside its place and takes it only when whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from entrenar_research.errors import StorageError
from entrenar_research.store import files


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[int]:
    """A descriptor, for reading and writing, of `.<target>.<pid>.part`; at the end it is `target`.

    Flushed to disk before the rename; removed if the block raises. What a killed process left for the same
    target is removed first: the part files of dead processes that nobody holds a lock on.

    Raises:
        StorageError: if the file system refuses, also for an `OSError` from the block; `target` is as before.
    """
    with files.refusals(f"cannot write {target.name}"):
        if target.is_dir():
            raise StorageError(f"cannot write {target.name}: there is a directory of that name")
        files.remove_stale_parts(target)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield descriptor
            os.fsync(descriptor)
            part.rename(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        _sync_directory(target.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
