"""Merging another copy of the study that was continued as well: its runs are united with ours, whole or not at all.

Nothing is changed as long as there is a conflict. Runs are staged, checked by their `SHA256SUMS`, written to the
disk, and then put in place one by one, parents before children, each in one step: a process that is killed leaves
whole runs, and the same command does the rest. What is in the other copy is only read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions.runs import lineage, merging_results
from entrenar_research.actions.runs.merging_results import Prefer, Standing
from entrenar_research.client import liveness
from entrenar_research.core.lineage.graph import Dag
from entrenar_research.core.tracking import copies
from entrenar_research.core.tracking.copies import Copy, Judgement
from entrenar_research.errors import IntegrityError, ResearchError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, locks
from entrenar_research.store.foreign import run_copies
from entrenar_research.store.logged import log
from entrenar_research.store.run_files import RECORD, RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.study_root import STUDY_FILE
from entrenar_research.tools.git import Git

Progress = Callable[[int, int], None]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A run, or what else it is about, and what is to be said of it."""

    run: str
    why: str


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge did, or would do: runs copied, runs replaced by the other copy's, runs left out, experiments.

    With `conflicts` nothing was done at all.
    """

    copied: tuple[str, ...] = ()
    replaced: tuple[Named, ...] = ()
    left_out: tuple[Named, ...] = ()
    conflicts: tuple[Named, ...] = ()
    experiments: tuple[Standing, ...] = ()

    @property
    def wanting(self) -> bool:
        """Whether something is left for a person to decide or do."""
        return bool(self.conflicts) or any(item.next is not None for item in self.experiments)


class _Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taken, in the order in which it is put in place, and what is to be said."""

    merged: Merged
    order: tuple[str, ...]
    theirs: dict[str, lineage.Relative]
    ours: dict[str, lineage.Relative]
    dag: Dag


def merge(
    study: StudyFiles, other: StudyFiles, *, prefer: Prefer | None = None, dry: bool = False,
    progress: Progress = lambda done, total: None,
) -> Merged:  # fmt: skip
    """Unites the runs of `other` with those of `study`; with `dry` nothing is written, and only said what would be.

    `prefer` decides between results of which neither descends from the other; with `theirs`, the result and the
    entry in `dvc.lock` are taken over as well, where that can be done from the files alone.

    Raises:
        UsageError: if `other` is this study, or no copy of it.
        StorageError: if the file system refuses; runs that were put in place before are whole and stay.
    """
    _refuse_strangers(study, other)
    if dry:
        return _judged(study, other, _plan(study, other), prefer, take=False)
    with locks.exclusive(study.state):
        staging = study.state / "merge"
        files.remove_tree(staging)
        plan = _plan(study, other)
        plan = _staged(other, plan, staging, progress)
        if not plan.merged.conflicts:
            with files.refusals("cannot put the runs in place"):
                run_copies.settle()
                for run in plan.order:
                    run_copies.put(staging / run, RunFiles(study.root).directory(run))
        files.remove_tree(staging)
        return _judged(study, other, plan, prefer, take=prefer == "theirs")


def _judged(study: StudyFiles, other: StudyFiles, plan: _Plan, prefer: Prefer | None, *, take: bool) -> Merged:
    """The plan with the experiments whose results differ."""
    if plan.merged.conflicts:
        return plan.merged
    copy = merging_results.Sides(study=study, other=other, ours=plan.ours, theirs=plan.theirs, dag=plan.dag)
    standings = merging_results.standings(copy, prefer=prefer, take=take)
    return msgspec.structs.replace(plan.merged, experiments=standings)


def _refuse_strangers(study: StudyFiles, other: StudyFiles) -> None:
    """Raises unless both are copies of one study: they share a first commit, a run, or say the same of themselves."""
    if os.path.realpath(study.root) == os.path.realpath(other.root):
        raise UsageError(f"{other.root} is this study itself: expected another copy of it")
    if _first_commits(study.root) & _first_commits(other.root):
        return
    if set(RunFiles(study.root).ids()) & set(RunFiles(other.root).ids()):
        return
    if files.read_text(study.root / STUDY_FILE) == files.read_text(other.root / STUDY_FILE):
        return
    raise UsageError(
        f"{other.root} is no copy of this study: no commit, no run and not the description are the same",
        hint="merge a clone of this study, or a copy of its directory",
    )


