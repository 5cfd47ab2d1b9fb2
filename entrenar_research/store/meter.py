"""Telling a caller how many bytes are done, seldom enough to cost nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all)."""

STEP: Final = 4 << 20
"""Bytes between two calls."""


class Meter:
    """Counts bytes and calls `progress` every few megabytes, and at the end."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0
        self._told = 0

    def advance(self, count: int) -> None:
        """`count` bytes more are done."""
        self._done += count
        if self._progress is not None and self._done - self._told >= STEP:
            self._told = self._done
            self._progress(min(self._done, self._total), self._total)

    def finish(self) -> None:
        """All is done."""
        if self._progress is not None:
            self._progress(self._total, self._total)
