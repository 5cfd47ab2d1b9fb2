"""Who may do what at a time. Every lock is a flock(2): the kernel frees it when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from entrenar_research.errors import StorageError
from entrenar_research.store import files

_DVC_SECONDS = 60.0
_POLL_SECONDS = 0.05


@contextlib.contextmanager
def held(path: Path, complaint: str) -> Iterator[None]:
    """Holds the lock on a file, which is made if need be; waits for it. `complaint` begins the message of the error.

    Raises:
        StorageError: if the lock file cannot be made.
    """
    descriptor = opened(path, complaint)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def exclusive(state: Path) -> Iterator[None]:
    """Holds the study's write lock: one process at a time puts results in place, writes `dvc.lock` or seals.

    Raises:
        StorageError: if the lock file cannot be made.
    """
    with held(state / "lock", "cannot lock the study"):
        yield


@contextlib.contextmanager
def gate(state: Path) -> Iterator[None]:
    """Holds the lock on the set of staging areas: none is taken over while it is only just being made.

    Raises:
        StorageError: if the lock file cannot be made.
    """
    with held(state / "staging.lock", "cannot lock the staging areas"):
        yield


@contextlib.contextmanager
def recovery(state: Path) -> Iterator[None]:
    """Holds the lock of those who seal or remove runs that others left behind: one process at a time.

    Raises:
        StorageError: if the lock file cannot be made.
    """
    with held(state / "recovery.lock", "cannot lock the runs"):
        yield


@contextlib.contextmanager
def turn(state: Path, experiment: str, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the turn of an experiment: it is run by one process at a time; `waiting` is called before we wait.

    Raises:
        StorageError: if the lock file cannot be made.
    """
    descriptor = opened(state / "turns" / experiment, f"cannot lock {experiment}")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def without_dvc(root: Path) -> Iterator[None]:
    """Holds DVC's own lock: it rewrites `dvc.lock` in place, so both must not be at it at once.

    DVC waits three seconds for it, and does not hold it while a stage runs.

    Raises:
        StorageError: if it cannot be had, after a minute.
    """
    descriptor = opened(root / ".dvc" / "tmp" / "lock", "cannot lock DVC")
    try:
        deadline = time.monotonic() + _DVC_SECONDS
        while not _taken(descriptor):
            if time.monotonic() > deadline:
                raise StorageError(
                    f"DVC has been at work in this study for {_DVC_SECONDS:g} s; dvc.lock cannot be written meanwhile",
                    hint="when it has ended, run the same command again: the result is kept until then",
                )
            time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def opened(path: Path, complaint: str) -> int:
    """The descriptor of a lock file, which is made if need be.

    Raises:
        StorageError: if it cannot be; `complaint` begins the message.
    """
    with files.refusals(complaint):
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
