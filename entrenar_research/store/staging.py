"""Staging areas: where a run's result grows until it is put in place in one step.

A staging area is `.entrenar/staging/<run-id>/`. Its owner holds a lock on it; a lock that is free marks the
area of a process that died. `pending.yaml` is written once the run has succeeded: from then on whoever finds
the area abandoned finishes the work instead of dropping it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from entrenar_research.errors import ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files
from entrenar_research.store.yaml_text import Document, dump

_PENDING = "pending.yaml"


class Staging:
    """The staging area of one run, held by this process until it is closed."""

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
            StorageError: if the file system refuses.
        """
        with files.refusals("cannot make a staging area"):
            self.result.mkdir(parents=True)
            self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self

    def adopt(self) -> bool:
        """Takes over the area if its owner is dead."""
        try:
            self._lock = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._release()
            return False
        except OSError:
            return False
        return True

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
        """Deletes the area and gives up the lock."""
        files.remove_tree(self.directory)
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def abandoned(state: Path) -> Iterator[Staging]:
    """Every area whose owner is dead, taken over by us."""
    try:
        names = sorted(os.listdir(state / "staging"))
    except OSError:
        return
    for name in names:
        area = Staging(state, name)
        if area.directory.is_dir() and area.adopt():
            yield area


@contextlib.contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Holds the study's write lock: one process at a time changes `dvc.lock` and puts results in place.

    Raises:
        StorageError: if the lock file cannot be made.
    """
    with files.refusals("cannot lock the study"):
        state.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
