"""Tracing with strace: everywhere that ptrace is permitted, every call decoded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from entrenar_research.core.traces.logs import strace_log
from entrenar_research.errors import IntegrityError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import Trace
from entrenar_research.tools import strace
from entrenar_research.tracers.port import Sight, Tracer

_STARTED: Final = "was the command found, and may this account trace? `strace true` tells"


class Strace:
    """strace -f into a log of its own; for `observe` behind a seccomp filter, for `full` without ASLR."""

    name = "strace"
    sees: Sight = "all"

    def version(self) -> str | None:
        """The version of strace, or None where it is not installed."""
        return strace.version()

    def unavailable(self, level: TraceLevel = "full") -> str | None:
        """Why strace cannot trace here, or None if it has just traced a program: where it can, it can at any level."""
        return None if level == "none" else strace.unavailable()

    def wrap(self, argv: Sequence[str], *, level: TraceLevel, log: Path) -> list[str]:
        """The command line that runs `argv` under strace; it ends as `argv` ends, by status or by signal."""
        if level == "none":
            return list(argv)
        return strace.full(argv, log) if level == "full" else strace.observing(argv, log)

    def read(self, log: Path, *, command: Sequence[str], level: TraceLevel) -> Trace:
        """The trace in `log`; a log that was cut or damaged gives an incomplete one that says why.

        Raises:
            IntegrityError: if `log` is absent, empty or holds no call.
        """
        try:
            text = log.read_bytes().decode("ascii", "backslashreplace")
        except FileNotFoundError as error:
            raise IntegrityError(f"{log.name}: strace left no log", hint=_STARTED) from error
        return strace_log.parse(text, log.name, command=command, level=level)


TRACER: Tracer = Strace()
