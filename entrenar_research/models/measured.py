"""What repetitions of a command took, untraced: a traced program's times are the tracer's."""

from __future__ import annotations

import statistics

import msgspec


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: wall, user and system seconds, peak resident bytes of its largest process, exit status."""

    wall: float
    user: float
    system: float
    peak_memory: int
    exit_status: int


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Several executions of one command on one machine, in the order in which they ran."""

    repetitions: tuple[Repetition, ...]

    @property
    def wall(self) -> tuple[float, ...]:
        """Wall seconds of each."""
        return tuple(item.wall for item in self.repetitions)

    @property
    def median_wall(self) -> float:
        """The median of the wall seconds."""
        return statistics.median(self.wall)

    @property
    def peak_memory(self) -> int:
        """The highest peak of all, bytes."""
        return max(item.peak_memory for item in self.repetitions)
