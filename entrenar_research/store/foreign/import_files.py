"""Where imported runs grow until they are whole, and which runs of the study were imported."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrenar_research.errors import InvalidFileError, StorageError
from entrenar_research.store import files
from entrenar_research.store.run_files import RECORD
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import Document

REPORT = "import.json"
"""In the directory of an imported run: what is not in it, or not as it was."""
_AREA = "importing"
_IMPORTED = re.compile(r"^imported: .+$", re.MULTILINE)


@contextlib.contextmanager
def area(study: StudyFiles) -> Iterator[Path]:
    """A directory on the study's file system, outside of `runs/`, that one import at a time has to itself.

    What an import that was killed left there is removed.

    Raises:
        StorageError: if it cannot be made.
    """
    place = study.state / _AREA
    with files.refusals("cannot make a place to import in"):
        place.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _tidy(place)
        yield place
    finally:
        _tidy(place)
        os.close(descriptor)


def _tidy(place: Path) -> None:
    for entry in place.iterdir():
        if entry.name != "lock":
            shutil.rmtree(entry, ignore_errors=True)


def put_in_place(built: Path, place: Path) -> bool:
    """Moves a whole run directory to `place` in one step; false if something is there already.

    Raises:
        StorageError: if the file system refuses.
    """
    with files.refusals(f"cannot put {place.name} in place"):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            built.rename(place)
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                return False
            raise
    return True


def known(study: StudyFiles) -> dict[str, str]:
    """The origin of every imported run with its id here. Records are not parsed: only that one line is looked at."""
    found: dict[str, str] = {}
    for directory in sorted(_directories(study.root / "runs")):
        try:
            text = Path(directory, RECORD).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        match = _IMPORTED.search(text)
        if match is not None:
            with contextlib.suppress(InvalidFileError):
                found[str(Document(match[0], RECORD).value["imported"])] = os.path.basename(directory)  # noqa: PTH119
    return found


def _directories(runs: Path) -> list[str]:
    try:
        with os.scandir(runs) as entries:
            return [entry.path for entry in entries if entry.name[0] != "." and entry.is_dir()]
    except FileNotFoundError:
        return []


def write_report(directory: Path, report: dict[str, Any]) -> None:
    """Writes what an import says about a run into its directory.

    Raises:
        StorageError: if the file system refuses.
    """
    text = json.dumps(report, indent=1, sort_keys=True, ensure_ascii=False)
    files.write_atomically(directory / REPORT, text.encode("utf-8", "backslashreplace") + b"\n")


def state(directory: Path) -> str | None:
    """The state in which a run was when it was imported; None if nothing says so."""
    try:
        report = json.loads((directory / REPORT).read_text(encoding="utf-8"))
        return str(report["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def copy(source: Path, target: Path) -> None:
    """Copies the bytes of a regular file, following no link.

    Raises:
        StorageError: if the target cannot be written, or the source is no regular file.
        OSError: if the source cannot be read.
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StorageError(f"{source.name}: expected a regular file")
        with files.refusals(f"cannot write {target.name}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as copied:
                shutil.copyfileobj(stream, copied, 1 << 20)
