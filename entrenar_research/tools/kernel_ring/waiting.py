"""Waiting for the next stop: awake for a moment where a processor has nothing else to do, else asleep.

A program that starts others stops every few microseconds. A processor that falls asleep in between takes as long to
wake up again, so that a tracer that sleeps at once makes everything a tenth slower than one that looks again and again.
"""

from __future__ import annotations

import os
import time

from entrenar_research.tools.kernel_ring.libc import WAIT_ALL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LOAD: Final = "/proc/loadavg"
_AWAKE_NANOSECONDS: Final = 50_000
_LONGEST_PAUSE: Final = 1024
"""How many stops are slept through, at most, after staying awake was in vain."""
_LOOK_AROUND: Final = 256
"""After how many stops it is looked up again what else runs."""


class Waiting:
    """Waits for children, in the way that paid lately."""

    def __init__(self) -> None:
        self._processors = len(os.sched_getaffinity(0))
        self._asleep = 0
        self._pause = 1
        self._until_look = 0

    def __call__(self) -> tuple[int, int]:
        """Number and status (wait(2)) of the next child that stopped or ended.

        Raises:
            ChildProcessError: if there is none left.
        """
        if self._until_look == 0:
            self._look_around()
        self._until_look -= 1
        if self._asleep:
            self._asleep -= 1
            return os.waitpid(-1, WAIT_ALL)
        waitpid, now, options = os.waitpid, time.monotonic_ns, WAIT_ALL | os.WNOHANG
        limit = now() + _AWAKE_NANOSECONDS
        while True:
            found = waitpid(-1, options)
            if found[0]:
                self._pause = 1
                return found
            if now() > limit:
                break
        self._asleep, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return waitpid(-1, WAIT_ALL)

    def _look_around(self) -> None:
        """Goes to sleep at once, up to the next look, where another has a use for the processor."""
        self._until_look = _LOOK_AROUND
        if self._processors < 2 or _running() > (os.cpu_count() or 1):
            self._asleep = max(self._asleep, _LOOK_AROUND)


def _running() -> float:
    """How many threads run or could, with this one, on the whole machine; endlessly many where that is not told."""
    try:
        with open(_LOAD, "rb") as file:
            return int(file.read().split()[3].partition(b"/")[0])
    except (OSError, ValueError, IndexError):
        return float("inf")
