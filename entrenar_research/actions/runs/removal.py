"""Removing runs: not while they live, and not where something else stands on them, unless it is insisted on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from entrenar_research.client import liveness
from entrenar_research.errors import ResearchError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, locks, run_files
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.tools.git import Git


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A run that is to go: its experiment and status (None if its record cannot be read), and what stands on it."""

    run: str
    experiment: str | None
    status: str | None
    held_by: tuple[str, ...]


def candidates(study: StudyFiles, git: Git, named: Sequence[str], *, force: bool) -> tuple[Candidate, ...]:
    """The runs named, each once; what is removed together does not hold each other.

    Raises:
        UsageError: if one is unknown, lives, or (without `force`) something stands on it.
    """
    runs = RunFiles(study.root)
    ids = tuple(dict.fromkeys(_resolved(runs, name) for name in named))
    for run_id in ids:
        _refuse_alive(runs, run_id)
    seals = _seals(git)
    found = tuple(_candidate(study, run_id, ids, seals) for run_id in ids)
    if not force:
        for item in found:
            if item.held_by:
                raise UsageError(
                    f"run {item.run} stays: {'; '.join(item.held_by)}",
                    hint="--force removes it all the same; what stands on it can then no longer be checked",
                )
    return found


def _resolved(runs: RunFiles, name: str) -> str:
    if (runs.directory(name) / run_files.RECORD).is_file():
        return name  # by its id even a run whose record cannot be read
    return runs.resolve(name).id


def _refuse_alive(runs: RunFiles, run_id: str) -> None:
    if liveness.alive(runs.directory(run_id)):
        raise UsageError(
            f"run {run_id} is going on: a process writes it", hint="end it first, or wait until it has ended"
        )


def _seals(git: Git) -> Mapping[str, frozenset[str]]:
    """Which runs each tag's commit holds."""
    if not git.exists():
        return {}
    found = {}
    for tag in git.tags():
        try:
            paths = [entry.path.split("/", 2) for entry in git.tree(f"refs/tags/{tag}", "runs")]
        except ResearchError:  # a tag that leads nowhere holds nothing
            continue
        found[tag] = frozenset(parts[1] for parts in paths if len(parts) > 1)
    return found


def _candidate(study: StudyFiles, run_id: str, going: Sequence[str], seals: Mapping[str, frozenset[str]]) -> Candidate:
    try:
        record: RunRecord | None = RunFiles(study.root).load(run_id)
    except ResearchError:
        record = None
    held = [
        *_standing(study, run_id, record),
        *(f"the tag {tag} holds it" for tag in sorted(seals) if run_id in seals[tag]),
    ]
    held += [f"run {child} comes from it" for child in _children(study, run_id) if child not in going]
    return Candidate(
        run=run_id,
        experiment=record.experiment if record else None,
        status=record.status if record else None,
        held_by=tuple(held),
    )


def _standing(study: StudyFiles, run_id: str, record: RunRecord | None) -> Iterator[str]:
    """Golden traces made of the run, the sweep it is a trial of, and the result that lies in its experiment."""
    golden = GoldenFiles(study.root)
    for name in golden.names():
        try:
            if golden.load(name).run == run_id:
                yield f"the golden trace {name} was made of it"
        except ResearchError:  # `verify` names it
            continue
    if record is not None and record.trial is not None and record.trial.sweep in SweepFiles(study).names():
        yield f"it is trial {record.trial.number} of the sweep {record.trial.sweep}"
    if record is not None and record.experiment in study.experiment_names():
        last = RunFiles(study.root).latest(record.experiment)
        if last is not None and last.id == run_id:
            yield f"it made the result of {record.experiment}"


def _children(study: StudyFiles, run_id: str) -> Iterator[str]:
    """Runs that name this one as a parent."""
    runs = RunFiles(study.root)
    for other in runs.ids():
        if other == run_id:
            continue
        try:
            if run_id in files.read_text(runs.directory(other) / run_files.RECORD):
                lineage = runs.load(other).lineage
                if lineage is not None and any(parent.run == run_id for parent in lineage.parents):
                    yield other
        except ResearchError:
            continue


def remove(study: StudyFiles, run_ids: Sequence[str]) -> None:
    """Removes runs: each is moved out of `runs/` in one step, then deleted.

    Raises:
        UsageError: if one lives by now.
        StorageError: if the file system refuses.
    """
    runs = RunFiles(study.root)
    trash = study.state / "removed"
    with locks.recovery(study.state):
        files.remove_tree(trash)  # what a removal left that was cut short
        for run_id in run_ids:
            _refuse_alive(runs, run_id)
            with files.refusals(f"cannot remove run {run_id}"):
                trash.mkdir(parents=True, exist_ok=True)
                runs.directory(run_id).rename(trash / run_id)
        files.remove_tree(trash)
