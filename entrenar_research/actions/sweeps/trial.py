"""One trial of a sweep: a run of the experiment with a params file of its own, beside the experiment's own result."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.actions.running import recipes
from entrenar_research.actions.running import run as run_action
from entrenar_research.actions.running.attempt import Attempt, Means, Options
from entrenar_research.core import digests, recipe
from entrenar_research.core.sweeps import suggest
from entrenar_research.core.tracking import handover
from entrenar_research.errors import RunFailedError
from entrenar_research.models.experiment import Experiment, TraceLevel
from entrenar_research.models.run import Observed, RunRecord
from entrenar_research.models.sweep import Sweep, TrialRecord
from entrenar_research.models.tracking import Lineage, Parent, Trial
from entrenar_research.runners.port import Job
from entrenar_research.store import files, locks, params_file
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.logged import points
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import Document

Halt = Callable[[], str | None]


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial has of its own: the text and the place of its params file; `declared` is the experiment's."""

    text: str
    place: str
    declared: str
    halt: Halt


class TrialAttempt(Attempt):
    """An attempt whose parameters are in a file of its own, and which may be stopped before its time."""

    def __init__(
        self, study: StudyFiles, experiment: Experiment, options: Options, means: Means, mine: recipes.Ingredients,
        own: Own,
    ) -> None:  # fmt: skip
        super().__init__(study, experiment, options, means, mine)
        self._own = own

    def _begin(self, record: RunRecord) -> RunRecord:
        record = super()._begin(record)
        files.write_atomically(self.study.root / self._own.place, self._own.text)
        return record

    def job(self, record: RunRecord, argv: list[str], area: Staging) -> Job:
        """As any run's, and asks whether to stop."""
        return msgspec.structs.replace(super().job(record, argv, area), halt=self._own.halt)

    def _judge(self, record: RunRecord, observed: Observed) -> RunRecord:
        if self._own.declared in observed.undeclared_reads:
            raise RunFailedError(
                f"the script reads {self._own.declared} itself, so the values of the trial did not reach it",
                hint="have it read the file that the command names (${params})",
            )
        return super()._judge(record, observed)


def base(sweep: Sweep, record: RunRecord) -> str:
    """A digest of what the trials of a sweep are meant to have in common."""
    parts = recipe.parts(record)
    parts["params"] = {key: item for key, item in recipe.dotted(parts["params"]).items() if key not in sweep.space}
    return digests.sha256(digests.canonical_json(parts))[: len("sha256:") + 16]


def level_of(sweep: Sweep, experiment: Experiment) -> TraceLevel:
    """How closely trials are looked at."""
    return sweep.declaration.trace or experiment.declaration.trace


def carry_out(study: StudyFiles, sweep: Sweep, trial: TrialRecord, means: Means, halt: Halt) -> RunRecord:
    """Runs a trial to its end.

    Raises:
        UsageError: if it cannot be run; nothing was.
        RunFailedError: if its command failed; the run is recorded.
        InterruptedRunError: if the person stopped it, or `halt` did; the run is recorded as cancelled.
    """
    experiment = study.experiment(sweep.declaration.experiment or "")
    file = experiment.declaration.params or ""
    text = files.read_text(study.root / file, shown=file)
    text, _ = params_file.edited(text, file, trial.params)
    place = f"runs/{trial.run}/params{Path(file).suffix}"
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    ingredients = recipes.gather(study, experiment, hasher)
    hasher.save()
    mine = msgspec.structs.replace(
        ingredients,
        params=Document(text, file, dates=True).convert(dict[str, Any]),
        params_file=None,
        files={path: item for path, item in ingredients.files.items() if path != file},
    )
    own = _with_params(experiment, place)
    level = level_of(sweep, experiment)
    record, argv = run_action.draft(study, own, mine, None, level, means, trial.run)
    record = msgspec.structs.replace(
        record,
        trial=Trial(sweep=sweep.name, number=trial.number, retry_of=trial.retry_of),
        lineage=_lineage(study, means),
        reasons=(f"trial {trial.number} of the sweep {sweep.name}",),
    )
    files_of_its_own = Own(text=text, place=place, declared=file, halt=halt)
    attempt = TrialAttempt(study, own, Options(trace=level), means, mine, files_of_its_own)
    with _turn(study, experiment):
        return attempt.carry_out(record, argv)


def _with_params(experiment: Experiment, place: str) -> Experiment:
    declaration = msgspec.structs.replace(experiment.declaration, params=place)
    return msgspec.structs.replace(experiment, declaration=declaration)


def _turn(study: StudyFiles, experiment: Experiment) -> contextlib.AbstractContextManager[None]:
    """Trials run side by side, but those that write an output at a fixed place one after the other."""
    if all(isinstance(item, str) for item in experiment.declaration.outputs):
        return contextlib.nullcontext()
    return locks.turn(study.state, experiment.name, lambda: None)


def _lineage(study: StudyFiles, means: Means) -> Lineage | None:
    """The run that we were started from, as the parent, where there is one."""
    outer = Path(means.environment.get(handover.RUN, "")).name
    if not outer or not (RunFiles(study.root).directory(outer) / "run.yaml").is_file():
        return None
    return Lineage(parents=(Parent(run=outer, relationship="hyperparameter_search"),))


def objective(sweep: Sweep, record: RunRecord, directory: Path) -> float:
    """The value of the objective of a completed run: its declared metric, or else what it logged last.

    `directory` is the run's: what a script has logged is looked up there until its run is sealed.

    Raises:
        RunFailedError: if there is none, or it is no finite number.
    """
    logged = {name: series.last for name, series in (record.series or points.series(directory)).items()}
    known = {**logged, **record.metrics}
    if sweep.metric not in known:
        said = f"it has {suggest.listed(sorted(known))}" if known else "it has no metrics at all"
        raise RunFailedError(
            f"the run ended well but neither wrote nor logged the objective {sweep.metric}; {said}",
            hint=f"log it with `run.log_metric({sweep.metric!r}, value)`, declare it, or correct `objective`",
        )
    value = known[sweep.metric]
    if not math.isfinite(value):
        raise RunFailedError(f"the objective {sweep.metric} is {value}")
    return value
