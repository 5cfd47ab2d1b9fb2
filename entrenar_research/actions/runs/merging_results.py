"""Which result of an experiment counts, after two copies of a study were both continued.

It is decided by descent: the run that comes from the other, or, where the runs say nothing, the copy whose Git history
has the other's `dvc.lock` entry in it. Otherwise they are concurrent, and a person prefers one. Clocks and ids
decide nothing, nor do Lamport times.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from entrenar_research.actions.running import conclusion
from entrenar_research.actions.runs.lineage import Relative
from entrenar_research.core import recipe
from entrenar_research.core.lineage.graph import Dag
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files
from entrenar_research.store.dvc_files import LOCK, DvcFiles
from entrenar_research.store.foreign import run_copies
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

Prefer = Literal["ours", "theirs"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment whose result differs between the copies: the run behind each, which counts, and why.

    `taken` says that their result is now in place and in `dvc.lock`; `next` is what remains to be done, if anything.
    """

    experiment: str
    ours: str | None
    theirs: str | None
    choice: Literal["ours", "theirs", "concurrent"]
    why: str
    taken: bool = False
    next: str | None = None


class Sides(msgspec.Struct, frozen=True, kw_only=True):
    """Both copies, the runs of each as they were before the merge, and the graph of all of them together."""

    study: StudyFiles
    other: StudyFiles
    ours: Mapping[str, Relative]
    theirs: Mapping[str, Relative]
    dag: Dag


def standings(sides: Sides, *, prefer: Prefer | None, take: bool) -> tuple[Standing, ...]:
    """The experiments whose results differ; with `take`, theirs are put in place where they count and where it is safe.

    Raises:
        StorageError: if the file system refuses.
    """
    names = {item.experiment for item in (*sides.ours.values(), *sides.theirs.values()) if item.result is not None}
    found = []
    for name in sorted(names):
        ours, theirs = _standing(sides.study, sides.ours, name), _standing(sides.other, sides.theirs, name)
        if theirs is None or (ours is not None and ours.result == theirs.result):
            continue
        standing = _decided(sides, name, ours, theirs, prefer)
        if standing.choice == "theirs" and take:
            standing = _taken(sides, standing, theirs)
        found.append(_with_next(sides, standing))
    return tuple(found)


def _standing(study: StudyFiles, runs: Mapping[str, Relative], name: str) -> Relative | None:
    """The run whose result stands in a copy: as `dvc.lock` has it, else as the files are; else the last by id."""
    good = [item for _, item in sorted(runs.items()) if item.experiment == name and item.result is not None]
    good = [item for item in good if item.status == "completed"]
    place = f"experiments/{name}/result"
    try:
        entry = DvcFiles(study.root).locked().get(name) or {}
        locked = {out.get("md5") for out in entry.get("outs") or () if out.get("path") == place}
    except (ResearchError, AttributeError):
        locked = set()
    fitting = [item for item in good if item.result_md5 in locked]
    if not fitting and not locked and (study.root / place).is_dir():
        now = Hasher(study.root).describe(place)[0].digest
        fitting = [item for item in good if item.result == now]
    found = fitting or good
    return found[-1] if found else None


def _decided(sides: Sides, name: str, ours: Relative | None, theirs: Relative, prefer: Prefer | None) -> Standing:
    if ours is None:
        return Standing(experiment=name, ours=None, theirs=theirs.id, choice="theirs", why="it has a result only there")
    standing = Standing(experiment=name, ours=ours.id, theirs=theirs.id, choice="concurrent", why="")
    order = sides.dag.resolve(ours.id, theirs.id)
    if order in ("ours", "theirs"):
        one, other = (ours, theirs) if order == "ours" else (theirs, ours)
        why = f"{one.id} descends from {other.id}"
        return msgspec.structs.replace(standing, choice="ours" if order == "ours" else "theirs", why=why)
    here = _knew(sides.study, theirs)
    there = _knew(sides.other, ours)
    if here != there:
        where = "here" if here else "there"
        why = f"it was made {where} after the other one: the Git history {where} has that in {LOCK}"
        return msgspec.structs.replace(standing, choice="ours" if here else "theirs", why=why)
    why = "neither comes from the other"
    if prefer is not None:
        return msgspec.structs.replace(standing, choice=prefer, why=f"{why}; you prefer {prefer}")
    return msgspec.structs.replace(standing, why=why)


