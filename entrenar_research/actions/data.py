"""Putting data under DVC: the file in its cache, a `.dvc` file for Git, the data itself ignored by Git."""

from __future__ import annotations

from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import dvc


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
