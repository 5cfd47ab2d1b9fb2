"""The journal of a sweep: `sweeps/<name>/journal.log`, as Optuna's JournalStorage writes and reads it.

Every trial begins with one line that has all that is known of it, so that a process killed at any moment leaves no
half of one. A line that a killed process did not finish is taken off by the next that writes. The lock on the
journal is a flock(2) and goes with its holder.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.models.sweep import Sweep, TrialRecord, TrialStatus
from entrenar_research.store import files
from entrenar_research.store.sweeps import sampling

if TYPE_CHECKING:
    from optuna.storages import JournalStorage
    from optuna.study import Study
    from optuna.trial import FrozenTrial

_KEYS = ("experiment", "objective", "strategy", "pruning", "seed", "space")
_DECLARED, _COMPLETE, _RETRY_BELOW = "declared", "complete", "retry_failed_below"
_PRUNED, _ENDED = "pruned", "ended"
_RUNNER, _OF_OLD = "runner", "host"


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a trial ended."""

    status: TrialStatus
    value: float | None = None
    reason: str | None = None
    seconds: float | None = None
    base: str | None = None


class Journal:
    """The trials of a sweep. Whoever calls a method that writes holds `SweepFiles.alone`, `report` apart."""

    def __init__(self, path: Path, sweep: Sweep, lock: Path) -> None:
        self.sweep = sweep
        self._path = path
        self._shown = f"{sweep.directory}/{path.name}"
        self._storage = self._opened(lock)
        self._pruner = sampling.pruner(sweep.declaration.pruning)
        self._study_cache: Study | None = None
        self._ended: dict[int, TrialRecord] = {}

    def _opened(self, lock: Path) -> JournalStorage:
        sampling.optuna()
        from optuna.storages import JournalStorage  # see `sweep_sampling.optuna`
        from optuna.storages.journal import JournalFileBackend

        with self._told():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            mine: Any = _Flock(self._path, lock)  # Optuna exports no class to inherit from
            return JournalStorage(JournalFileBackend(str(self._path), lock_obj=mine))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Tells of what the file system refuses, and of a journal that cannot be read."""
        with files.refusals(f"cannot write {self._shown}"):
            try:
                yield
            except (ValueError, KeyError, AssertionError, TypeError) as error:
                raise InvalidFileError(
                    f"{self._shown}, line {_bad_line(self._path)}: not a line of a journal: it was damaged",
                    hint="take it back from Git or a copy; what trials recorded is in runs/ in any case",
                ) from error

    def begun(self) -> bool:
        """Whether any trial was ever begun."""
        return bool(self._study_names()) and bool(self._frozen())

    def _study_names(self) -> list[str]:
        with self._told():
            return [item.study_name for item in self._storage.get_all_studies()]

    def begin(self, runner: str | None = None) -> None:
        """Makes the journal's study if it has none, and has it say what is searched and, if named, by which runner.

        Raises:
            UsageError: if the trials that are there were made for another search, or by another runner.
        """
        name = self.sweep.name
        if not self._study_names():
            from optuna.study import StudyDirection  # see `sweep_sampling.optuna`

            with self._told():
                self._storage.create_new_study([StudyDirection[self.sweep.goal.upper()]], name)
        declared = self._attributes().get(_DECLARED)
        mine = plain(self.sweep)
        if declared is None or (declared != mine and not self._frozen()):
            self._note(_DECLARED, mine)
        elif declared != mine:
            self._refuse_change(declared, mine)
        if runner is not None:
            self._hold_to(runner)

    def _hold_to(self, runner: str) -> None:
        """All trials of a sweep are carried out by one runner, or their values could not be compared."""
        known, trials = self._attributes().get(_RUNNER), len(self._frozen())
        if trials == 0 and known != runner:
            self._note(_RUNNER, runner)
        elif trials and (known or _OF_OLD) != runner:
            raise UsageError(
                f"the {trials} trials of {self.sweep.name} are the runner {known or _OF_OLD}'s, and this is {runner}",
                hint=f"go on with `--runner {known or _OF_OLD}`, or write a new sweep",
            )

    def _refuse_change(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        changed = [key for key in _KEYS if before.get(key) != now.get(key)]
        raise UsageError(
            f"{self.sweep.file}: {suggest.listed(changed)} changed since the first trial of {self.sweep.name}, "
            f"and its {len(self._frozen())} trials were made with what it was",
            hint="put it back, or write a new sweep; budget, keep, trace and description may change at any time",
        )

    def _attributes(self) -> dict[str, Any]:
        if not self._study_names():
            return {}
        with self._told():
            return dict(self._storage.get_study_user_attrs(self._id()))

    def _note(self, key: str, value: Any) -> None:
        with self._told():
            self._storage.set_study_user_attr(self._id(), key, value)

    @property
    def complete(self) -> int | None:
        """The number of trials with which the sweep was done, if it ever was."""
        found = self._attributes().get(_COMPLETE)
        return found if isinstance(found, int) else None

    def mark_complete(self, trials: int) -> None:
        """Writes down that the sweep is done with so many trials."""
        if self.complete != trials:
            self._note(_COMPLETE, trials)

    @property
    def retry_below(self) -> int:
        """Trials with a lower number that failed are to be tried again."""
        return int(self._attributes().get(_RETRY_BELOW, 0))

    def retry_failed(self) -> None:
        """Has every trial that has failed up to now tried again."""
        self._note(_RETRY_BELOW, len(self._frozen()))

    def _id(self) -> int:
        names = self._study_names()
        if self.sweep.name not in names:
            raise UsageError(
                f"{self._shown} is the journal of a sweep named {', '.join(names)}",
                hint=f"a sweep cannot be renamed or copied once it has begun; delete {self._shown} to begin anew",
            )
        return self._storage.get_study_id_from_name(self.sweep.name)

    def _frozen(self) -> list[FrozenTrial]:
        with self._told():
            return self._storage.get_all_trials(self._id(), deepcopy=False)

    def trials(self) -> tuple[TrialRecord, ...]:
        """Every trial, by number."""
        if not self._study_names():
            return ()
        return tuple(self._record(trial) for trial in self._frozen())

    def trial(self, number: int) -> TrialRecord:
        """One trial, as it is now."""
        return self._record(self._frozen()[number])

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        if trial.number not in self._ended:
            record = self._converted(trial)
            if record.status == "running":
                return record
            self._ended[trial.number] = record
        return self._ended[trial.number]

    def _converted(self, trial: FrozenTrial) -> TrialRecord:
        noted = trial.user_attrs
        ended = msgspec.convert(noted.get(_ENDED, {"status": "running"}), Outcome)
        finished = trial.state.is_finished()
        step = max(trial.intermediate_values, default=None)
        return TrialRecord(
            number=trial.number,
            slot=int(noted["slot"]),
            status=ended.status if finished else "running",
            params=dict(noted["params"]),
            run=str(noted["run"]),
            value=ended.value if finished else None,
            reason=ended.reason,
            retry_of=noted.get("retry_of"),
            started=_utc(trial.datetime_start),
            seconds=ended.seconds,
            step=step,
            intermediate=None if step is None else trial.intermediate_values[step],
            worker=noted.get("worker"),
            base=ended.base,
        )

    def add(self, slot: int, params: Mapping[str, Any], *, run: str, worker: str, retry_of: int | None) -> TrialRecord:
        """Begins a trial.

        Raises:
            StorageError: if the file system refuses; there is no such trial then.
        """
        from optuna.trial import TrialState, create_trial  # see `sweep_sampling.optuna`

        noted = {"slot": slot, "params": dict(params), "run": run, "worker": worker}
        if retry_of is not None:
            noted["retry_of"] = retry_of
        trial = create_trial(
            state=TrialState.RUNNING,
            params={name: sampling.label(value) for name, value in params.items()},
            distributions={name: sampling.distribution(self.sweep.space[name]) for name in params},
            user_attrs=noted,
        )
        with self._told():
            made = self._storage.create_new_trial(self._id(), trial)
            return self._record(self._storage.get_trial(made))

    def name_run(self, number: int, run: str) -> None:
        """Writes down which run carries out a trial, where that was not known when it began."""
        with self._told():
            made = self._storage.get_trial_id_from_study_id_trial_number(self._id(), number)
            self._storage.set_trial_user_attr(made, "run", run)

    def choose(self, slot: int) -> dict[str, Any]:
        """The parameters of the trial that is to be begun next, at `slot`."""
        return sampling.chosen(self.sweep, slot, self._frozen())

    def report(self, number: int, step: int, value: float) -> str | None:
        """Writes down how a trial does in a step. Why it is to be stopped, if it is: that stands from then on."""
        with self._told():
            made = self._storage.get_trial_id_from_study_id_trial_number(self._id(), number)
            self._storage.set_trial_intermediate_value(made, step, value)
            if not self._pruner.prune(self._study(), self._storage.get_trial(made)):
                return None
            reason = f"pruned at step {step}: {self.sweep.metric} {value:.6g} was not among the best"
            self._storage.set_trial_user_attr(made, _PRUNED, reason)
            return reason

    def _study(self) -> Study:
        if self._study_cache is None:
            library = sampling.optuna()
            self._study_cache = library.load_study(
                study_name=self.sweep.name, storage=self._storage, pruner=self._pruner
            )
        return self._study_cache

    def end(self, number: int, outcome: Outcome) -> None:
        """Concludes a trial. One that is concluded already stays as it is; one that was to be stopped is pruned.

        Raises:
            StorageError: if the file system refuses.
        """
        from optuna.trial import TrialState  # see `sweep_sampling.optuna`

        states = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        with self._told():
            made = self._storage.get_trial_id_from_study_id_trial_number(self._id(), number)
            trial = self._storage.get_trial(made)
            if trial.state.is_finished():
                return
            known = trial.user_attrs.get(_ENDED)
            if known is not None:  # its worker died between two lines
                outcome = msgspec.convert(known, Outcome)
            else:
                if _PRUNED in trial.user_attrs:
                    reason = trial.user_attrs[_PRUNED]
                    outcome = msgspec.structs.replace(outcome, status="pruned", reason=reason)
                self._storage.set_trial_user_attr(made, _ENDED, msgspec.to_builtins(outcome))
            values = None if outcome.value is None else [outcome.value]
            if outcome.status == "pruned":
                last = trial.last_step
                values = None if last is None else [trial.intermediate_values[last]]
            self._storage.set_trial_state_values(made, states.get(outcome.status, TrialState.FAIL), values)

    def importance(self) -> dict[str, float]:
        """How much of the difference between trials comes from each parameter, from 0 to 1; empty for a few trials.

        Source: Watanabe et al., PED-ANOVA, IJCAI 2023.
        """
        import warnings  # Optuna warns where there is nothing to be said

        library = sampling.optuna()
        done = [trial for trial in self._frozen() if trial.state.name == "COMPLETE"]
        if len(done) < _ENOUGH or len({trial.value for trial in done}) < 2:
            return {}
        evaluator = library.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = library.importance.get_param_importances(self._study(), evaluator=evaluator)
            except (ValueError, RuntimeError):  # parameters that never changed, or conditions that never met
                return {}
        return {name: round(float(value), 4) for name, value in found.items()}


_ENOUGH = 8


def plain(sweep: Sweep) -> dict[str, Any]:
    """What of a sweep may not change once it has trials, as JSON holds it."""
    declaration = sweep.declaration
    found = {
        "experiment": declaration.experiment,
        "objective": {"metric": sweep.metric, "goal": sweep.goal},
        "strategy": declaration.strategy,
        "pruning": declaration.pruning,
        "seed": declaration.seed,
        "space": {name: sweep.space[name] for name in sorted(sweep.space)},
    }
    return dict(msgspec.json.decode(msgspec.json.encode(found)))


def _utc(moment: datetime.datetime | None) -> str | None:
    if moment is None:
        return None
    text = moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _bad_line(path: Path) -> int:
    """The first line that is no JSON object with an operation (1 if all are)."""
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            good = isinstance(json.loads(line), dict) and b'"op_code"' in line
        except ValueError:
            good = False
        if not good:
            return number
    return 1


class _Flock:
    """A lock for Optuna's journal that the kernel frees when its holder dies: flock(2) on a file of its own."""

    def __init__(self, journal: Path, lock: Path) -> None:
        self._journal, self._lock = journal, lock
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Waits for the lock, then mends the end of the journal."""
        self._lock.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            _mend(self._journal)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives it up."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _mend(journal: Path) -> None:
    """Takes off what a killed process has left of a line."""
    with journal.open("r+b") as stream:
        size = stream.seek(0, os.SEEK_END)
        if size == 0:
            return
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) == b"\n":
            return
        stream.seek(0)
        stream.truncate(stream.read().rfind(b"\n") + 1)