def _first_commits(root: Path) -> set[str]:
    try:
        git = Git(root)
        return set(git.call("rev-list", "--max-parents=0", "HEAD", check=False).text.split()) if git.exists() else set()
    except ResearchError:  # no Git here, or a copy that belongs to somebody else
        return set()


def _plan(study: StudyFiles, other: StudyFiles) -> _Plan:
    ours = lineage.load(study).members
    theirs: dict[str, lineage.Relative] = {}
    taken: dict[str, str] = {}
    left_out, conflicts = [], []
    for run in RunFiles(other.root).ids():
        try:
            record, judgement = _judge(study, other, run, known=run in ours)
        except ResearchError as error:
            conflicts.append(Named(run=run, why=f"cannot be read there: {error.message}"))
            continue
        if record is not None:
            theirs[run] = lineage.relative(record)
        elif run in ours:
            theirs[run] = ours[run]
        if judgement.verdict == "take":
            taken[run] = judgement.why
        elif judgement.verdict == "now":
            left_out.append(Named(run=run, why=judgement.why))
            theirs.pop(run, None)
        elif judgement.verdict == "conflict":
            conflicts.append(Named(run=run, why=judgement.why))
    dag = lineage.family({**ours, **{run: theirs[run] for run in taken}}.values()).dag
    conflicts += [Named(run=cycle[0], why=f"comes from itself: {' -> '.join(cycle)}") for cycle in dag.cycles()]
    present = {run for run in taken if (RunFiles(study.root).directory(run) / RECORD).is_file()}
    merged = Merged(
        copied=tuple(run for run in taken if run not in present),
        replaced=tuple(Named(run=run, why=why) for run, why in taken.items() if run in present),
        left_out=tuple(left_out),
        conflicts=tuple(conflicts),
    )
    order = tuple(run for run in dag.order() if run in taken)
    return _Plan(merged=merged, order=order, theirs=theirs, ours=ours, dag=dag)


def _judge(study: StudyFiles, other: StudyFiles, run: str, *, known: bool) -> tuple[RunRecord | None, Judgement]:
    """Their record of a run, None if it is the same as ours, and what is to become of it."""
    here, there = RunFiles(study.root), RunFiles(other.root)
    mine = run_copies.listing(here.directory(run), f"runs/{run}")
    listed = run_copies.listing(there.directory(run), f"{there.directory(run)}")
    if known and listed is not None and mine == listed:
        return None, Judgement(verdict="keep", why="the same")
    record = there.load(run)
    if record.id != run:
        raise IntegrityError(f"{there.directory(run)}/{RECORD} is the record of another run, {record.id}")
    theirs = _copy(there, record, listed)
    if not (here.directory(run) / RECORD).is_file():
        return record, copies.judge_new(theirs)
    return record, copies.judge(_copy(here, here.load(run), mine), theirs)


def _copy(runs: RunFiles, record: RunRecord, listing: Mapping[str, str] | None) -> Copy:
    directory = runs.directory(record.id)
    if listing is not None:
        return Copy(record=record, listing=listing, series=record.series)
    series = log.logged(directory).series
    return Copy(record=record, listing=None, series=series, alive=liveness.alive(directory))


def _staged(other: StudyFiles, plan: _Plan, staging: Path, progress: Progress) -> _Plan:
    """Copies and checks what is to be taken; what turns out to be damaged is a conflict."""
    if plan.merged.conflicts:
        return plan
    conflicts = []
    for number, run in enumerate(plan.order):
        progress(number, len(plan.order))
        for words in _stage(other, run, staging):
            conflicts.append(Named(run=run, why=words))
    progress(len(plan.order), len(plan.order))
    if not conflicts:
        return plan
    return msgspec.structs.replace(plan, merged=msgspec.structs.replace(plan.merged, conflicts=tuple(conflicts)))


def _stage(other: StudyFiles, run: str, staging: Path) -> Iterator[str]:
    source = RunFiles(other.root).directory(run)
    try:
        run_copies.stage(source, staging / run, str(source))
    except IntegrityError as error:
        yield error.message
        return
    damage = run_copies.damage(staging / run, str(source))
    if damage is not None:
        yield f"damaged there: {damage}"
