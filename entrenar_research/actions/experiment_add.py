"""Declaring an experiment from one observed execution of its command; that execution becomes its first run."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from entrenar_research.actions import attempt, conclusion, data, observation, recipes, surroundings
from entrenar_research.actions.attempt import Attempt, Means, Options
from entrenar_research.core import inference, pins, recipe
from entrenar_research.errors import MissingToolError, RunFailedError, UsageError
from entrenar_research.models.experiment import Declaration, Experiment
from entrenar_research.models.run import RunRecord, TraceSummary
from entrenar_research.runners.port import Ended, Job
from entrenar_research.store import files, hashing, run_files, study_files
from entrenar_research.store.dvc_files import DvcFiles, stage
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import dump
from entrenar_research.tools.git import Git

_LOOKED_INTO = 1 << 20


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What would be declared: the experiment, its parameters, the data to put under DVC, what was odd."""

    experiment: Experiment
    params: dict[str, Any]
    data: tuple[str, ...]
    outside: tuple[str, ...]
    network: tuple[str, ...]

    @property
    def declaration_text(self) -> str:
        """`experiment.yaml` as it would be written."""
        return study_files.declaration_text(self.experiment.declaration)

    @property
    def stage_text(self) -> str:
        """The stage of `dvc.yaml` as it would be written."""
        return dump({"stages": {self.experiment.name: stage(self.experiment)}})


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that went well and waits for a decision."""

    area: Staging
    proposal: Proposal
    record: RunRecord
    argv: list[str]
    created: tuple[str, ...]


def check_free(study: StudyFiles, name: str) -> None:
    """Refuses a name that is taken or cannot be one.

    Raises:
        UsageError: if so.
    """
    study_files.check_name(name, "experiment")
    if (study.root / "experiments" / name / "experiment.yaml").exists():
        raise UsageError(
            f"there is an experiment {name!r} already",
            hint=f"edit experiments/{name}/experiment.yaml, or take another name",
        )


def declare(study: StudyFiles, name: str, words: Sequence[str]) -> Proposal:
    """A bare declaration of the command, without running it."""
    check_free(study, name)
    declaration = Declaration(command=shlex.join(words).replace("'${", "${").replace("}'", "}"))
    return Proposal(
        experiment=Experiment(name=name, declaration=declaration), params={}, data=(), outside=(), network=()
    )


@contextlib.contextmanager
def observed(
    study: StudyFiles, name: str, words: Sequence[str], means: Means, *, echo: bool
) -> Iterator[Observed]:
    """Runs the command once, observed, and proposes a declaration; unless it is adopted, nothing of it stays.

    Raises:
        MissingToolError: if nothing can be observed here.
        RunFailedError: if the command fails; what it wrote is removed again.
    """
    check_free(study, name)
    conclusion.recover(study)
    reason = means.tracer.unavailable()
    if reason is not None:
        raise MissingToolError(
            f"the command cannot be observed here: {reason}", hint="declare it by hand with --no-infer"
        )
    run_id = run_files.new_id(name, means.now())
    area = Staging(study.state, run_id).open()
    before = set(_everything(study))
    try:
        found = _observe(study, name, words, means, area, before, echo=echo)
        yield found
    finally:
        if area.directory.exists():
            _clean(study, before)
            area.close()


def _everything(study: StudyFiles) -> Iterator[str]:
    for top, directories, names in os.walk(study.root):
        directories[:] = [name for name in directories if name not in hashing.SKIPPED_DIRECTORIES]
        inside = os.path.relpath(top, study.root)
        for name in (*names, *directories):
            yield name if inside == "." else f"{inside}/{name}"


def _clean(study: StudyFiles, before: set[str]) -> None:
    """Removes what was not there before, deepest first."""
    new = sorted(set(_everything(study)) - before, key=len, reverse=True)
    for path in new:
        if (study.root / path).is_dir():
            with contextlib.suppress(OSError):
                (study.root / path).rmdir()
        else:
            (study.root / path).unlink(missing_ok=True)


def _observe(
    study: StudyFiles,
    name: str,
    words: Sequence[str],
    means: Means,
    area: Staging,
    before: set[str],
    *,
    echo: bool,
) -> Observed:
    staged = area.result.relative_to(study.root).as_posix()
    line = shlex.join(words).replace("'${", "${").replace("}'", "}")
    argv = recipe.expand(line, result=staged, params_file=None, seed=None, params={})
    variables = {**means.environment, **pins.pinned(None)}
    path, environment = surroundings.environment(argv[0], variables)
    argv[0] = path
    git = Git(study.root).state()
    started = means.now()
    job = Job(
        argv=means.tracer.wrap(argv, level="observe", log=area.trace_log),
        directory=study.root,
        environment={**variables, attempt.RESULT_VARIABLE: staged},
        stdout=area.directory / "stdout.txt",
        stderr=area.directory / "stderr.txt",
        echo=echo,
    )
    ended = means.runner.execute(job)
    _refuse_failure(ended, name)
    trace = means.tracer.read(area.trace_log, command=argv, level="observe")
    seen = observation.touched(study, trace, area.result)
    proposal = _propose(study, name, words, seen, area)
    version = f"{means.tracer.name} {means.tracer.version() or ''}".strip()
    record = RunRecord(
        id=area.run_id,
        experiment=name,
        status="running",
        tool=means.tool,
        runner=means.runner.name,
        started=conclusion.utc(started),
        reasons=("it was declared by `experiment add`",),
        command=proposal.experiment.declaration.command,
        argv=(words[0], *(word.replace(staged, proposal.experiment.result) for word in argv[1:])),
        seed=proposal.experiment.declaration.seed,
        params=proposal.params,
        git=git,
        environment=environment,
        hardware=surroundings.hardware(),
    )
    summary = TraceSummary(level="observe", status="recorded", tracer=version)
    return Observed(
        area=area,
        proposal=proposal,
        record=attempt.concluded(record, ended, summary, means),
        argv=argv,
        created=tuple(sorted(set(_everything(study)) - before)),
    )


def _refuse_failure(ended: Ended, name: str) -> None:
    if ended.interrupted:
        raise KeyboardInterrupt
    if ended.exit_status != 0:
        how = (
            f"was killed by {ended.signal}" if ended.signal else f"ended with exit status {ended.exit_status}"
        )
        raise RunFailedError(
            f"the command {how}; {name} was not declared and nothing is left of it",
            hint="correct the command, or declare it by hand with --no-infer",
        )


def _propose(
    study: StudyFiles, name: str, words: Sequence[str], seen: observation.Touched, area: Staging
) -> Proposal:
    code = [path for path in seen.reads if PurePosixPath(path).suffix in observation.CODE_SUFFIXES]
    inputs = [path for path in seen.reads if path not in code]
    staged = {path: _small(area.result / path) for path in seen.staged if (area.result / path).is_file()}
    inferred = inference.infer(
        name,
        words,
        code=code,
        inputs=inputs,
        writes=seen.writes,
        staged=staged,
        contents={path: _small(study.root / path) for path in seen.writes},
    )
    tracked = set(Git(study.root).listed()) if (study.root / ".git").exists() else set()
    under_dvc = set(DvcFiles(study.root).pointers())
    new_data = tuple(
        path
        for path in inferred.declaration.inputs
        if path not in tracked and path not in under_dvc and not path.startswith("experiments/")
    )
    return Proposal(
        experiment=Experiment(name=name, declaration=inferred.declaration),
        params=inferred.params,
        data=new_data if DvcFiles(study.root).present() else (),
        outside=(),
        network=seen.network,
    )


def _small(path: Path) -> bytes | None:
    if path.is_file() and path.stat().st_size <= _LOOKED_INTO:
        return path.read_bytes()
    return None


def write(study: StudyFiles, proposal: Proposal) -> None:
    """Writes declaration, params file and DVC stage; the declaration last.

    Raises:
        StorageError: if the file system refuses.
        ToolError: if DVC refuses the data.
    """
    experiment = proposal.experiment
    directory = study.root / experiment.directory
    files.write_atomically(directory / ".gitignore", "/result\n")
    if proposal.params:
        files.write_atomically(directory / "params.yaml", dump(proposal.params))
    data.track(study, *proposal.data)
    if DvcFiles(study.root).present():
        DvcFiles(study.root).write_stage(experiment)
    study.write_declaration(experiment)


def adopt(study: StudyFiles, found: Observed, means: Means) -> RunRecord:
    """Writes the proposal and makes the execution its first run.

    Raises:
        RunFailedError: if an output is not what was proposed.
        StorageError: if the file system refuses.
    """
    write(study, found.proposal)
    experiment = study.experiment(found.proposal.experiment.name)
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    ingredients = recipes.gather(study, experiment, hasher)
    hasher.save()
    record = msgspec.structs.replace(
        found.record, code=ingredients.code, inputs=ingredients.inputs, params=ingredients.params
    )
    streams = (found.area.directory / "stdout.txt", found.area.directory / "stderr.txt")
    return Attempt(study, experiment, Options(), means, ingredients).adopt(
        record, found.area, found.argv, streams
    )
