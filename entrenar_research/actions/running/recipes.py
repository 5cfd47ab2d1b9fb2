"""Drafting a run's record: everything that goes in, described and hashed before anything is executed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from entrenar_research.errors import UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import FileDigest
from entrenar_research.store import files
from entrenar_research.store.hashing import FileHash, Hasher
from entrenar_research.store.study_files import StudyFiles


class Ingredients(msgspec.Struct, frozen=True, kw_only=True):
    """What an experiment is made from, as it is now. `files` holds every single file below the inputs."""

    params: dict[str, Any]
    code: tuple[FileDigest, ...]
    inputs: tuple[FileDigest, ...]
    params_file: FileDigest | None
    files: dict[str, FileHash]

    @property
    def dependencies(self) -> tuple[FileDigest, ...]:
        """What DVC calls dependencies: code and inputs, each once."""
        return tuple({item.path: item for item in (*self.code, *self.inputs)}.values())


def gather(study: StudyFiles, experiment: Experiment, hasher: Hasher) -> Ingredients:
    """Describes and hashes the code, the inputs and the parameters of an experiment.

    Raises:
        UsageError: if a declared file is missing or leads out of the study.
        InvalidFileError: if the params file is malformed.
    """
    declaration = experiment.declaration
    params = study.params(experiment)
    every: dict[str, FileHash] = {}
    code = _describe(study, experiment, declaration.code, "code file", hasher, every)
    inputs = _describe(study, experiment, declaration.inputs, "input", hasher, every)
    params_file = None
    if declaration.params is not None:
        params_file = _describe(study, experiment, (declaration.params,), "params file", hasher, every)[0]
    return Ingredients(params=params, code=code, inputs=inputs, params_file=params_file, files=every)


def _describe(
    study: StudyFiles,
    experiment: Experiment,
    paths: Iterable[str],
    what: str,
    hasher: Hasher,
    every: dict[str, FileHash],
) -> tuple[FileDigest, ...]:
    found = []
    for path in paths:
        place = files.contained(study.root, path, what=what)
        if not place.exists():
            raise UsageError(
                f"missing {what}: {path} (declared in {experiment.file})",
                hint=_where_to_get(study, path),
            )
        digest, below = hasher.describe(path)
        every.update(below)
        found.append(digest)
    return tuple(found)


def _where_to_get(study: StudyFiles, path: str) -> str:
    if (study.root / f"{path}.dvc").is_file():
        return f"it is under DVC: fetch it with `dvc pull {path}` or `dvc checkout {path}`"
    parts = path.split("/")
    if len(parts) > 2 and parts[0] == "experiments" and parts[2] == "result":
        return f"it is a result of {parts[1]}: make it with `entrenar-research run {parts[1]}`"
    return "put the file there, or correct the path in the declaration"
