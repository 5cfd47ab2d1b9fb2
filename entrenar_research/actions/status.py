"""The quick look: what is up to date and what is not, by size, time and inode where a file was hashed before."""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from entrenar_research.actions import seal
from entrenar_research.actions.hermetic import inside
from entrenar_research.actions.running import recipes, surroundings
from entrenar_research.core import pins, recipe
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git


class State(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as it stands: `state` is up to date, stale, never run or invalid; `why` says so in words."""

    name: str
    state: str
    why: tuple[str, ...]
    last_run: str | None
    runs: int
    seal: str | None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """A study as it stands. `unfinished` counts runs that are going on, or whose process died.

    `repository` is false where there is no Git: then `commit` is None and nothing is said about changes.
    """

    title: str
    repository: bool
    commit: str | None
    changed: tuple[str, ...]
    untracked: int
    experiments: tuple[State, ...]
    golden: tuple[str, ...]
    unfinished: int


def status(study: StudyFiles, git: Git, environment: Mapping[str, str]) -> Status:
    """Looks, changes nothing but its own cache.

    Raises:
        InvalidFileError: if `study.yaml` is malformed.
    """
    description = study.study()
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    repository = git.exists()
    commit = git.head() if repository else None
    tags = git.tags() if commit else {}
    states = tuple(_state(study, name, hasher, tags, environment) for name in study.experiment_names())
    hasher.save()
    waiting = study.state / "staging"
    return Status(
        title=description.title,
        repository=repository,
        commit=commit,
        changed=git.changed() if commit else (),
        untracked=len(git.untracked()) if repository else 0,
        experiments=states,
        golden=GoldenFiles(study.root).names(),
        unfinished=len(os.listdir(waiting)) if waiting.is_dir() else 0,
    )


def _state(
    study: StudyFiles, name: str, hasher: Hasher, tags: Mapping[str, str], environment: Mapping[str, str]
) -> State:
    runs = RunFiles(study.root)
    last = runs.latest(name)
    state = State(
        name=name,
        state="never run",
        why=(),
        last_run=last.id if last else None,
        runs=sum(1 for run_id in runs.ids() if f"-{name}-" in run_id),
        seal=seal.newest(tags, "experiment", name),
    )
    try:
        why = _reasons(study, name, last, hasher, environment)
    except ResearchError as error:
        return msgspec.structs.replace(state, state="invalid", why=(error.message,))
    if last is None:
        return msgspec.structs.replace(state, why=why)
    return msgspec.structs.replace(state, state="stale" if why else "up to date", why=why)


def _reasons(
    study: StudyFiles, name: str, last: RunRecord | None, hasher: Hasher, environment: Mapping[str, str]
) -> tuple[str, ...]:
    experiment = study.experiment(name)
    declaration = experiment.declaration
    ingredients = recipes.gather(study, experiment, hasher)
    drift = DvcFiles(study.root).drift(experiment) if DvcFiles(study.root).present() else ()
    if last is None:
        return drift
    variables = {**environment, **pins.pinned(declaration.plan.cpus)}
    wanted = None
    if last.environment is not None and last.environment.packages_scope == "loaded":
        wanted = last.environment.packages
    program = last.argv[0] if last.argv else ""
    if last.hermetic is not None:
        now = inside.environment(study.root, program)
    else:
        _, now = surroundings.environment(program, variables, directory=study.root, wanted=wanted)
    draft = msgspec.structs.replace(
        last,
        command=declaration.command,
        seed=declaration.seed,
        params=ingredients.params,
        code=ingredients.code,
        inputs=ingredients.inputs,
        environment=now,
    )
    words = list(recipe.differences(last, draft))
    if not (study.root / experiment.result).is_dir():
        words.append("its result is missing")
    elif hasher.describe(experiment.result)[0].digest != last.result:
        words.append(f"its result is not that of run {last.id}")
    return (*words, *recipe.undelivered(experiment, last), *drift)
