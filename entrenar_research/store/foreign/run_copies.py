"""Copies of whole directories from another study: staged, checked, then put in place in one step each."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from entrenar_research.core import digests
from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.store import files, sums


def listing(directory: Path, shown: str) -> dict[str, str] | None:
    """The `SHA256SUMS` of a run by path, or None if it is not closed.

    Raises:
        IntegrityError: if it is malformed.
        StorageError: if it cannot be read.
    """
    try:
        text = (directory / sums.NAME).read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{shown}/{sums.NAME}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise StorageError(f"{shown}/{sums.NAME}: cannot be read: {error.strerror}") from error
    return digests.parse_manifest(text, f"{shown}/{sums.NAME}")


def damage(directory: Path, shown: str) -> str | None:
    """What is wrong with a closed run by its `SHA256SUMS`, every file read; None if nothing is.

    Raises:
        StorageError: if a directory cannot be read.
    """
    with files.refusals(f"cannot read {shown}"):
        for path, status in _entries(directory):
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
                return _strange(f"{shown}/{path}")
    wrong = [finding for finding in sums.check(directory, shown, area="runs", closed=True) if finding.verdict.wanting]
    return f"{wrong[0].subject}: {wrong[0].detail}" if wrong else None


def stage(source: Path, target: Path, shown: str) -> None:
    """Copies a directory with its files; times are kept, half-written files of dead processes left behind.

    Raises:
        IntegrityError: if something in it is neither a file nor a directory.
        StorageError: if the file system refuses.
    """
    with files.refusals(f"cannot copy {shown}"):
        target.mkdir(parents=True)
        for path, status in _entries(source):
            if stat.S_ISDIR(status.st_mode):
                (target / path).mkdir()
            elif stat.S_ISREG(status.st_mode):
                shutil.copy2(source / path, target / path, follow_symlinks=False)
            else:
                raise IntegrityError(_strange(f"{shown}/{path}"))


def settle() -> None:
    """Waits until all that was written is on the disk."""
    os.sync()


def put(staged: Path, place: Path) -> None:
    """Puts a staged directory in place; one that is there already goes where the staged one was.

    Raises:
        StorageError: if the file system refuses.
    """
    files.exchange(staged, place)


def _strange(path: str) -> str:
    return f"{path}: expected a file or a directory, found a link, a pipe or a device"


def _entries(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a directory, directories before what is in them. Links are not followed.

    Raises:
        OSError: if a directory cannot be read.
    """
    waiting = [""]
    while waiting:
        inside = waiting.pop()
        for name in sorted(os.listdir(directory / inside)):
            path = f"{inside}/{name}" if inside else name
            if name.startswith(".") and name.endswith(".part"):
                continue
            status = os.lstat(directory / path)
            yield path, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(path)
