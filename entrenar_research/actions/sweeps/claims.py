"""Giving out the trials of a sweep, and settling those whose worker died.

Everything here happens under one lock of the sweep, so that any number of processes on any number of hosts that
share the file system give out each trial once.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

import msgspec

from entrenar_research.actions.running import conclusion
from entrenar_research.actions.sweeps import pruning
from entrenar_research.actions.sweeps import trial as sweep_trial
from entrenar_research.client import liveness
from entrenar_research.core.sweeps import space
from entrenar_research.core.sweeps.standing import Standing, best
from entrenar_research.errors import ResearchError, RunFailedError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.sweep import Sweep, TrialRecord, TrialStatus
from entrenar_research.store import files, run_files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.store.sweeps.journal import Journal, Outcome

_STATES: dict[str, TrialStatus] = {"failed": "failed", "cancelled": "cancelled"}


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A trial to carry out; or none, and then whether the sweep is `over` or others are still at work."""

    trial: TrialRecord | None = None
    over: bool = False


class Claims:
    """The trials of one sweep, as one process takes and concludes them."""

    def __init__(self, study: StudyFiles, sweep: Sweep, now: Callable[[], datetime.datetime]) -> None:
        self.study, self.sweep = study, sweep
        self._now = now
        self._places = SweepFiles(study)
        self._runs = RunFiles(study.root)
        self.journal = open_journal(self._places, sweep)

    def begin(self, runner: str | None = None) -> None:
        """Makes the journal fit for trials, by the runner of that name; None where a script carries them out itself.

        Raises:
            UsageError: if it has trials of another search, or by another runner.
        """
        with self._places.alone(self.sweep.name):
            self.journal.begin(runner)

    def standing(self) -> Standing:
        """How the sweep stands now."""
        return Standing(self.journal.trials(), retry_below=self.journal.retry_below)

    def take(self, worker: str, *, limit: int | None, since: int, more: bool = True) -> Claim:
        """The next trial for this worker: one that was cut off, or else a new one if `more` and fewer than `limit`.

        Raises:
            RunFailedError: if the first three trials from number `since` on failed.
            StorageError: if the file system refuses.
        """
        with self._places.alone(self.sweep.name):
            self.settle()
            standing = self.standing()
            refuse_failures(self.sweep, standing, since)
            if more and standing.open:
                before = standing.open[0]
                return Claim(trial=self._begin(worker, before.slot, before.params, before.number))
            if more and (limit is None or standing.begun < limit):
                params = self.journal.choose(standing.begun)
                return Claim(trial=self._begin(worker, standing.begun, params, None))
            over = not more or not standing.running
            if standing.done(limit):
                self.journal.mark_complete(standing.begun)
        return Claim(over=over)

    def _begin(self, worker: str, slot: int, params: dict[str, object], retry_of: int | None) -> TrialRecord:
        experiment = self.sweep.declaration.experiment
        run_id = run_files.new_id(experiment, self._now()) if experiment is not None else ""  # the script's has its own
        return self.journal.add(slot, params, run=run_id, worker=worker, retry_of=retry_of)

    def settle(self) -> None:
        """Concludes the trials whose worker is dead, by what their runs say. To be called under the sweep's lock."""
        running = self.standing().running
        dead = [trial for trial in running if not self._places.alive(self.sweep.name, trial.worker or "-")]
        if dead:
            conclusion.recover(self.study, self._now())
        for trial in dead:
            if not trial.run or not liveness.alive(self._runs.directory(trial.run)):
                self.journal.end(trial.number, self.found(trial) or self._lost(trial))
        self._places.forget_dead(self.sweep.name)
        self._tidy()

    def found(self, trial: TrialRecord) -> Outcome | None:
        """The outcome of a trial that nobody carries out any more, by its run; None if that does not say."""
        try:
            record = self._runs.load(trial.run)
        except ResearchError:
            return None
        if record.status == "completed":
            return self.judged(trial, record)
        if record.status in _STATES:
            return Outcome(status=_STATES[record.status], reason=record.failure, seconds=record.duration)
        return None

    def _lost(self, trial: TrialRecord) -> Outcome:
        earlier = self.standing().lost_before(trial)
        if earlier is not None:
            reason = f"its worker was killed, as it was in trial {earlier.number} with the same parameters"
            return Outcome(status="failed", reason=reason)
        return Outcome(status="lost", reason="its worker was killed")

    def judged(self, trial: TrialRecord, record: RunRecord) -> Outcome:
        """The outcome of a trial whose run ended well. Pruning has its say on what it did not see in time."""
        base = sweep_trial.base(self.sweep, record) if record.recipe is not None else None
        directory = self._runs.directory(record.id)
        try:
            value = sweep_trial.objective(self.sweep, record, directory)
            pruning.Watch(self.journal, self.journal.trial(trial.number), directory).look()
        except RunFailedError as error:
            return Outcome(status="failed", reason=error.message, seconds=record.duration, base=base)
        return Outcome(status="completed", value=value, seconds=record.duration, base=base)

    def conclude(self, trial: TrialRecord, outcome: Outcome) -> None:
        """Writes down how a trial ended, and keeps the results that are to be kept.

        Raises:
            StorageError: if the file system refuses.
        """
        with self._places.alone(self.sweep.name):
            self.journal.end(trial.number, outcome)
            self._tidy()

    def cancel(self, worker: str) -> None:
        """Concludes what this worker has begun and will not carry to its end."""
        with self._places.alone(self.sweep.name):
            for trial in self.standing().running:
                if trial.worker == worker:
                    cancelled = Outcome(status="cancelled", reason="interrupted")
                    self.journal.end(trial.number, self.found(trial) or cancelled)

    def _tidy(self) -> None:
        """Deletes the results that are not to be kept."""
        kept = self._places.kept(self.sweep.name)
        keep = self.sweep.declaration.keep
        if not kept or keep == "all":
            return
        trials = self.journal.trials()
        wanted = best(self.sweep, trials) if keep == "best" else None
        ended = {trial.number for trial in trials if trial.status != "running"}
        for number in kept:
            if number in ended and (wanted is None or number != wanted.number):
                files.remove_tree(self._places.result(self.sweep.name, number))


def open_journal(places: SweepFiles, sweep: Sweep) -> Journal:
    """The journal of a sweep, made if there is none."""
    return Journal(places.journal(sweep.name), sweep, places.state(sweep.name) / "journal.lock")


def limit_of(sweep: Sweep, trials: int | None = None) -> int | None:
    """How many trials the sweep is to have: `trials` or its budget, and of a grid no more than its points."""
    wanted = trials if trials is not None else sweep.declaration.budget.trials
    if sweep.declaration.strategy != "grid":
        return wanted
    size = space.grid_size(sweep.space)
    return size if wanted is None else min(size, wanted)


def refuse_failures(sweep: Sweep, standing: Standing, since: int) -> None:
    """Stops a sweep whose first trials have failed.

    Raises:
        RunFailedError: if the first three trials from number `since` on failed, and none did not.
    """
    failed = standing.all_failed(since)
    if failed:
        last = failed[-1]
        raise RunFailedError(
            f"{sweep.name} was stopped: its first {len(failed)} trials all failed. Trial {last.number}: {last.reason}",
            hint=f"see runs/{last.run}/; when it is mended, "
            f"`entrenar-research sweep run {sweep.name} --resume --retry-failed`",
        )
