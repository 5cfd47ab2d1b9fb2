"""Tracing with the kernel's own record of calls: nothing decoded while the program runs, so that it hardly waits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import Trace
from entrenar_research.tools.kernel_ring import command, reading
from entrenar_research.tracers.port import Sight, Tracer


class Kernel:
    """`observe`: a filter and stops at calls on paths, processes and sockets; `full`: every call, from perf rings."""

    name = "kernel"
    sees: Sight = "all"

    def version(self) -> str | None:
        """The version of the kernel."""
        return command.version()

    def unavailable(self, level: TraceLevel = "full") -> str | None:
        """Why the kernel does not let itself be asked here, or None if it has just traced a program at `level`."""
        return None if level == "none" else command.unavailable(level)

    def wrap(self, argv: Sequence[str], *, level: TraceLevel, log: Path) -> list[str]:
        """The command line that runs `argv` traced; it ends as `argv` ends, by status or by signal."""
        return list(argv) if level == "none" else command.tracing(argv, level, log)

    def read(self, log: Path, *, command: Sequence[str], level: TraceLevel) -> Trace:
        """The trace in `log`; a log that was cut, or that misses events, gives an incomplete one that says why.

        Raises:
            IntegrityError: if `log` is absent, empty, no log of this tracer, or holds no call.
        """
        found = reading.read(log)
        return Trace(
            tracer=self.name,
            level=level,
            command=tuple(command),
            calls=found.calls,
            ends=found.ends,
            complete=not found.problems,
            problems=found.problems,
            lost=found.lost,
        )


TRACER: Final[Tracer] = Kernel()
