"""Files that a person names to have something written to: `-o FILE`, `--out FILE`, `--junit FILE`."""

from __future__ import annotations

import shlex
from pathlib import Path

from entrenar_research.errors import UsageError
from entrenar_research.store import files

_PASSED_ON = ("/dev/", "/proc/")


def refuse(path: Path) -> None:
    """Refuses a place that no file can be written to: no directory is made that was not asked for.

    Raises:
        UsageError: if it is a directory, or lies in one that is not there.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a directory; expected the name of the file to write")
    if not path.parent.exists():
        hint = f"make it first: mkdir -p {shlex.quote(str(path.parent))}"
        raise UsageError(f"{path}: there is no directory {path.parent}", hint=hint)
    if not path.parent.is_dir():
        raise UsageError(f"{path}: {path.parent} is a file, expected a directory")


def write(path: Path, data: bytes | str) -> None:
    """Writes `data` to `path`, in one go.

    Raises:
        UsageError: as `refuse` does.
        StorageError: if the file system refuses.
    """
    refuse(path)
    if str(path).startswith(_PASSED_ON):  # a pipe or a terminal that the shell gave a name: written to, not replaced
        with files.refusals(f"cannot write to {path}"), path.open("wb") as stream:
            stream.write(data.encode() if isinstance(data, str) else data)
    else:
        files.write_atomically(path, data)
