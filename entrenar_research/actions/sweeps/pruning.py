"""Looking at what a trial logs while it runs, and stopping it if it does badly."""

from __future__ import annotations

import time
from pathlib import Path

from entrenar_research.errors import ResearchError
from entrenar_research.models.sweep import TrialRecord
from entrenar_research.store.logged import points
from entrenar_research.store.sweeps import sampling
from entrenar_research.store.sweeps.journal import Journal

_SHARE = 20


class Watch:
    """The pruner's eye on one trial.

    Only the steps where the pruner decides are told to it, each with the first value logged there: so what it
    decides depends on what was logged, and not on when we looked. Pauses are at least twenty times as long as a look.
    """

    def __init__(self, journal: Journal, trial: TrialRecord, directory: Path) -> None:
        self._journal, self._trial, self._directory = journal, trial, directory
        self._pruning = journal.sweep.declaration.pruning
        self._last = trial.step
        self._due = 0.0
        self.reason: str | None = None

    def look(self) -> str | None:
        """Why the trial is to be stopped; None if it is not.

        Raises:
            StorageError: if the journal cannot be written.
        """
        began = time.monotonic()
        if self._pruning is None or self.reason is not None or began < self._due:
            return self.reason
        try:
            found = points.points(self._directory, self._journal.sweep.metric)
        except (ResearchError, OSError):  # nothing to be read yet, or not for us: then nothing is pruned
            return None
        for step, value in zip(found.steps, found.values, strict=True):
            if sampling.is_rung(self._pruning, int(step), self._last):
                self._last = int(step)
                self.reason = self._journal.report(self._trial.number, int(step), float(value))
                if self.reason is not None:
                    break
        self._due = time.monotonic() + _SHARE * (time.monotonic() - began)
        return self.reason
