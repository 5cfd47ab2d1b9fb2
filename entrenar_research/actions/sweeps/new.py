"""Beginning a sweep: its first `sweep.yaml`, and taking over what the best trial found."""

from __future__ import annotations

from typing import Any

from entrenar_research.core import recipe
from entrenar_research.core.sweeps import draft, fitting
from entrenar_research.errors import UsageError
from entrenar_research.models.sweep import Sweep, TrialRecord
from entrenar_research.store import files, params_file
from entrenar_research.store.study_files import StudyFiles, check_name
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.store.yaml_text import Document


def propose(study: StudyFiles, name: str, experiment_name: str) -> tuple[str, tuple[str, ...]]:
    """The text of a first `sweep.yaml`, and what has to be done before it can run.

    Raises:
        UsageError: if the name is taken, or the experiment has no parameters.
    """
    check_name(name, "sweep")
    places = SweepFiles(study)
    if places.directory(name).exists():
        raise UsageError(f"there is a sweep {name!r} already", hint="take another name, or edit its sweep.yaml")
    experiment = study.experiment(experiment_name)
    params = recipe.dotted(study.params(experiment))
    if not params:
        raise UsageError(
            f"{experiment_name} has no parameters to search over",
            hint=f"name a params file as `params` in {experiment.file}, and write ${{params}} in its command",
        )
    text = draft.text(name, experiment, params)
    searched = Document(text, "sweep.yaml").value["space"]
    fault = fitting.command_fault(experiment.declaration, searched)
    return text, () if fault is None else (f"{experiment.file}: `command`: {fault[0]}; write {fault[1]}",)


def write(study: StudyFiles, name: str, text: str) -> None:
    """Writes a proposed `sweep.yaml`.

    Raises:
        StorageError: if the file system refuses.
    """
    SweepFiles(study).write(name, text)


def apply(study: StudyFiles, sweep: Sweep, trial: TrialRecord) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """Sets the parameters of a trial in the experiment's params file, as `run --set` does: the file, and what changed.

    Raises:
        UsageError: if the sweep has no experiment, or a parameter is not there any more.
    """
    if sweep.declaration.experiment is None:
        raise UsageError(f"{sweep.file} names no experiment: there is no params file to set anything in")
    experiment = study.experiment(sweep.declaration.experiment)
    file = experiment.declaration.params or ""
    place = files.contained(study.root, file, what="params file")
    return file, params_file.assign(place, file, trial.params)
