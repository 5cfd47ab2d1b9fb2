"""Experiments as Nix is told of them: `nix/experiments.json`, made from the declarations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions.running import recipes
from entrenar_research.core import recipe
from entrenar_research.core.nix import store_paths
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.hermetic import Data, HermeticJob, HermeticJobs, Moved
from entrenar_research.models.run import FileDigest
from entrenar_research.store import files, locks, nar
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

FILE: Final = "nix/experiments.json"
SCHEMA: Final = 1


def job(
    study: StudyFiles, experiment: Experiment, ingredients: recipes.Ingredients, tracked: frozenset[str]
) -> HermeticJob:
    """The experiment as it is declared now: its files that Git tracks, and its data by digest.

    Raises:
        UsageError: if a placeholder of the command is unknown.
        StorageError: if a directory of data cannot be read.
    """
    declaration = experiment.declaration
    command = recipe.expand(
        declaration.command,
        result=experiment.result,
        params_file=declaration.params,
        seed=declaration.seed,
        params=recipe.dotted(ingredients.params),
    )
    below = {item.path: _below(item.path, ingredients) for item in ingredients.dependencies}
    data = [item for item in ingredients.inputs if not tracked.issuperset(below[item.path])]
    apart = {item.path for item in data}
    taken = {path for item in ingredients.dependencies if item.path not in apart for path in below[item.path]}
    if declaration.params is not None:
        taken.add(declaration.params)
    return HermeticJob(
        command=tuple(command),
        result=experiment.result,
        files=tuple(sorted(taken)),
        data=tuple(_data(study.root, item) for item in sorted(data, key=lambda item: item.path)),
        outputs=tuple(
            item if isinstance(item, str) else Moved(path=item.path, source=item.source) for item in declaration.outputs
        ),
    )


def refresh(study: StudyFiles, announce: Callable[[str], None]) -> None:
    """Writes the file for every experiment; `announce` is told of one that is left out, as its files are not all here.

    Raises:
        InvalidFileError: if a declaration is wrong.
        StorageError: if the file cannot be written.
    """
    tracked = tracked_files(study)
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    found: dict[str, HermeticJob] = {}
    for experiment in study.experiments():
        try:
            ingredients = recipes.gather(study, experiment, hasher)
            found[experiment.name] = job(study, experiment, ingredients, tracked)
        except UsageError as error:
            announce(f"{FILE}: without {experiment.name}: {error.message}")
    hasher.save()
    files.write_atomically(study.root / FILE, encode(HermeticJobs(schema=SCHEMA, experiments=found)))


def tracked_files(study: StudyFiles) -> frozenset[str]:
    """What Git tracks: what a flake of the study sees."""
    return frozenset(Git(study.root).listed())


def encode(found: HermeticJobs) -> bytes:
    """The text of the file: sorted and indented, the same for the same experiments."""
    return msgspec.json.format(msgspec.json.encode(found, order="sorted"), indent=2) + b"\n"


def write(study: StudyFiles, name: str, made: HermeticJob) -> None:
    """Brings one experiment up to date in the study's file; the others stay as they are there.

    Raises:
        InvalidFileError: if the file is there and no such file.
        StorageError: if it cannot be written.
    """
    if read(study.root).experiments.get(name) == made:
        return
    with locks.exclusive(study.state):  # another run may write its own entry at the same time
        changed: Mapping[str, HermeticJob] = {**read(study.root).experiments, name: made}
        files.write_atomically(
            study.root / FILE, encode(HermeticJobs(schema=SCHEMA, experiments=dict(sorted(changed.items()))))
        )


def read(root: Path) -> HermeticJobs:
    """What the study's file says; nothing if it is not there.

    Raises:
        InvalidFileError: if it is malformed.
    """
    path = root / FILE
    if not path.is_file():
        return HermeticJobs(schema=SCHEMA, experiments={})
    try:
        found = msgspec.json.decode(files.read_text(path, shown=FILE), type=HermeticJobs)
    except msgspec.DecodeError as error:
        hint = f"delete {FILE}; the next hermetic run writes it anew"
        raise InvalidFileError(f"{FILE}: {error}", hint=hint) from error
    if found.schema != SCHEMA:
        raise InvalidFileError(f"{FILE}: expected schema {SCHEMA}, found {found.schema}: written by a newer version?")
    return found


def _below(path: str, ingredients: recipes.Ingredients) -> frozenset[str]:
    """The files that a declared path stands for."""
    prefix = f"{path.rstrip('/')}/"
    return frozenset(item for item in ingredients.files if item == path or item.startswith(prefix))


def _data(root: Path, item: FileDigest) -> Data:
    name = item.path.rstrip("/").rpartition("/")[2]
    store = name if store_paths.is_name(name) else "data"
    if (root / item.path).is_dir():
        return Data(path=item.path, store=store, nar=nar.directory_hash(root / item.path))
    return Data(path=item.path, store=store, sha256=item.digest.removeprefix("sha256:"))
