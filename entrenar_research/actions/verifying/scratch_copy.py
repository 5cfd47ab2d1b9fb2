"""A scratch copy of a study: what an experiment declares and all that Git tracks, to run things in."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from entrenar_research.models.experiment import Experiment
from entrenar_research.store import files, hashing
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

BY_NIX = "nix"
"""The folder with what Nix builds by, tracked by Git or not yet."""


def needed(study: StudyFiles, experiment: Experiment, *more: str) -> set[str]:
    """Every file that the experiment declares, and those below `more`; what Git tracks is copied anyway."""
    declaration = experiment.declaration
    wanted = {experiment.file, *declaration.code, *declaration.inputs, *more}
    if declaration.params is not None:
        wanted.add(declaration.params)
    paths: set[str] = set()
    for item in wanted:
        if (study.root / item).exists():
            paths.update(hashing.walk(study.root, item))
    return paths


def copy_study(study: StudyFiles, root: Path, needed: Iterable[str]) -> None:
    """Copies the needed files and all that Git tracks to `root`; of links only those that stay in the study.

    Raises:
        StorageError: if there is no space.
    """
    unpacked = not (study.root / ".git").exists()
    tracked = tuple(_unpacked(study.root)) if unpacked else Git(study.root).listed()
    with files.refusals("cannot make the scratch copy"):
        root.mkdir(parents=True)
        for path in {*needed, *tracked}:
            source, target = study.root / path, root / path
            if source.is_file() and source.resolve().is_relative_to(study.root.resolve()):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                shutil.copymode(source, target)
                if unpacked and _is_program(source):
                    target.chmod(target.stat().st_mode | 0o111)


def _is_program(path: Path) -> bool:
    """Whether a file is a script or a program by how it begins: a bundle keeps no modes."""
    with path.open("rb") as stream:
        return stream.read(4).startswith((b"#!", b"\x7fELF"))


def _unpacked(root: Path) -> Iterator[str]:
    """Of an unpacked bundle, the small files: everything but results and runs."""
    for path in root.rglob("*"):
        relative = path.relative_to(root)
        if path.is_file() and relative.parts[0] not in ("runs", "golden_traces") and "result" not in relative.parts:
            yield relative.as_posix()
