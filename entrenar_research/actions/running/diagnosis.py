"""Why a run failed: what the kernel, the command's last words, the client and the tool itself know about it."""

from __future__ import annotations

import datetime
import os
import re
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from entrenar_research.client import liveness
from entrenar_research.core.failures import classification
from entrenar_research.core.failures.classification import Evidence
from entrenar_research.core.failures.kernel_log import about
from entrenar_research.core.nix import sandbox
from entrenar_research.errors import (
    InvalidFileError,
    MissingToolError,
    ResearchError,
    StorageError,
    ToolError,
    UsageError,
)
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Failure
from entrenar_research.runners.port import Ended
from entrenar_research.store.logged import log
from entrenar_research.store.logged.notes import LoggedFailure
from entrenar_research.tools import kernel

_TAIL = 256 << 10
_EXITED = re.compile(r"the script ended with exit status (\d{1,3})")
"""What the client says of a script that left by `sys.exit`."""


class Kernel:
    """What the kernel counts and logs while a command runs, from `with` to its end."""

    def __enter__(self) -> Self:
        self._group, self._machine, self._log = kernel.group_kills(), kernel.machine_kills(), kernel.Log()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._log.close()

    def evidence(self, ended: Ended) -> Evidence:
        """How far the counters rose, and what the log says about the command's processes."""
        return Evidence(
            cgroup_kills=_risen(self._group, kernel.group_kills()),
            machine_kills=_risen(self._machine, kernel.machine_kills()),
            kernel=about(self._log.messages(), ended.processes),
        )


def _risen(before: int | None, after: int | None) -> int:
    return max(0, after - before) if before is not None and after is not None else 0


def of_command(root: Path, directory: Path, argv: tuple[str, ...], ended: Ended, seen: Evidence) -> Failure:
    """Why the command of a run failed. `directory` is the run's, `seen` the kernel's part of the evidence.

    What the client noted as its script ended goes before what stands in stderr: it has the types of the exception.
    """
    stopped = ended.interrupted or ended.halted is not None
    note = None if stopped else log.logged(directory).notes.failure
    evidence = msgspec.structs.replace(
        seen,
        exit_status=ended.exit_status,
        signal=ended.signal,
        interrupted=stopped,
        said=ended.halted or "",
        program=argv[0] if argv else None,
        stderr=_tail(directory / "stderr.txt"),
        free=_free(directory),
        hidden=_hidden(root),
    )
    return classification.classify(_with_note(evidence, note) if note else evidence)


def of_script(root: Path, note: LoggedFailure | None, failure: str) -> Failure:
    """Why a script that was not started by the tool failed: by what its client noted, or else said (`failure`)."""
    evidence = Evidence(hidden=_hidden(root))
    if note is not None:
        return classification.classify(_with_note(evidence, note))
    exited = _EXITED.fullmatch(failure)
    if exited:
        return classification.classify(Evidence(exit_status=int(exited[1])))
    return classification.classify(msgspec.structs.replace(evidence, said=failure))


def _with_note(evidence: Evidence, note: LoggedFailure) -> Evidence:
    return msgspec.structs.replace(
        evidence,
        exception=note.exception,
        bases=note.bases,
        message=note.message,
        stack=note.stack or None,
        errno=note.errno,
    )


def of_error(root: Path, error: ResearchError, found: str | None = None) -> Failure:
    """Why a run failed that the tool itself gave up; `found` is the code of what it was looking at."""
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    if isinstance(error, StorageError) and number is not None:
        return classification.classify(
            Evidence(exception=type(cause).__name__, message=error.message, errno=number, hidden=_hidden(root))
        )
    if isinstance(error, MissingToolError) or (isinstance(error, UsageError) and isinstance(cause, FileNotFoundError)):
        found = found or "TOOL_MISSING"
    elif isinstance(error, UsageError) and isinstance(cause, OSError):
        found = found or "NOT_EXECUTABLE"
    elif isinstance(error, ToolError):
        found = found or "TOOL_FAILED"
    elif isinstance(error, InvalidFileError):
        found = found or "CONFIG_INVALID"
    return classification.classify(Evidence(found=found, said=error.message, errno=number, hidden=_hidden(root)))


def cancelled() -> Failure:
    """A person stopped it."""
    return classification.classify(Evidence(interrupted=True))


def lost(root: Path, record: RunRecord) -> Failure:
    """Why nobody recorded the end of a run: its process is gone, for memory if the kernel's log says so.

    Of a process that had attached a client, what the client noted last may say more.
    """
    directory = root / "runs" / record.id
    note = log.logged(directory).notes.failure if directory.is_dir() else None
    if note is not None:
        return of_script(root, note, "")
    said = "its process ended before the end of the run was recorded"
    holder = record.holder
    if holder is not None and holder.machine == liveness.machine():
        began = datetime.datetime.fromisoformat(record.started).timestamp()
        words = about(kernel.logged_since(began), {holder.process})
        if words:
            return classification.classify(Evidence(signal="SIGKILL", kernel=words))
    return classification.classify(Evidence(found="LOST", said=said))


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _free(directory: Path) -> int | None:
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None


def _hidden(root: Path) -> tuple[tuple[str, str], ...]:
    """The study's directory, here and in a sandbox, and the person's, by the names that a program may write."""
    places = [(str(root), ""), (str(root.resolve()), ""), (sandbox.STUDY, "")]
    home = Path("~").expanduser()
    if len(home.parts) > 1:
        places += [(str(home), "~/"), (str(home.resolve()), "~/")]
    return tuple(dict.fromkeys(places))
