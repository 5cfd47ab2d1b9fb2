"""Measuring a command by repeating it, untraced: a traced program's times are mostly the tracer's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from entrenar_research.errors import UsageError
from entrenar_research.models.measured import Measured
from entrenar_research.tools import repetitions as tool

WARM_UP: Final = 1
"""Repetitions before those that count: they fill the file caches."""

Progress = Callable[[int, int], None]


def measure(
    argv: Sequence[str],
    *,
    directory: Path,
    environment: Mapping[str, str],
    repetitions: int,
    progress: Progress | None = None,
    warm_up: int = WARM_UP,
    prepare: Callable[[], None] | None = None,
) -> Measured:
    """Runs the command `repetitions` times in `directory`, after `warm_up` times that are not counted.

    Nothing is on its standard input, its output is discarded, and how it ended is recorded, not judged. `prepare` is
    called before each of them, warm-ups included; `progress` is told after each how many of them all are done.

    Raises:
        UsageError: if the numbers make no sense, or the program cannot be started.
    """
    if repetitions < 1 or warm_up < 0:
        raise UsageError(f"{repetitions} repetitions after {warm_up} to warm up: expected at least 1 after 0 or more")
    every = warm_up + repetitions
    found = []
    with tool.repeated(argv, directory=directory, environment=environment) as once:
        for done in range(every):
            if prepare is not None:
                prepare()
            found.append(once())
            if progress is not None:
                progress(done + 1, every)
    return Measured(repetitions=tuple(found[warm_up:]))
