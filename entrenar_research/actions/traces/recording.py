"""Tracing any command, in a study or not: `trace record`."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from entrenar_research.actions.traces import files as trace_files
from entrenar_research.actions.traces import measuring
from entrenar_research.actions.traces import source as trace_source
from entrenar_research.actions.traces.choosing import Tracers
from entrenar_research.core.traces import document as trace_document
from entrenar_research.core.traces import figures
from entrenar_research.errors import StorageError, UsageError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.measured import Measured
from entrenar_research.models.trace import Trace
from entrenar_research.store import files, trace_areas
from entrenar_research.tools import log_room, passthrough, process
from entrenar_research.tracers.port import Tracer

_AGAIN = "free some space, or name a directory on another disk with -o, then record it again"
_ELSEWHERE = "name another directory with -o, then record it again"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be recorded: `name` and `directory` of the files, how, and how often to repeat it untraced."""

    name: str
    directory: Path
    level: TraceLevel = "full"
    source: bool = False
    repeat: int = 0
    replace: bool = False


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """A command that was traced: its status (`-n`: killed by signal n), its document, and the files written.

    `stopped` is the signal that ended its repetitions, so that there are none.
    """

    status: int
    document: TraceDocument
    measured: Measured | None
    files: tuple[Path, ...]
    stopped: signal.Signals | None = None


def default_name(words: Sequence[str]) -> str:
    """What the trace of a command is called when nobody says: its program's name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(words[0]).name).strip("._-")
    return plain or "trace"


def record(words: Sequence[str], asked: Asked, *, tracers: Tracers, environment: Mapping[str, str]) -> Recording:
    """Runs the command traced, in the foreground, and writes what it did.

    `<name>.json` has every call, `<name>_summary.txt` the table, with percentiles and untraced repetitions; with
    `source`, `<name>_source.json` says from where in the program each call came. A signal that comes during the
    repetitions ends them, and the trace is written without them.

    Raises:
        UsageError: if the name cannot be one, the files are there already, or the command cannot be started.
        MissingToolError: if no tracer works here, or not the one that was named.
        IntegrityError: if it left no trace.
        StorageError: if the file system refuses, or is full before the command has ended.
    """
    targets = _targets(asked)
    program = process.which(words[0], environment=environment)
    if program is None:
        raise UsageError(f"command not found: {words[0]}")
    tracer = tracers.able(asked.level)
    with trace_areas.area(asked.directory) as area:
        traced = _Traced(words, asked, tracer, area)
        status = traced.run(environment, program)
        contents = traced.contents()
        measured, stopped = _measured(words, environment, asked.repeat if status == 0 else 0)
        table = figures.summary(trace_files.summary(traced.trace), traced.document, measured)
        _write(dict(zip(targets, (*contents, table.encode()), strict=True)))
    return Recording(status=status, document=traced.document, measured=measured, files=targets, stopped=stopped)


def _measured(
    words: Sequence[str], environment: Mapping[str, str], repetitions: int
) -> tuple[Measured | None, signal.Signals | None]:
    """The untraced repetitions, or by which signal they were stopped: the trace is worth keeping without them."""
    if not repetitions:
        return None, None
    try:
        return measuring.measure(words, directory=Path.cwd(), environment=environment, repetitions=repetitions), None
    except KeyboardInterrupt as stop:
        return None, next((number for number in stop.args if isinstance(number, signal.Signals)), signal.SIGINT)


def _write(contents: Mapping[Path, bytes]) -> None:
    written: list[str] = []
    for target, content in contents.items():
        try:
            files.write_atomically(target, content)
        except StorageError as error:
            kept = f"{' and '.join(written)} is written, this is not" if written else "its trace is lost"
            full = isinstance(error.__cause__, OSError) and error.__cause__.errno in _FULL
            raise StorageError(
                f"{error.message}; the command has run, but {kept}", hint=_AGAIN if full else _ELSEWHERE
            ) from error
        written.append(str(target))


class _Traced:
    """The command's one traced execution."""

    trace: Trace
    document: TraceDocument

    def __init__(self, words: Sequence[str], asked: Asked, tracer: Tracer, area: Path) -> None:
        self._words, self._asked, self._tracer, self._area = words, asked, tracer, area
        self._log = area / "log"

    def run(self, environment: Mapping[str, str], program: str) -> int:
        argv = self._tracer.wrap(self._words, level=self._asked.level, log=self._log)
        if self._asked.source:
            argv = trace_source.with_stacks(argv, program)
            environment = trace_source.prepare(environment, self._area)
        with files.refusals(f"cannot write to {self._asked.directory}"), log_room.kept(self._log) as room:
            status = passthrough.run(argv, environment=environment)
        if not room.enough:
            ended = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
            raise StorageError(
                f"no space left in {self._asked.directory} for the trace: the command {ended}, its trace is lost",
                hint=_AGAIN,
            )
        return status

    def contents(self) -> list[bytes]:
        """What the files hold, apart from the summary."""
        if self._asked.source:
            trace_source.take_stacks(self._log, self._area)
        trace = self._tracer.read(self._log, command=self._words, level=self._asked.level)
        if self._asked.source:
            trace = trace_source.without_ours(trace, self._area)
        names = {os.path.realpath(Path.cwd()): "$PWD"}
        self.trace, self.document = trace, trace_files.document(trace, names, version=self._tracer.version())
        found = [trace_document.encode(self.document)]
        if self._asked.source:
            found.append(trace_source.collect(self._area, trace, names, self.document))
        return found


def _targets(asked: Asked) -> tuple[Path, ...]:
    """The files to write, the summary last."""
    if not _NAME.fullmatch(asked.name):
        raise UsageError(f"{asked.name!r} cannot be the name of a trace: expected letters, digits, `.`, `_` and `-`")
    if not asked.directory.is_dir():
        raise UsageError(f"{asked.directory} is no directory", hint=f"make it first: mkdir -p {asked.directory}")
    if asked.repeat < 0:
        raise UsageError(f"--repeat {asked.repeat}: expected 0 or more repetitions")
    endings = (".json", *([trace_source.SUFFIX] if asked.source else []), "_summary.txt")
    targets = tuple(asked.directory / f"{asked.name}{ending}" for ending in endings)
    for path in targets:
        if path.exists() and not asked.replace:
            raise UsageError(f"{path} is there already", hint="give --replace, or another name with --as")
    return targets
