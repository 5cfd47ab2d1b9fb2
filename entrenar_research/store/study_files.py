"""Where things are in a study, and reading and writing what people declare there."""

from __future__ import annotations

import math
import posixpath
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.core import relations
from entrenar_research.core.citing import doi
from entrenar_research.core.sweeps import suggest
from entrenar_research.core.tracking import plans
from entrenar_research.errors import InvalidFileError, NotAStudyError, UsageError
from entrenar_research.models.experiment import Collected, Declaration, Experiment, Metric, Plan
from entrenar_research.models.study import Study
from entrenar_research.store import files, study_root
from entrenar_research.store.yaml_text import Document, dump

STUDY_FILE = study_root.STUDY_FILE
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def find_root(start: Path) -> Path:
    """The nearest directory at or above `start` that holds a study.

    Raises:
        NotAStudyError: if there is none.
    """
    return Path(study_root.find(str(start)))


def check_name(name: str, what: str) -> str:
    """`name`, if it can be a directory, a DVC stage and a part of a tag at once.

    Raises:
        UsageError: if not.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{what} name {name!r}: expected letters, digits, `-` and `_`, beginning with a letter or digit, "
            "64 characters at most"
        )
    return name


class StudyFiles:
    """The files of the study at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def state(self) -> Path:
        """The directory for what is not part of the study: staging areas, caches, locks. Never versioned."""
        return self.root / ".entrenar"

    @property
    def allowed_signers(self) -> Path:
        """Who may sign, with periods of validity."""
        return self.root / "keys" / "allowed_signers"

    def study(self) -> Study:
        """The description of the study.

        Raises:
            NotAStudyError: if there is no `study.yaml`.
            InvalidFileError: if it does not hold what it should.
        """
        path = self.root / STUDY_FILE
        if not path.is_file():
            raise NotAStudyError(f"{self.root}: there is no {STUDY_FILE}")
        study = Document(files.read_text(path), STUDY_FILE).convert(Study)
        if not study.authors:
            raise InvalidFileError(f"{STUDY_FILE}: `authors` is empty: expected at least one")
        return study

    def experiment_names(self) -> tuple[str, ...]:
        """Every directory below `experiments/` that declares one, sorted."""
        found = self.root.glob("experiments/*/experiment.yaml")
        return tuple(sorted(path.parent.name for path in found if path.is_file()))

    def experiment(self, name: str) -> Experiment:
        """The declaration of `name`.

        Raises:
            UsageError: if there is none of that name.
            InvalidFileError: if it does not hold what it should; the message names file, line and key.
        """
        relative = f"experiments/{name}/experiment.yaml"
        if not _NAME.fullmatch(name) or not (self.root / relative).is_file():
            raise self._unknown(name)
        document = Document(files.read_text(self.root / relative, shown=relative), relative)
        declaration = document.convert(Declaration)
        _check_paths(declaration, document, f"experiments/{name}/result")
        _check_dois(declaration, document)
        _check_plan(declaration.plan, document)
        declaration = _normal(declaration)
        _check_relations(declaration, document)
        return Experiment(name=name, declaration=declaration)

    def _unknown(self, name: str) -> UsageError:
        remedy = "declare one with `entrenar-research experiment add NAME -- COMMAND`"
        directory = f"experiments/{name}"
        if _NAME.fullmatch(name) and (self.root / directory).is_dir():
            found = "a directory of that name" if (self.root / directory / "experiment.yaml").is_dir() else "none"
            return UsageError(f"{directory}: expected a file experiment.yaml in it, found {found}", hint=remedy)
        return suggest.unknown("experiment", name, self.experiment_names(), remedy=remedy)

    def experiments(self) -> tuple[Experiment, ...]:
        """Every experiment, by name.

        Raises:
            InvalidFileError: if one of the declarations is wrong.
        """
        return tuple(self.experiment(name) for name in self.experiment_names())

    def params(self, experiment: Experiment) -> dict[str, Any]:
        """The parameters of an experiment as its params file has them now; empty without one.

        Raises:
            UsageError: if the declared file is absent.
            InvalidFileError: if it is not a mapping.
        """
        relative = experiment.declaration.params
        if relative is None:
            return {}
        path = files.contained(self.root, relative, what="params file")
        if not path.is_file():
            raise UsageError(f"{relative}: no such file; {experiment.file} declares it as the params file")
        document = Document(files.read_text(path, shown=relative), relative, dates=True)
        if document.value is None:
            return {}
        return document.convert(dict[str, Any])

    def write_study(self, study: Study) -> None:
        """Writes `study.yaml`.

        Raises:
            StorageError: if the file system refuses.
        """
        files.write_atomically(self.root / STUDY_FILE, dump(study))

    def write_declaration(self, experiment: Experiment) -> None:
        """Writes `experiment.yaml`.

        Raises:
            StorageError: if the file system refuses.
        """
        files.write_atomically(self.root / experiment.file, declaration_text(experiment.declaration))


def declaration_text(declaration: Declaration) -> str:
    """A declaration as YAML, description first."""
    plain = msgspec.to_builtins(declaration)
    order = (
        "description",
        "command",
        "params",
        "seed",
        "code",
        "inputs",
        "dois",
        "outputs",
        "metrics",
        "plots",
        "plan",
        "relations",
        "trace",
    )
    return dump({key: plain[key] for key in order if key in plain})


