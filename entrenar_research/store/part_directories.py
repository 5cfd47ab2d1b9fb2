"""A directory that grows beside its place and takes it only when whole."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from entrenar_research.errors import UsageError
from entrenar_research.store import files


@contextlib.contextmanager
def growing(target: Path) -> Iterator[Path]:
    """The directory `.<target>.<pid>.part`; at the end of the block it is `target`, and if the block raises, gone.

    What a killed process left for the same target is removed first.

    Raises:
        UsageError: if there is something at `target`, or no directory for it.
        StorageError: if the file system refuses, also for an `OSError` from the block.
    """
    place = target.resolve()
    refuse(place)
    with files.refusals(f"cannot write {target.name}"):
        _remove_stale(place)
        part = place.with_name(f".{place.name}.{os.getpid()}.part")
        part.mkdir()
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield part
            part.rename(place)
        except BaseException:
            files.remove_tree(part)
            raise
        finally:
            os.close(descriptor)


def refuse(target: Path) -> None:
    """Refuses a place that no directory can be made at; one that is there and empty is fine.

    Raises:
        UsageError: if there is something, or no directory for it.
    """
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise UsageError(f"{target} is there already and is no directory; expected a new name")
    if target.is_dir() and any(target.iterdir()):
        raise UsageError(f"{target} is there already and not empty; expected a new name")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no directory {target.parent}", hint="make it first")


def _remove_stale(target: Path) -> None:
    pattern = re.compile(re.escape(f".{target.name}.") + r"[0-9]{1,9}\.part")
    with os.scandir(target.parent) as entries:
        found = [Path(entry.path) for entry in entries if pattern.fullmatch(entry.name) and entry.is_dir()]
    for path in found:
        with contextlib.suppress(OSError):  # held by another process, or not ours: it stays
            _remove_unlocked(path)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        files.remove_tree(path)
    finally:
        os.close(descriptor)
