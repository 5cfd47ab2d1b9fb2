"""Rebuilding an experiment and comparing the results, byte for byte; the study stays as it is."""

from __future__ import annotations

import datetime

from entrenar_research.actions.reproducing import nix_workshop, workshop
from entrenar_research.actions.reproducing.inquiry import Asked, Inquiry, Progress, Recorded, refuse
from entrenar_research.actions.reproducing.workshop import Means
from entrenar_research.actions.running import recipes
from entrenar_research.core import recipe
from entrenar_research.core.reproducing.clues import Circumstances
from entrenar_research.errors import MissingToolError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.reproduction import Reproduction
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


def reproduce(study: StudyFiles, name: str, asked: Asked, means: Means, progress: Progress) -> Reproduction:
    """Rebuilds the experiment `name` as it is declared now, and says whether and why results differ.

    Raises:
        UsageError: if there is no such experiment, a declared file or the program is missing.
        MissingToolError: if the runner cannot work here.
        RunFailedError: if the command fails as it is.
        KeyboardInterrupt: if the person stops it; nothing is left of it then either.
    """
    refuse(asked)
    experiment = study.experiment(name)
    reason = means.runner.unavailable(means.environment)
    if reason is not None:
        raise MissingToolError(reason, hint="use `--runner host`")
    opened = nix_workshop.opened if means.runner.seals else workshop.opened
    with opened(study, experiment, means) as place:
        return Inquiry(place, name, asked, progress, _recorded(study, experiment, means.runner.name)).carry_out()


def _recorded(study: StudyFiles, experiment: Experiment, runner: str) -> Recorded | None:
    """The result of the last good run, if it is still there, by the same runner and from what is declared now."""
    record = RunFiles(study.root).latest(experiment.name)
    if record is None or record.runner != runner or not (study.root / experiment.result).is_dir():
        return None
    hasher = Hasher(study.root)
    now = recipes.gather(study, experiment, hasher)
    made_from = (record.command, record.seed, recipe.declared_params(record), record.code, record.inputs)
    declared = (experiment.declaration.command, experiment.declaration.seed, now.params, now.code, now.inputs)
    if made_from != declared or hasher.describe(experiment.result)[0].digest != record.result:
        return None
    began = datetime.datetime.fromisoformat(record.started).timestamp()
    return Recorded(
        run=record.id,
        result=study.root / experiment.result,
        circumstances=Circumstances(began=began, ended=began + (record.duration or 0.0), study=str(study.root)),
    )
