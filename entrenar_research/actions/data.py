"""Putting data under DVC: the file in its cache, a `.dvc` file for Git, the data itself ignored by Git."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import PurePosixPath

from entrenar_research.errors import ResearchError
from entrenar_research.store import hashing
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import dvc

_MANY = 10


def owner(path: str, pointers: Iterable[str]) -> str | None:
    """What of `pointers` (the paths that are under DVC) `path` is or lies in, or None."""
    return next((item for item in pointers if path == item or path.startswith(f"{item}/")), None)


def is_new(path: str, tracked: Collection[str], pointers: Iterable[str]) -> bool:
    """Whether an input is data that neither Git nor DVC knows. What lies below `experiments/` is theirs to keep."""
    if path.startswith("experiments/") or owner(path, pointers) is not None:
        return False
    return not any(item == path or item.startswith(f"{path}/") for item in tracked)


def gathered(study: StudyFiles, paths: Sequence[str]) -> tuple[str, ...]:
    """The paths, with a directory in place of ten or more files that are all there is in it."""
    left = set(paths)
    folders = {parent.as_posix() for path in paths for parent in PurePosixPath(path).parents} - {".", "experiments"}
    for folder in sorted(folders, key=lambda item: (item.count("/"), item)):
        inside = {path for path in left if path.startswith(f"{folder}/")}
        if len(inside) >= _MANY and inside == _files_in(study, folder):
            left = (left - inside) | {folder}
    return tuple(sorted(left))


def _files_in(study: StudyFiles, folder: str) -> set[str]:
    try:
        return set(hashing.walk(study.root, folder))
    except ResearchError:
        return set()


def track(study: StudyFiles, *paths: str) -> None:
    """Does for each file what `dvc add` does; does nothing in a study without DVC.

    Raises:
        StorageError: if the file system refuses.
        ToolError: if the cache is of an unusual kind and `dvc add` refuses.
    """
    dvc_files = DvcFiles(study.root)
    if not paths or not dvc_files.present():
        return
    if not dvc_files.ordinary_cache() or any((study.root / path).is_dir() for path in paths):
        dvc.add(study.root, *paths)
        return
    for path in paths:
        dvc_files.add(path, Hasher(study.root).hashes([path])[path])
