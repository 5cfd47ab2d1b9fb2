"""A saved trace in the place of a fresh one: for machines on which nothing can be traced.

The command runs as it is, untraced; what it did is not looked at. The trace is the saved one, a document of ours,
packed or not, that ENTRENAR_REPLAY_TRACE names. It is taken only for the command that it was recorded of, and it says
that it was replayed: it is never complete, so nothing is promoted on the strength of it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrenar_research.core.traces import document
from entrenar_research.core.traces.storing import packed
from entrenar_research.errors import IntegrityError, ResearchError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import Trace
from entrenar_research.tracers.port import Sight, Tracer

VARIABLE = "ENTRENAR_REPLAY_TRACE"
"""The environment variable that names the file."""
VERSION = "1"


class Replay:
    """Reads a saved trace back; its `wrap` leaves the command as it is."""

    name = "replay"
    sees: Sight = "nothing"

    def version(self) -> str | None:
        """The version of this way of replaying, or None where no trace is given."""
        return VERSION if os.environ.get(VARIABLE) else None

    def unavailable(self, level: TraceLevel = "full") -> str | None:
        """Why no trace can be replayed, or None if the one that is named is whole and of `level`."""
        if level == "none":
            return None
        try:
            found = _saved()
        except ResearchError as error:
            return error.message
        return None if found.level == level else _of_another_level(found.level, level)

    def wrap(self, argv: Sequence[str], *, level: TraceLevel, log: Path) -> list[str]:
        """The command itself: it is run, and not traced."""
        return list(argv)

    def read(self, log: Path, *, command: Sequence[str], level: TraceLevel) -> Trace:
        """The saved trace, whose calls began at 0; `log` is not read.

        Raises:
            IntegrityError: if no trace is named, it is damaged, or it is of another command or level.
        """
        found = _saved()
        if len(found.command) != len(command) or Path(found.command[0]).name != Path(command[0]).name:
            raise IntegrityError(
                f"the saved trace is of `{' '.join(found.command)}`, not of `{' '.join(command)}`",
                hint=f"name the trace of this command in {VARIABLE}",
            )
        if found.level != level:
            raise IntegrityError(_of_another_level(found.level, level))
        problem = f"replayed from a trace that {found.tracer} saved: what the command did this time was not looked at"
        trace = document.trace_of(found)
        return msgspec.structs.replace(
            trace, tracer=self.name, command=tuple(command), complete=False, problems=(*trace.problems, problem)
        )


def _of_another_level(found: str, level: TraceLevel) -> str:
    return f"the saved trace is of level {found!r}, {level!r} was asked for"


def _saved() -> TraceDocument:
    named = os.environ.get(VARIABLE)
    if not named:
        raise IntegrityError(f"no trace to replay: {VARIABLE} names none", hint=f"{VARIABLE}=FILE, of `trace record`")
    path = Path(named)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise IntegrityError(f"the trace to replay cannot be read: {path.name}: {error.strerror}") from error
    if not data.startswith(packed.MAGIC):
        return document.decode(data, path.name)
    found = packed.unpack(data, path.name)
    document.refuse_contradictions(found, path.name)
    return found


TRACER: Tracer = Replay()
