"""Writing members of an archive below an empty directory, and taking them back when something is wrong."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from entrenar_research.core.crates.paths import path_problem
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.store import files


class Unpacking:
    """Files and directories made below `directory`; `undo` removes exactly these."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._files: list[Path] = []
        self._directories: list[Path] = []
        self._known = {directory}
        with files.refusals(f"cannot unpack into {directory.name}"):
            if not directory.exists():
                directory.mkdir()
                self._directories.append(directory)
            with os.scandir(directory) as entries:
                if next(entries, None) is not None:
                    raise UsageError(
                        f"{directory.name}: expected an empty directory, found files in it",
                        hint="name a directory that does not exist yet",
                    )

    @contextlib.contextmanager
    def place(self, name: str) -> Iterator[Callable[[memoryview], object]]:
        """Opens a new file with mode 0644 for a member; nothing that exists is ever written to.

        Raises:
            IntegrityError: if the path must not be written.
            OSError: if the file system refuses.
        """
        problem = path_problem(name)
        if problem:
            raise IntegrityError(f"{name!r}: {problem}")
        path = self.directory / name
        self._make(path.parent)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
        self._files.append(path)
        try:
            yield lambda piece: _write(descriptor, piece)
            os.fchmod(descriptor, 0o644)
        finally:
            os.close(descriptor)

    def undo(self) -> None:
        """Removes what was made here."""
        with contextlib.suppress(OSError):
            for path in self._files:
                path.unlink()
            for path in reversed(self._directories):
                path.rmdir()

    def _make(self, directory: Path) -> None:
        if directory in self._known:
            return
        self._make(directory.parent)
        directory.mkdir()
        self._directories.append(directory)
        self._known.add(directory)


def _write(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]
