"""How a sweep stands: which trials there are, what may be begun next, which is the best."""

from __future__ import annotations

from collections.abc import Sequence

from entrenar_research.models.sweep import OPEN_AGAIN, Sweep, TrialRecord

FIRST = 3
"""So many trials that fail, and none that does not, stop a sweep: it is the command that is wrong."""


class Standing:
    """The trials of a sweep by their places: each place has the trials that were begun for it, one after the other."""

    def __init__(self, trials: Sequence[TrialRecord], *, retry_below: int = 0) -> None:
        self.trials = tuple(trials)
        self.slots: dict[int, list[TrialRecord]] = {}
        for trial in sorted(trials, key=lambda item: item.number):
            self.slots.setdefault(trial.slot, []).append(trial)
        self._retry_below = retry_below

    @property
    def begun(self) -> int:
        """How many places have a trial."""
        return len(self.slots)

    @property
    def last(self) -> tuple[TrialRecord, ...]:
        """The last trial of each place: the one that counts."""
        return tuple(trials[-1] for _, trials in sorted(self.slots.items()))

    @property
    def running(self) -> tuple[TrialRecord, ...]:
        """The trials that nobody has concluded."""
        return tuple(trial for trial in self.trials if trial.status == "running")

    @property
    def concluded(self) -> tuple[TrialRecord, ...]:
        """The trials that count and have an outcome: completed, pruned or failed."""
        return tuple(trial for trial in self.last if trial.status != "running" and not self._open(trial))

    @property
    def open(self) -> tuple[TrialRecord, ...]:
        """The trials that are to be begun once more, by place."""
        return tuple(trial for trial in self.last if self._open(trial))

    def _open(self, trial: TrialRecord) -> bool:
        again = trial.status == "failed" and trial.number < self._retry_below
        return trial.status in OPEN_AGAIN or again

    def lost_before(self, trial: TrialRecord) -> TrialRecord | None:
        """An earlier trial of the same place whose worker died as well."""
        earlier = (item for item in self.slots.get(trial.slot, ()) if item.number < trial.number)
        return next((item for item in earlier if item.status == "lost"), None)

    def done(self, limit: int | None) -> bool:
        """Whether `limit` trials have an outcome and nothing is left to be done."""
        return limit is not None and self.begun >= limit and not self.open and not self.running

    def all_failed(self, since: int) -> tuple[TrialRecord, ...]:
        """The first three trials from number `since` on, if they and all others that are concluded have failed."""
        without_outcome = ("running", *OPEN_AGAIN)
        ended = [trial for trial in self.trials if trial.number >= since and trial.status not in without_outcome]
        failed = len(ended) >= FIRST and all(trial.status == "failed" for trial in ended)
        return tuple(ended[:FIRST]) if failed else ()


def best(sweep: Sweep, trials: Sequence[TrialRecord]) -> TrialRecord | None:
    """The completed trial with the best value; of equal ones the first."""
    found: TrialRecord | None = None
    for trial in trials:
        if trial.status != "completed" or trial.value is None:
            continue
        if found is None or found.value is None or sweep.better(trial.value, found.value):
            found = trial
    return found
