"""Where a recording keeps what its tracer writes until it is read: a private directory beside the files that it makes.

The log can be large, and /tmp small; and it holds what the command read and wrote, so Git is told to leave it alone,
and what a killed recording has left behind goes with the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from entrenar_research.store import files

_PREFIX: Final = ".trace-"
_LOCK: Final = "lock"


@contextlib.contextmanager
def area(directory: Path) -> Iterator[Path]:
    """A new area in `directory`, which goes at the end of the block.

    Raises:
        StorageError: if the file system refuses.
    """
    _remove_abandoned(directory)
    with files.refusals(f"cannot write to {directory}"):
        made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=directory))
    descriptor = -1
    try:
        with files.refusals(f"cannot write to {directory}"):
            (made / ".gitignore").write_text("*\n", encoding="utf-8")
            descriptor = os.open(made / f"{_LOCK}.new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            (made / f"{_LOCK}.new").rename(made / _LOCK)  # held from the moment that it can be seen
        yield made
    finally:
        files.remove_tree(made)
        if descriptor >= 0:
            os.close(descriptor)


def _remove_abandoned(directory: Path) -> None:
    for path in directory.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError), path.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files.remove_tree(path.parent)
