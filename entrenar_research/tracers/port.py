"""What a tracer is. To add one, write `tracers/<name>.py` that ends in `TRACER: Tracer = ...`.

A tracer never runs anything itself: it wraps the command, the runner executes the wrapped command, and the
tracer reads the log that was left behind. The log is a file of its own, never a stream of the program.

    class Mine:
        name = "mine"
        sees: Sight = "all"
        def version(self) -> str | None: ...
        def unavailable(self, level="full") -> str | None: ...
        def wrap(self, argv, *, level, log): return ["mine", "-o", str(log), "--", *argv]
        def read(self, log, *, command, level): ...

    TRACER: Tracer = Mine()
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import Trace

Sight = Literal["all", "some", "nothing"]
"""What a tracer sees of a command: all that a level asks for; some of it, so that from what is not there nothing
follows; or nothing, for the trace that it gives is of another execution."""
SHORTCOMINGS: Final[dict[Sight, str]] = {
    "some": "it leaves out calls, and may miss those of children: from what is not in its traces nothing follows",
    "nothing": "it runs the command without looking at it, and gives a saved trace of another execution",
}
"""In words, what a tracer that does not see all is not good for."""


class Tracer(Protocol):
    """Observes the system calls of a command and of all its threads and children."""

    name: str
    sees: Sight

    def version(self) -> str | None:
        """The tracer's version, or None where it is not installed."""
        ...

    def unavailable(self, level: TraceLevel = "full") -> str | None:
        """Why this tracer cannot trace at `level` here (absent, ptrace forbidden), or None if a self-test passes."""
        ...

    def wrap(self, argv: Sequence[str], *, level: TraceLevel, log: Path) -> list[str]:
        """The command line that runs `argv` traced at `level`, with its exit status unchanged."""
        ...

    def read(self, log: Path, *, command: Sequence[str], level: TraceLevel) -> Trace:
        """The trace in `log`.

        Raises:
            IntegrityError: if `log` is empty or is no log of this tracer.
        """
        ...
