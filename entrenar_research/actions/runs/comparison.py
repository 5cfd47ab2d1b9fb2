"""Comparing runs: which ones, and all that can be said about them side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.client import layout
from entrenar_research.core.tracking import comparison
from entrenar_research.core.tracking.comparison import Comparison
from entrenar_research.core.tracking.curves import Curve, ordered
from entrenar_research.errors import MissingToolError, ResearchError, UsageError
from entrenar_research.models.experiment import Goal
from entrenar_research.models.run import RunRecord
from entrenar_research.store.logged import log, points
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

_FILES = 12
_COMMIT = re.compile(r"[0-9a-f]{40,64}")


def compare(files: StudyFiles, names: Sequence[str]) -> tuple[Comparison, tuple[RunRecord, ...]]:
    """Runs side by side, and their records; a single name is compared with the good run before it.

    Raises:
        UsageError: if a name fits no run or several, or there is nothing to compare with.
    """
    store = RunFiles(files.root)
    found = store.pair(names[0], None) if len(names) == 1 else tuple(map(store.resolve, names))
    runs = tuple(with_logged(files.root, run) for run in found)
    twice = next((run.id for run in runs if sum(other.id == run.id for other in runs) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice: there is nothing to compare", hint="`runs list` has the ids")
    told = comparison.compare(runs, goals(files, runs))
    return msgspec.structs.replace(told, diffstat=_diffstat(Git(files.root), runs)), runs


def with_logged(root: Path, run: RunRecord) -> RunRecord:
    """The record of a run, with what its processes have logged so far if it is open."""
    directory = RunFiles(root).directory(run.id)
    if not (directory / layout.DIRECTORY).is_dir() or log.is_sealed(directory):
        return run
    found = log.logged(directory)
    return msgspec.structs.replace(run, series=found.series, params={**run.params, **found.notes.params})


def goals(files: StudyFiles, runs: Sequence[RunRecord]) -> dict[str, Goal]:
    """What the experiments of these runs declare their metrics to be for; nothing where they differ."""
    known: dict[str, Goal] = {}
    for name in sorted({run.experiment for run in runs}):
        try:
            metrics = files.experiment(name).declaration.metrics
        except ResearchError:  # a script by itself, or an experiment that is not declared any more
            continue
        for key, metric in metrics.items():
            known[key] = metric.goal if known.get(key, metric.goal) == metric.goal else "none"
    return known


def curve(root: Path, run: RunRecord, metric: str) -> Curve:
    """One metric of one run over its steps; an empty curve where it has no such metric.

    Raises:
        MissingToolError: if the run is sealed as Parquet and pyarrow is not installed.
        IntegrityError: if its Parquet file is damaged.
    """
    found = points.points(RunFiles(root).directory(run.id), metric)
    xs, ys = ordered(listed(found.steps), listed(found.values))
    return Curve(run=run.id, metric=metric, xs=xs, ys=ys)


def common_curves(root: Path, runs: Sequence[RunRecord]) -> tuple[list[list[Curve]], list[str]]:
    """Of each metric that two runs or more logged, their curves; and in words, what could not be read."""
    names = sorted({name for run in runs for name in run.series})
    shared = [name for name in names if sum(name in run.series for run in runs) > 1]
    found, unread = [], dict[str, None]()
    for name in shared:
        curves = []
        for run in runs:
            if name in run.series:
                try:
                    curves.append(curve(root, run, name))
                except ResearchError as error:
                    lacking = isinstance(error, MissingToolError)
                    unread[f"no curves without pyarrow: {error.hint}" if lacking else error.message] = None
        if any(len(item.xs) > 1 for item in curves):
            found.append(curves)
    return found, list(unread)


def listed(column: Any) -> list[Any]:
    """A column of points as a list."""
    return list(column.tolist() if hasattr(column, "tolist") else column)


def _diffstat(git: Git, runs: Sequence[RunRecord]) -> tuple[str, ...]:
    """Git's summary of what changed in the code files of these runs between the first commit and the last."""
    one, other = runs[0].git.commit, runs[-1].git.commit
    paths = sorted({item.path for run in (runs[0], runs[-1]) for item in run.code})
    if not all(commit and _COMMIT.fullmatch(commit) for commit in (one, other)) or one == other or not paths:
        return ()
    if not git.exists():
        return ()
    words = ("--no-ext-diff", "--no-textconv", f"--stat=100,60,{_FILES}", str(one), str(other), "--", *paths)
    done = git.call("--literal-pathspecs", "diff", *words, check=False)
    return tuple(done.text.splitlines()) if done.status == 0 else ()
