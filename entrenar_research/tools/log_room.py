"""Watching that a growing log does not fill its disk: a tracer that cannot write complains once for every call.

Once hardly any room is left, the log is emptied again and again until its writer has ended. What was in it is lost
then, which it would be as well if the disk were full, but the command that is traced finds room, and nobody is
flooded with complaints.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LEAST: Final = 1 << 18
_SECONDS: Final = 0.01


class Room:
    """Whether there was room for the log all the time."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._least = min(_LEAST, _left(log.parent) // 2)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.enough = True

    def begin(self) -> None:
        """Starts to look, a hundred times a second."""
        self._thread.start()

    def end(self) -> None:
        """Stops looking."""
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_SECONDS):
            with contextlib.suppress(OSError):  # not there yet, or gone
                if self._log.stat().st_blocks and _left(self._log.parent) < self._least:
                    self.enough = False
                if not self.enough:
                    os.truncate(self._log, 0)


@contextlib.contextmanager
def kept(log: Path) -> Iterator[Room]:
    """Keeps some room beside `log`, which is written to during the block.

    Raises:
        OSError: if the directory of the log cannot be looked at.
    """
    room = Room(log)
    room.begin()
    try:
        yield room
    finally:
        room.end()


def _left(directory: Path) -> int:
    """Bytes that may still be written there."""
    found = os.statvfs(directory)
    return found.f_frsize * (found.f_bavail if os.geteuid() else found.f_bfree)
