"""Tracing with renacer 0.6: where its JSON is wanted, or to hold another tracer's counts against.

What it cannot do is told in every trace: see `core.traces.renacer_log` and docs/traces.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrenar_research.core.traces.logs import renacer_log
from entrenar_research.errors import IntegrityError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import ProcessEnd, Trace
from entrenar_research.tools import renacer
from entrenar_research.tracers.port import Sight, Tracer

_OBSERVED = "file,process,network"


class Renacer:
    """renacer -f -T --format json, its JSON in a log of its own; its traces are never complete."""

    name = "renacer"
    sees: Sight = "some"

    def version(self) -> str | None:
        """The version of renacer, or None where it is not installed."""
        return renacer.version()

    def unavailable(self, level: TraceLevel = "full") -> str | None:
        """Why renacer cannot trace here, or None if it has just traced a program: where it can, it can at any level."""
        return None if level == "none" else renacer.unavailable()

    def wrap(self, argv: Sequence[str], *, level: TraceLevel, log: Path) -> list[str]:
        """The command line that runs `argv` under renacer; a command killed by signal n ends with status 128 + n."""
        if level == "none":
            return list(argv)
        return renacer.tracing(argv, log, None if level == "full" else _OBSERVED)

    def read(self, log: Path, *, command: Sequence[str], level: TraceLevel) -> Trace:
        """The trace in `log`, from the moment when the command began: a shell that starts it is left out.

        Raises:
            IntegrityError: if `log` is absent or holds no whole document.
        """
        try:
            text = log.read_bytes().decode("utf-8", "backslashreplace")
        except FileNotFoundError as error:
            raise IntegrityError(f"{log.name}: renacer left no log", hint="did it start? `renacer -- true`") from error
        found = renacer_log.parse(text, log.name, command=command, level=level)
        calls = found.trace.calls
        began = next((place for place, call in enumerate(calls) if call.name == "execve" and call.error is None), None)
        calls = calls[began or 0 :]
        problems = renacer_log.problems(calls)
        if began is None:
            problems = (*problems, "the start of the command is not among the calls: a shell's are")
        return msgspec.structs.replace(
            found.trace, calls=calls, ends=(ProcessEnd(0, calls[-1].time + 1, found.status),), problems=problems
        )


TRACER: Tracer = Renacer()
