"""Sweeps on disk: `sweeps/<name>/` with `sweep.yaml`, the journal of its trials and the results that are kept.

What is known of processes at work lies in `.entrenar/sweeps/<name>/`: each worker holds a lock on a file of its own
there, for as long as it lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entrenar_research.core import recipe
from entrenar_research.core.sweeps import fitting, suggest
from entrenar_research.core.sweeps import space as sweep_space
from entrenar_research.core.tracking import quantities
from entrenar_research.errors import InvalidFileError, StorageError, UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.sweep import Aim, Sweep, SweepDeclaration
from entrenar_research.store import files, locks
from entrenar_research.store.study_files import StudyFiles, check_name
from entrenar_research.store.yaml_text import Document, dump

Place = list[str | int]
_LARGEST_SEED = 2**63
_COMPLAINT = "cannot lock the sweep"
_REMEDY = "write one with `entrenar-research sweep new NAME --experiment EXPERIMENT`"


class SweepFiles:
    """The sweeps of a study."""

    def __init__(self, study: StudyFiles) -> None:
        self.study = study
        self.root = study.root

    def directory(self, name: str) -> Path:
        """`sweeps/<name>`."""
        return self.root / "sweeps" / name

    def journal(self, name: str) -> Path:
        """Where the trials are written down."""
        return self.directory(name) / "journal.log"

    def state(self, name: str) -> Path:
        """Where workers lock what they hold."""
        return self.study.state / "sweeps" / name

    def result(self, name: str, number: int) -> Path:
        """Where the result files of a trial are kept."""
        return self.directory(name) / "results" / str(number)

    def names(self) -> tuple[str, ...]:
        """Every sweep, sorted."""
        return tuple(sorted(path.parent.name for path in self.root.glob("sweeps/*/sweep.yaml") if path.is_file()))

    def load(self, name: str) -> Sweep:
        """The declaration of a sweep, checked against the experiment that it names.

        Raises:
            UsageError: if there is none of that name.
            InvalidFileError: if it does not hold what it should; the message names file, line and key.
        """
        path = self.directory(name) / "sweep.yaml"
        if "/" in name or not path.is_file():
            raise suggest.unknown("sweep", name, self.names(), remedy=_REMEDY)
        shown = f"sweeps/{name}/sweep.yaml"
        return self.check(name, Document(files.read_text(path, shown=shown), shown))

    def check(self, name: str, document: Document) -> Sweep:
        """A declaration that was parsed, checked.

        Raises:
            InvalidFileError: if it does not hold what it should.
        """
        check_name(name, "sweep")
        if isinstance(document.value, dict) and "space" in document.value and document.value["space"] is None:
            raise _fault(document, ["space"], "it is empty; expected at least one parameter to search")
        declaration = document.convert(SweepDeclaration)
        space = sweep_space.normal(declaration.space)
        faults = [*sweep_space.faults(space)]
        if declaration.strategy == "grid" and not faults:
            faults = [*sweep_space.grid_faults(space)]
        for where, words in faults:
            raise _fault(document, ["space", *where], words)
        if not 0 <= declaration.seed < _LARGEST_SEED:
            raise _fault(document, ["seed"], f"found {declaration.seed}, expected 0 or more, below 2^63")
        seconds = _budget(document, declaration)
        _pruning(document, declaration)
        experiment = self._experiment(document, declaration)
        if experiment is not None:
            self._match(document, experiment, space)
        goal = _goal(document, declaration, experiment)
        return Sweep(name=name, declaration=declaration, space=sweep_space.ordered(space), goal=goal, seconds=seconds)

    def _experiment(self, document: Document, declaration: SweepDeclaration) -> Experiment | None:
        if declaration.experiment is None:
            return None
        try:
            return self.study.experiment(declaration.experiment)
        except InvalidFileError:
            raise
        except UsageError as error:
            raise _fault(document, ["experiment"], error.message, error.hint) from error

    def _match(self, document: Document, experiment: Experiment, space: dict[str, Any]) -> None:
        """Holds the space against the experiment's parameters and command."""
        declaration = experiment.declaration
        if declaration.params is None:
            raise UsageError(
                f"{experiment.name} has no params file, so there is nothing to search over",
                hint=f"name one as `params` in {experiment.file}, and write ${{params}} in its command",
            )
        known = recipe.dotted(self.study.params(experiment))
        for name, dimension in space.items():
            if name not in known:
                error = suggest.unknown("parameter", name, known, remedy=f"{declaration.params} is empty")
                raise _fault(document, ["space", name], f"{error.message} in {declaration.params}", error.hint)
            words = fitting.misfit(known[name], dimension)
            if words is not None:
                raise _fault(document, ["space", name], f"{name} is {known[name]!r} in {declaration.params}; {words}")
        fault = fitting.command_fault(declaration, space)
        if fault is not None:
            declared = Document(files.read_text(self.root / experiment.file, shown=experiment.file), experiment.file)
            raise _fault(declared, ["command"], fault[0], f"write in {experiment.file}: {fault[1]}")

    def write(self, name: str, text: str) -> None:
        """Writes `sweep.yaml`.

        Raises:
            StorageError: if the file system refuses.
        """
        files.write_atomically(self.directory(name) / "sweep.yaml", text)

    def keep(self, name: str, number: int, staged: Path) -> None:
        """Moves the result of a trial to where it is kept; does nothing if that was done before.

        Raises:
            StorageError: if the file system refuses.
        """
        place = self.result(name, number)
        if not staged.is_dir() or not self.directory(name).is_dir():
            return
        with files.refusals(f"cannot keep the result of trial {number}"):
            ignore = self.directory(name) / ".gitignore"
            if not ignore.exists():
                files.write_atomically(ignore, "/results\n")
            place.parent.mkdir(parents=True, exist_ok=True)
            files.remove_tree(place)
            staged.rename(place)

    def kept(self, name: str) -> tuple[int, ...]:
        """The trials whose results are there."""
        place = self.directory(name) / "results"
        return tuple(sorted(int(item.name) for item in place.glob("*") if item.name.isdigit()))

    @contextlib.contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Holds the lock under which trials are given out and settled: one process at a time, on any host.

        Raises:
            StorageError: if the lock file cannot be made.
        """
        with locks.held(self.state(name) / "lock", _COMPLAINT):
            yield

    @contextlib.contextmanager
    def at_work(self, name: str) -> Iterator[str]:
        """Makes this process a worker for as long as the block lasts; yields its id.

        Raises:
            StorageError: if its file cannot be made.
        """
        worker = f"{os.getpid()}-{secrets.token_hex(4)}"
        path = self.state(name) / "workers" / worker
        with self.alone(name):  # or its file would be taken for that of a dead one before it is locked
            descriptor = locks.opened(path, _COMPLAINT)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield worker
        finally:
            path.unlink(missing_ok=True)
            os.close(descriptor)

    def alive(self, name: str, worker: str) -> bool:
        """Whether a worker lives: somebody holds the lock on its file."""
        try:
            descriptor = os.open(self.state(name) / "workers" / worker, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageError(f"cannot look after worker {worker}: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def workers(self, name: str) -> tuple[str, ...]:
        """The workers that live, sorted."""
        return tuple(worker for worker in self._listed(name) if self.alive(name, worker))

    def forget_dead(self, name: str) -> None:
        """Removes what dead workers have left. To be called `alone`."""
        for worker in self._listed(name):
            if not self.alive(name, worker):
                (self.state(name) / "workers" / worker).unlink(missing_ok=True)

    def _listed(self, name: str) -> list[str]:
        try:
            return sorted(os.listdir(self.state(name) / "workers"))
        except FileNotFoundError:
            return []


def text_of(declaration: SweepDeclaration) -> str:
    """A declaration as YAML."""
    return dump(declaration)


def _fault(document: Document, where: Place, words: str, hint: str | None = None) -> InvalidFileError:
    key = ".".join(map(str, where))
    return InvalidFileError(f"{document.name}, line {document.line(where)}: `{key}`: {words}", hint=hint)


def _budget(document: Document, declaration: SweepDeclaration) -> float | None:
    budget = declaration.budget
    if budget.trials is not None and budget.trials < 1:
        raise _fault(document, ["budget", "trials"], f"found {budget.trials}, expected 1 or more")
    if budget.trials is None and budget.time is None and declaration.strategy != "grid":
        words = f"a {declaration.strategy} search has no end of its own; expected `trials`, `time` or both"
        raise _fault(document, ["budget"], words)
    if budget.time is None:
        return None
    try:
        return quantities.in_seconds(budget.time)
    except UsageError as error:
        raise _fault(document, ["budget", "time"], error.message) from error


def _pruning(document: Document, declaration: SweepDeclaration) -> None:
    pruning = declaration.pruning
    if pruning is None:
        return
    if pruning.low < 1:
        raise _fault(document, ["pruning", "min"], f"found {pruning.low}, expected 1 or more")
    if pruning.high < pruning.low:
        words = f"min is {pruning.low} and max {pruning.high}; expected min to be the smaller one"
        raise _fault(document, ["pruning", "max"], words)
    if pruning.factor < 2:
        raise _fault(document, ["pruning", "factor"], f"found {pruning.factor}, expected 2 or more")


def _goal(document: Document, declaration: SweepDeclaration, experiment: Experiment | None) -> Aim:
    objective = declaration.objective
    if objective.goal is not None:
        return objective.goal
    metric = experiment.declaration.metrics.get(objective.metric) if experiment is not None else None
    if metric is None or metric.goal == "none":
        raise _fault(
            document,
            ["objective"],
            f"the key `goal` is missing, and the experiment does not say either which way {objective.metric} is good; "
            "expected maximize or minimize",
        )
    return metric.goal
