"""Sealing: DVC commit, Git commit, signed tag - a version that somebody vouches for.

Killed at any moment, the same command makes what is missing: nothing is committed or tagged twice. A lock file
of Git (`index.lock`) that a killed Git left behind is not removed: it does not tell whose it is, and its owner
may be an editor or a program on another machine. We wait for it for a while, then say what to do.
"""

from __future__ import annotations

import datetime
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions import data, golden
from entrenar_research.actions.running import conclusion
from entrenar_research.actions.runs import recovery
from entrenar_research.actions.sweeps import look
from entrenar_research.errors import ResearchError, ToolError, UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import RunRecord
from entrenar_research.store import locks
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.tools import ssh_keygen
from entrenar_research.tools.git import Git, TagCheck

_COMMON = (
    "study.yaml", "dvc.yaml", "dvc.lock", "keys/allowed_signers", "CITATION.cff", "README.md",
    ".gitignore", ".gitattributes", ".dvcignore", ".dvc/config", ".dvc/.gitignore", "renacer.toml",
)  # fmt: skip
_LOCKED = re.compile(r"'([^']+\.lock)': File exists|Another git process seems to be running")
_LOCK_SECONDS = 3.0
_POLL_SECONDS = 0.1
_STATED = re.compile(r"^(run|recipe|result|trace): (\S+)$", re.MULTILINE)


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A sealed version: its tag, the commit it names, who signed it; `left_out` are files no commit holds."""

    tag: str
    commit: str
    signer: str
    fingerprint: str
    left_out: tuple[str, ...]


def newest(tags: Mapping[str, str], kind: str, name: str) -> str | None:
    """The tag with the highest version of `kind/name`, or None."""
    pattern = re.compile(rf"{kind}/{re.escape(name)}/v(\d+)")
    versions = [(int(match.group(1)), tag) for tag in tags if (match := pattern.fullmatch(tag))]
    return max(versions)[1] if versions else None


def statement(text: str) -> dict[str, str]:
    """What a seal's message states: run, recipe, result, trace."""
    return dict(_STATED.findall(text.partition("-----BEGIN SSH SIGNATURE-----")[0]))


def seal_experiment(study: StudyFiles, git: Git, name: str, message: str, key: Path) -> Sealed:
    """Seals the last good run of an experiment, its result, code and inputs.

    Raises:
        UsageError: if it has no completed run, or its result is not that run's.
        ResearchError: if the signature that was made would not be accepted by the study.
    """
    experiment = study.experiment(name)
    conclusion.recover(study)
    with locks.exclusive(study.state):
        return _seal_experiment(study, git, experiment, message, key)


def _seal_experiment(study: StudyFiles, git: Git, experiment: Experiment, message: str, key: Path) -> Sealed:
    name = experiment.name
    record = RunFiles(study.root).latest(name)
    if record is None:
        raise UsageError(f"{name} has no completed run to seal", hint=f"run it with `entrenar-research run {name}`")
    _refuse_stale(study, experiment, record)
    paths = [*_experiment_paths(study, experiment), f"runs/{record.id}"]
    paths += [f"runs/{run.id}" for run in RunFiles(study.root).records(name) if run.status != "running"]
    stated = f"run: {record.id}\nrecipe: {record.recipe}\nresult: {record.result}"
    return _seal(study, git, "experiment", name, f"{message}\n\n{stated}", paths, key)


def seal_golden(study: StudyFiles, git: Git, name: str, message: str, key: Path) -> Sealed:
    """Seals a golden trace.

    Raises:
        UsageError: if there is no such golden trace.
        IntegrityError: if it is damaged.
        ResearchError: if the signature that was made would not be accepted by the study.
    """
    record, _ = golden.load(study, name)
    golden_files = GoldenFiles(study.root)
    place = golden_files.relative(name)
    data.track(study, f"{place}/{name}.json")
    told = [path for path in (golden_files.analysis, golden_files.retired) if path.is_file()]
    paths = [place, f"runs/{record.run}", *(path.relative_to(study.root).as_posix() for path in told)]
    stated = f"run: {record.run}\ntrace: {record.trace_id}"
    with locks.exclusive(study.state):
        return _seal(study, git, "golden", name, f"{message}\n\n{stated}", paths, key)


def seal_sweep(study: StudyFiles, git: Git, name: str, message: str, key: Path) -> Sealed:
    """Seals a sweep: its declaration, its journal, the runs of its trials, and by DVC the results that are kept.

    Raises:
        UsageError: if there is no such sweep, somebody is at work on it, or none of its trials is completed.
        ResearchError: if the signature that was made would not be accepted by the study.
    """
    now, best = look.best_of(study, name)
    if now.workers:
        raise UsageError(f"{name} is being carried out ({now.workers} at work)", hint="seal it when it has ended")
    runs, places = RunFiles(study.root), SweepFiles(study)
    made = [trial.run for trial in now.standing.trials if trial.run and runs.directory(trial.run).is_dir()]
    unsealed = [run for run in made if not runs.closed(run)]
    if unsealed:
        recovery.recover(study, unsealed, now=datetime.datetime.now(datetime.UTC))
    if places.kept(name):
        data.track(study, f"{now.sweep.directory}/results")
    record = runs.load(best.run)
    paths = [now.sweep.directory, *(f"runs/{run}" for run in made)]
    if now.sweep.declaration.experiment is not None:
        paths += _experiment_paths(study, study.experiment(now.sweep.declaration.experiment))
    stated = "\n".join(f"{key}: {item}" for key, item in _stated_of(record).items() if item is not None)
    with locks.exclusive(study.state):
        return _seal(study, git, "sweep", name, f"{message}\n\n{stated}", paths, key)