def _knew(study: StudyFiles, run: Relative) -> bool:
    """Whether a commit in the history of this copy has the result of that run in `dvc.lock`."""
    if run.result_md5 is None:
        return False
    try:
        options = ("-1", "--format=%H", "--no-ext-diff", "--no-textconv", f"-S{run.result_md5}")
        return bool(Git(study.root).call("log", *options, "HEAD", "--", LOCK, check=False).text)
    except ResearchError:  # no Git, or a copy that belongs to somebody else
        return False


def _taken(sides: Sides, standing: Standing, theirs: Relative) -> Standing:
    """Their result in place and in `dvc.lock`, if the study here would have made it from the same recipe."""
    record = RunFiles(sides.study.root).load(theirs.id)
    obstacle = _obstacle(sides, record)
    if obstacle is not None:
        return msgspec.structs.replace(standing, next=obstacle)
    experiment = sides.study.experiment(record.experiment)
    staged = sides.study.state / "merge" / "result"
    files.remove_tree(staged.parent)
    run_copies.stage(sides.other.root / experiment.result, staged, str(sides.other.root / experiment.result))
    if Hasher(staged.parent).describe("result")[0].digest != record.result:
        words = f"{experiment.result} there changed while it was copied; merge again"
        return msgspec.structs.replace(standing, next=words)
    run_copies.put(staged, sides.study.root / experiment.result)
    conclusion.update_lock(sides.study, experiment, record)
    files.remove_tree(staged.parent)
    return msgspec.structs.replace(standing, taken=True)


def _obstacle(sides: Sides, record: RunRecord) -> str | None:
    """What has to be done before their result can stand here, or None."""
    name = record.experiment
    declared = f"experiments/{name}/experiment.yaml"
    again = "then merge again"
    try:
        here, there = (files.read_text(root / declared) for root in (sides.study.root, sides.other.root))
        experiment = sides.study.experiment(name)
        params = sides.study.params(experiment)
    except ResearchError:
        return f"bring {declared} and what it names over with Git, {again}"
    if here != there:
        return f"{declared} differs: bring it over with Git, {again}"
    if recipe.declared_params(record) != params:
        return f"the parameters of {name} differ: bring {experiment.declaration.params} over with Git, {again}"
    for item in (*record.code, *record.inputs):
        if not (sides.study.root / item.path).exists() or _digest(sides.study.root, item.path) != item.digest:
            return f"{item.path} is not what run {record.id} used: bring it over with Git or DVC, {again}"
    place = experiment.result
    if not (sides.other.root / place).is_dir() or _digest(sides.other.root, place) != record.result:
        return f"{place} there is not what run {record.id} made: `dvc checkout` there, {again}"
    return None


def _digest(root: Path, path: str) -> str:
    return Hasher(root).describe(path)[0].digest


def _with_next(sides: Sides, standing: Standing) -> Standing:
    """The next step: what stands in `result/` has to be that of the last run, or the experiment is run again."""
    name = standing.experiment
    if standing.choice == "concurrent":
        words = "`--prefer ours` or `--prefer theirs` decides"
    elif standing.choice == "theirs" and not standing.taken:
        words = standing.next or f"`--prefer theirs` takes it over, or `entrenar-research run {name}` makes it anew"
    else:
        chosen = standing.theirs if standing.choice == "theirs" else standing.ours
        runs = (*sides.ours.values(), *sides.theirs.values())
        last = max(item.id for item in runs if item.experiment == name and item.status == "completed")
        if last == chosen:
            return standing
        words = f"`entrenar-research run {name}`: the result that counts is not that of the last run, {last}"
    return msgspec.structs.replace(standing, next=words)
