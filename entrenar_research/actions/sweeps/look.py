"""Looking at sweeps without touching them."""

from __future__ import annotations

from entrenar_research.actions.sweeps.claims import limit_of, open_journal
from entrenar_research.actions.sweeps.sitting import Overview
from entrenar_research.core.sweeps.standing import Standing
from entrenar_research.errors import UsageError
from entrenar_research.models.sweep import TrialRecord
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles


def look(study: StudyFiles, name: str) -> Overview:
    """A sweep and how it stands.

    Raises:
        UsageError: if there is no such sweep.
        InvalidFileError: if its declaration or its journal does not hold what it should.
    """
    places = SweepFiles(study)
    sweep = places.load(name)
    standing = Standing(())
    if places.journal(name).is_file():
        journal = open_journal(places, sweep)
        standing = Standing(journal.trials(), retry_below=journal.retry_below)
    return Overview(sweep=sweep, standing=standing, limit=limit_of(sweep), workers=len(places.workers(name)))


def importance(study: StudyFiles, now: Overview) -> dict[str, float]:
    """How much of the difference between the trials comes from each parameter; empty for a few trials."""
    if not now.standing.trials:
        return {}
    return open_journal(SweepFiles(study), now.sweep).importance()


def best_of(study: StudyFiles, name: str) -> tuple[Overview, TrialRecord]:
    """A sweep and its best trial.

    Raises:
        UsageError: if there is no such sweep, or none of its trials is completed.
    """
    now = look(study, name)
    if now.best is None:
        raise UsageError(
            f"no trial of {name} is completed yet", hint=f"carry them out with `entrenar-research sweep run {name}`"
        )
    return now, now.best