def _stated_of(record: RunRecord) -> dict[str, str | None]:
    return {"run": record.id, "recipe": record.recipe, "result": record.result}


def _refuse_stale(study: StudyFiles, experiment: Experiment, record: RunRecord) -> None:
    place = study.root / experiment.result
    if not place.is_dir() or Hasher(study.root).describe(experiment.result)[0].digest != record.result:
        raise UsageError(
            f"{experiment.result} is not what run {record.id} made",
            hint=f"bring it back with `dvc checkout`, or run `entrenar-research run {experiment.name}`",
        )
    for item in (*record.code, *record.inputs):
        if not (study.root / item.path).exists():
            raise UsageError(f"{item.path} is missing; run {record.id} used it")
        if Hasher(study.root).describe(item.path)[0].digest != item.digest:
            raise UsageError(
                f"{item.path} changed since run {record.id}",
                hint=f"run it again with `entrenar-research run {experiment.name}`, then seal",
            )


def _experiment_paths(study: StudyFiles, experiment: Experiment) -> list[str]:
    """What Git is to hold of an experiment; for data under DVC the pointer, not the data."""
    pointers = DvcFiles(study.root).pointers()
    declaration = experiment.declaration
    paths = [experiment.file, f"{experiment.directory}/.gitignore"]
    for path in (
        *declaration.code,
        *declaration.inputs,
        *((declaration.params,) if declaration.params else ()),
    ):
        pointer = pointers.get(path)
        if pointer is not None:
            parent = Path(path).parent.as_posix()
            paths += [pointer["pointer"], ".gitignore" if parent == "." else f"{parent}/.gitignore"]
        elif not _is_result(path):
            paths.append(path)
    return paths


def _is_result(path: str) -> bool:
    parts = path.split("/")
    return len(parts) > 2 and parts[0] == "experiments" and parts[2] == "result"


def _seal(study: StudyFiles, git: Git, kind: str, name: str, message: str, paths: list[str], key: Path) -> Sealed:
    if git.identity() is None:
        raise UsageError(
            "Git does not know who you are; a seal names its author",
            hint="git config --global user.name 'Your Name'; git config --global user.email you@example.org",
        )
    wanted = sorted({path for path in (*_COMMON, *paths) if (study.root / path).exists()})
    _unlocked(git, lambda: git.commit(f"Seal {kind} {name}: {message.splitlines()[0]}", wanted))
    previous = newest(git.tags(), kind, name)
    if previous is not None and _says(git, previous, message):
        check = git.verify_tag(previous, study.allowed_signers)
        if check.good and check.fingerprint == ssh_keygen.fingerprint(ssh_keygen.public_line(key)):
            return _sealed(git, previous, check)  # all but the report was done before
    version = int(previous.rpartition("v")[2]) + 1 if previous else 1
    tag = f"{kind}/{name}/v{version}"
    _unlocked(git, lambda: git.sign_tag(tag, message, key))
    check = git.verify_tag(tag, study.allowed_signers)
    if not check.good:
        git.call("tag", "--delete", tag)
        raise ResearchError(
            f"the study would not accept this signature: {check.message}",
            hint="list the key with `entrenar-research keys new`, or use the one that is listed; no tag was made",
        )
    return _sealed(git, tag, check)


def _says(git: Git, tag: str, message: str) -> bool:
    """Whether a tag is of the commit that is checked out and says just this."""
    if git.tag_target(tag) != git.head():
        return False
    said = git.call("for-each-ref", "--format=%(contents:subject)%0a%0a%(contents:body)", f"refs/tags/{tag}").text
    return said.split() == message.split()


def _unlocked(git: Git, act: Callable[[], object]) -> None:
    """Lets Git write; a lock that another Git process holds is waited for.

    Raises:
        ToolError: if Git refuses, or the lock stays.
    """
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            act()
            return
        except ToolError as error:
            found = _LOCKED.search(error.message)
            if found is None:
                raise
            if time.monotonic() > deadline:
                lock = found[1] or git.call("rev-parse", "--git-path", "index.lock").text
                shown = os.path.relpath(git.root / lock, git.root)
                raise ToolError(
                    f"{shown} is there: another Git process is at work in this study, or one was killed",
                    hint=f"if none is at work (`pgrep -a git`), delete {shown} and run the same command again",
                ) from error
        time.sleep(_POLL_SECONDS)


def _sealed(git: Git, tag: str, check: TagCheck) -> Sealed:
    return Sealed(
        tag=tag,
        commit=git.tag_target(tag),
        signer=check.signer or "",
        fingerprint=check.fingerprint or "",
        left_out=git.untracked(),
    )
