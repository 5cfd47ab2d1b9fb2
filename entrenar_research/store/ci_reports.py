"""Where the report of a check is left: the directory that `[ci]` in renacer.toml names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from entrenar_research.errors import UsageError
from entrenar_research.models.policy import CiPolicy
from entrenar_research.store import files

_ENDINGS: Final = {"json": ".json", "junit": ".xml", "markdown": ".md"}


def place(root: Path, ci: CiPolicy, name: str) -> Path | None:
    """The file for the report called `name`, in the directory `export_path` below `root`; None if none is asked for.

    Raises:
        UsageError: if a file is where the directory is to be, or it leads out of `root`.
    """
    if ci.export_path is None:
        return None
    directory = files.contained(root, ci.export_path, what="[ci] export_path")
    above = next(step for step in (directory, *directory.parents) if step.exists())
    if not above.is_dir():
        raise UsageError(f"[ci] export_path: {above.relative_to(root)} is a file, expected a directory")
    return directory / f"{name}{_ENDINGS[ci.export_format]}"
