"""Staging areas: where a run's result grows until it is put in place in one step.

A staging area is `.entrenar/staging/<run-id>/`. Its owner holds a lock on it; a lock that is free marks the
area of a process that died. `pending.yaml` is written once the run has succeeded: from then on whoever finds
the area abandoned finishes the work instead of dropping it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from entrenar_research.errors import ResearchError, StorageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, locks
from entrenar_research.store.yaml_text import Document, dump

_PENDING = "pending.yaml"
_DONE = ".done"


class Staging:
    """The staging area of one run, held by this process until it is closed or released."""

    def __init__(self, state: Path, run_id: str) -> None:
        self.run_id = run_id
        self.directory = state / "staging" / run_id
        self._lock: int | None = None

    @property
    def result(self) -> Path:
        """Where the command writes its outputs."""
        return self.directory / "result"

    @property
    def trace_log(self) -> Path:
        """Where a tracer writes."""
        return self.directory / "trace.log"

    def open(self) -> Staging:
        """Makes the area and takes its lock.

        Raises:
            StorageError: if the file system refuses; nothing is left then.
        """
        with files.refusals("cannot make a staging area"), locks.gate(self.directory.parent.parent):
            self.directory.parent.mkdir(parents=True, exist_ok=True)
            self.directory.mkdir()
            try:
                self.result.mkdir()
                self._take()
            except BaseException:
                files.remove_tree(self.directory)
                self.release()
                raise
        return self

    def adopt(self) -> bool:
        """Takes over the area if its owner is dead. To be called within the gate."""
        try:
            self._take()
        except OSError:  # held (BlockingIOError), or not ours to write
            self.release()
            return False
        return True

    def _take(self) -> None:
        self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def promise(self, record: RunRecord) -> None:
        """Writes down that the run succeeded and what its final record is.

        Raises:
            StorageError: if the file system refuses.
        """
        files.write_atomically(self.directory / _PENDING, dump(record))

    def promised(self) -> RunRecord | None:
        """The final record, if the run had succeeded."""
        path = self.directory / _PENDING
        if not path.is_file():
            return None
        try:
            return Document(files.read_text(path), _PENDING).convert(RunRecord)
        except ResearchError:
            return None

    def close(self) -> None:
        """Deletes the area and gives up the lock.

        It is renamed first: of a deletion that was cut short nothing can be taken for a promise.
        """
        done = self.directory.with_name(self.run_id + _DONE)
        with contextlib.suppress(OSError):
            self.directory.rename(done)
        files.remove_tree(done)
        self.release()

    def release(self) -> None:
        """Gives up the lock and leaves the area to whoever finds it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def abandoned(state: Path) -> tuple[Staging, ...]:
    """Every area whose owner is dead, taken over by us."""
    if not (state / "staging").is_dir():
        return ()
    try:
        with locks.gate(state):
            names = sorted(os.listdir(state / "staging"))
            areas = [Staging(state, name) for name in names if not name.endswith(_DONE)]
            found = tuple(area for area in areas if area.directory.is_dir() and area.adopt())
    except (OSError, StorageError):  # a study that may only be read
        return ()
    for name in names:
        if name.endswith(_DONE):
            files.remove_tree(state / "staging" / name)
    return found