def _check_paths(declaration: Declaration, document: Document, result: str) -> None:
    _check_command(declaration.command, document)
    for key in ("code", "inputs"):
        for index, path in enumerate(getattr(declaration, key)):
            _inside(path, document, [key, index])
            if f"{posixpath.normpath(path)}/".startswith(f"{result}/"):
                raise InvalidFileError(
                    f"{document.name}, line {document.line([key, index])}: {path!r}: an experiment cannot read its own "
                    "result"
                )
    if declaration.params is not None:
        _inside(declaration.params, document, ["params"])
    for index, item in enumerate(declaration.outputs):
        _inside(item if isinstance(item, str) else item.path, document, ["outputs", index])
        if not isinstance(item, str):
            _inside(item.source, document, ["outputs", index])
    outputs = {posixpath.normpath(path) for path in declaration.output_paths}
    for name, metric in declaration.metrics.items():
        _check_metric(name, metric, outputs, document)
    for index, plot in enumerate(declaration.plots):
        where: list[str | int] = ["plots", index, "file"]
        _inside(plot.file, document, where)
        if outputs and not _among(plot.file, outputs):
            raise InvalidFileError(
                f"{document.name}, line {document.line(where)}: the plot is drawn from {plot.file!r}, which is not "
                f"among the outputs ({', '.join(sorted(outputs))})"
            )


def _check_dois(declaration: Declaration, document: Document) -> None:
    known = {posixpath.normpath(path) for path in (*declaration.code, *declaration.inputs)}
    for path, text in declaration.dois.items():
        where = f"{document.name}, line {document.line(['dois', path])}: `dois`"
        if posixpath.normpath(path) not in known:
            raise InvalidFileError(f"{where}: {path!r} is neither among `code` nor among `inputs`")
        try:
            bare = doi.parse_doi(text)
        except UsageError as error:
            raise InvalidFileError(f"{where}: {error.message}", hint=error.hint) from error
        if bare != text:
            raise InvalidFileError(f"{where}: found {text!r}, expected it bare: {bare}")


def _check_plan(plan: Plan, document: Document) -> None:
    senseless = plans.check(plan)
    if senseless is not None:
        key, words = senseless
        raise InvalidFileError(f"{document.name}, line {document.line(['plan', key])}: `plan.{key}`: {words}")


def _check_relations(declaration: Declaration, document: Document) -> None:
    for index, relation in enumerate(declaration.relations):
        fault = relations.check(relation, declaration)
        if fault is not None:
            where: list[str | int] = ["relations", index, *fault[0]]
            raise InvalidFileError(f"{document.name}, line {document.line(where)}: `relations[{index}]`: {fault[1]}")


def _among(path: str, outputs: Iterable[str]) -> bool:
    return any(f"{posixpath.normpath(path)}/".startswith(f"{item}/") for item in outputs)


def _normal(declaration: Declaration) -> Declaration:
    """The declaration with its paths as DVC writes them: `data` for `./data/`."""
    normal = posixpath.normpath
    metrics = declaration.metrics.items()
    return msgspec.structs.replace(
        declaration,
        params=None if declaration.params is None else normal(declaration.params),
        code=tuple(map(normal, declaration.code)),
        inputs=tuple(map(normal, declaration.inputs)),
        dois={normal(path): text for path, text in declaration.dois.items()},
        outputs=tuple(
            normal(item) if isinstance(item, str) else Collected(path=normal(item.path), source=normal(item.source))
            for item in declaration.outputs
        ),
        metrics={name: msgspec.structs.replace(item, file=normal(item.file)) for name, item in metrics},
        plots=tuple(msgspec.structs.replace(item, file=normal(item.file)) for item in declaration.plots),
    )


def _check_command(command: str, document: Document) -> None:
    try:
        fault = None if shlex.split(command) else "is empty"
    except ValueError as error:
        fault = f"cannot be split into words ({str(error).lower()})"
    if fault is not None:
        raise InvalidFileError(
            f"{document.name}, line {document.line(['command'])}: `command`: {command!r} {fault}; "
            "expected a program and its arguments"
        )


def _check_metric(name: str, metric: Metric, outputs: set[str], document: Document) -> None:
    _inside(metric.file, document, ["metrics", name, "file"])
    if outputs and not _among(metric.file, outputs):
        raise InvalidFileError(
            f"{document.name}, line {document.line(['metrics', name])}: the metric `{name}` is read from "
            f"{metric.file!r}, which is not among the outputs ({', '.join(sorted(outputs))})"
        )
    for key in ("absolute", "relative"):
        value = getattr(metric.tolerance, key)
        if not 0 <= value < math.inf:
            where: list[str | int] = ["metrics", name, "tolerance", key]
            raise InvalidFileError(
                f"{document.name}, line {document.line(where)}: `metrics.{name}.tolerance.{key}`: found {value:g}, "
                "expected a number that is zero or greater"
            )


def _inside(path: str, document: Document, where: list[str | int]) -> None:
    parts = Path(path).parts
    if not parts or Path(path).is_absolute() or ".." in parts or path != path.strip():
        raise InvalidFileError(
            f"{document.name}, line {document.line(where)}: {path!r}: expected a path inside the study, relative to it"
        )
