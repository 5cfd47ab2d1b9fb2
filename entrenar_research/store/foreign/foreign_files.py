"""Reading directories that others wrote: without following links out of them, and a file as one view of its bytes."""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from entrenar_research.errors import StorageError

STRIDE = 4 << 20
"""Bytes to be read between two reports of progress."""

_EVENTS_HOST = re.compile(r"(events\.out\.tfevents\.\d+)\..*")


class Walk:
    """The directories at and below `top`. Symbolic links are not followed; those that lead out are `problems`.

    Of links to files only those count that have `mark` in their name.
    """

    def __init__(self, top: Path, *, depth: int = 64, mark: str = "") -> None:
        self.top = top
        self.problems: list[str] = []
        self._depth = depth
        self._mark = mark
        self._real = os.path.realpath(top)

    def directories(self, start: Path | None = None) -> Iterator[tuple[Path, list[str]]]:
        """Each directory with the names of the regular files in it, sorted; `top` or `start` first.

        Raises:
            OSError: if the first one cannot be read.
        """
        first = start or self.top
        pending = [(first, 0)]
        while pending:
            directory, depth = pending.pop()
            try:
                with os.scandir(directory) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                if directory == first:
                    raise
                self.problems.append(f"{self.shown(directory)}: cannot be read: {error.strerror}")
                continue
            names = []
            below = []
            for entry in found:
                if entry.is_symlink():
                    self._link(Path(entry.path))
                elif entry.is_dir(follow_symlinks=False):
                    below.append((Path(entry.path), depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    names.append(entry.name)
            yield directory, names
            if below and depth >= self._depth:
                self.problems.append(
                    f"{self.shown(directory)}: more than {self._depth} directories deep: not looked into"
                )
                continue
            pending += reversed(below)

    def _link(self, path: Path) -> None:
        real = os.path.realpath(path)
        if not os.path.isdir(real) and self._mark not in path.name:
            return
        if real != self._real and not real.startswith(self._real + os.sep):
            self.problems.append(f"{self.shown(path)}: a symbolic link that leads out of the directory: not followed")

    def shown(self, path: Path) -> str:
        """The path as a person sees it: relative to the top."""
        with contextlib.suppress(ValueError):
            return str(path.relative_to(self.top))
        return path.name


@contextlib.contextmanager
def opened(path: Path) -> Iterator[bytes | memoryview]:
    """The bytes of a file, not read before they are looked at.

    Raises:
        OSError: if it cannot be read, or is a symbolic link.
        StorageError: if it is no regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StorageError(f"{path.name}: expected a regular file, found a directory, pipe or device")
        if status.st_size == 0:
            yield b""
            return
        with mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
            yield view
    finally:
        os.close(descriptor)


def impersonal(name: str) -> str:
    """The name of an event file without the host name that writers put into it."""
    return _EVENTS_HOST.sub(r"\1", name)
