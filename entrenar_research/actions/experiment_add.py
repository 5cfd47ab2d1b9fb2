"""Declaring an experiment from one observed execution of its command; that execution becomes its first run."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from entrenar_research.actions import data, restoring
from entrenar_research.actions.restoring import Before
from entrenar_research.actions.running import attempt, conclusion, observation, recipes, surroundings
from entrenar_research.actions.running.attempt import Attempt, Means, Options
from entrenar_research.actions.traces import choosing
from entrenar_research.core import inference, pins, recipe
from entrenar_research.errors import ResearchError, RunFailedError, UsageError
from entrenar_research.models.experiment import Declaration, Experiment
from entrenar_research.models.run import RunRecord, TraceSummary
from entrenar_research.runners.port import Ended, Job
from entrenar_research.store import files, run_files, study_files
from entrenar_research.store.dvc_files import DvcFiles, stage
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import Document, dump
from entrenar_research.tools.git import Git
from entrenar_research.tracers.port import Tracer

_LOOKED_INTO = 1 << 20
_HOST = "host"


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """What would be declared: the experiment, its parameters, the data to put under DVC, what was odd.

    `notes` are sentences about what the person should know or change; `network` is whom the command called.
    """

    experiment: Experiment
    params: dict[str, Any] = {}
    data: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    network: tuple[str, ...] = ()

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


def check_free(study: StudyFiles, name: str) -> None:
    """Refuses a name that is taken or cannot be one.

    Raises:
        UsageError: if so.
    """
    study_files.check_name(name, "experiment")
    place = study.root / "experiments" / name
    if (place / "experiment.yaml").exists():
        raise UsageError(
            f"there is an experiment {name!r} already",
            hint=f"edit experiments/{name}/experiment.yaml, or take another name",
        )
    if (place / "result").exists():
        raise UsageError(
            f"there is experiments/{name}/result already; the experiment's result will be put there",
            hint="move it away, or take another name",
        )


def declare(study: StudyFiles, name: str, words: Sequence[str]) -> Proposal:
    """A bare declaration of the command, without running it."""
    check_free(study, name)
    return Proposal(experiment=Experiment(name=name, declaration=Declaration(command=recipe.command_line(words))))


@contextlib.contextmanager
def observed(study: StudyFiles, name: str, words: Sequence[str], means: Means, *, echo: bool) -> Iterator[Observed]:
    """Runs the command once, observed, and proposes a declaration; unless it is adopted, nothing of it stays.

    Raises:
        MissingToolError: if nothing can be observed here.
        UsageError: if another runner than the host is asked for.
        RunFailedError: if the command fails; the study is put back as it was.
    """
    check_free(study, name)
    if means.runner.name != _HOST:
        raise UsageError(
            f"a command is observed on this machine, as it is, before there is a declaration of it; the runner is "
            f"{means.runner.name}",
            hint=f"ENTRENAR_RUNNER=host entrenar-research experiment add ...; then run {name} --runner "
            f"{means.runner.name}",
        )
    dvc_files = DvcFiles(study.root)
    # What cannot be read now could not be written after the run.
    dvc_files.stages()
    dvc_files.locked()
    conclusion.recover(study)
    means.tracers.refuse("a declaration", "some", "nothing")
    means.tracers.able("observe", "the command cannot be observed here", "declare it by hand with --no-infer")
    area = Staging(study.state, run_files.new_id(name, means.now())).open()
    before = restoring.remember(study.root)
    try:
        yield _observe(study, name, words, means, area, before, echo=echo)
    finally:
        if area.directory.exists():
            for path in before.restore():
                means.announce(f"warning: {path} was changed by the command and is too large to be put back")
            area.close()


def _observe(
    study: StudyFiles,
    name: str,
    words: Sequence[str],
    means: Means,
    area: Staging,
    before: Before,
    *,
    echo: bool,
) -> Observed:
    tracer = means.tracers.able("observe")
    staged = area.result.relative_to(study.root).as_posix()
    argv = recipe.expand(recipe.command_line(words), result=staged, params_file=None, seed=None, params={})
    variables = {**means.environment, **pins.pinned(None)}
    path, environment = surroundings.environment(argv[0], variables, directory=study.root)
    argv[0] = path
    git, started, trace_id = Git(study.root).state(), means.now(), secrets.token_hex(16)
    job = Job(
        argv=tracer.wrap(argv, level="observe", log=area.trace_log),
        directory=study.root,
        environment={**variables, **attempt.told(study, area, attempt.provisional(area), trace_id)},
        stdout=area.directory / "stdout.txt",
        stderr=area.directory / "stderr.txt",
        echo=echo,
    )
    ended = means.runner.execute(job)
    _refuse_failure(ended, name)
    trace = tracer.read(area.trace_log, command=argv, level="observe")
    seen = observation.touched(study, trace, area.result)
    kept = {path for path in seen.continued if path in before.files}
    proposal = _propose(study, name, words, seen, kept, area)
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
        trace_id=trace_id,
    )
    record = attempt.concluded(record, ended, _summary(tracer), means)
    return Observed(area=area, proposal=proposal, record=record, argv=argv)


def _summary(tracer: Tracer) -> TraceSummary:
    return TraceSummary(level="observe", status="recorded", tracer=choosing.described(tracer))


def _refuse_failure(ended: Ended, name: str) -> None:
    if ended.interrupted:
        raise KeyboardInterrupt
    if ended.exit_status != 0:
        how = f"was killed by {ended.signal}" if ended.signal else f"ended with exit status {ended.exit_status}"
        raise RunFailedError(
            f"the command {how}; {name} was not declared and nothing is left of it",
            hint="correct the command, or declare it by hand with --no-infer",
        )


def _propose(
    study: StudyFiles,
    name: str,
    words: Sequence[str],
    seen: observation.Touched,
    kept: set[str],
    area: Staging,
) -> Proposal:
    pointers = tuple(DvcFiles(study.root).pointers())
    tracked = frozenset(Git(study.root).listed()) if (study.root / ".git").exists() else frozenset[str]()
    code = tuple(path for path in seen.reads if PurePosixPath(path).suffix in observation.CODE_SUFFIXES)
    read = [path for path in seen.reads if path not in code and path not in kept]
    inputs = data.gathered(study, sorted({data.owner(path, pointers) or path for path in read}))
    writes = [path for path in seen.writes if path not in kept]
    taken = (study.root / "experiments" / name / "params.yaml").exists()
    footprint = inference.Seen(
        code=code,
        inputs=inputs,
        settings=tuple(path for path in inputs if _is_mapping(study.root / path)),
        writes={path: _small(study.root / path) for path in writes},
        staged={path: _small(area.result / path) for path in seen.staged if (area.result / path).is_file()},
    )
    inferred = inference.infer(name, words, footprint, params_taken=taken)
    experiment = Experiment(name=name, declaration=inferred.declaration)
    unknown = inference.infer(name, words, footprint).params if taken else {}
    new = [path for path in inferred.declaration.inputs if data.is_new(path, tracked, pointers)]
    return Proposal(
        experiment=experiment,
        params=inferred.params,
        data=tuple(new) if DvcFiles(study.root).present() else (),
        notes=tuple(_notes(experiment, kept, set(writes) & tracked, unread=bool(unknown))),
        network=seen.network,
    )


def _notes(experiment: Experiment, kept: set[str], tracked: set[str], *, unread: bool) -> Iterator[str]:
    for path in sorted(kept):
        yield f"{path} was there before and is continued: a run depends on those before it; it is not declared"
    for path in sorted(tracked):
        yield f"{path} is tracked by Git and will be moved to {experiment.result}/: `git rm --cached {path}`"
    if unread:
        yield f"{experiment.directory}/params.yaml was not read: the options stay in the command"
    if not experiment.declaration.outputs:
        yield "the command wrote nothing that could be a result: let it write below ${result}"


def _is_mapping(path: Path) -> bool:
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    try:
        return isinstance(Document(files.read_text(path), path.name).value, dict)
    except ResearchError:
        return False


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
    ignored = directory / ".gitignore"
    present = files.read_text(ignored) if ignored.is_file() else ""
    if "/result" not in present.splitlines():
        joint = "" if not present or present.endswith("\n") else "\n"
        files.write_atomically(ignored, f"{present}{joint}/result\n")
    if proposal.params:
        files.write_atomically(directory / "params.yaml", dump(proposal.params))
    data.track(study, *proposal.data)
    if DvcFiles(study.root).present():
        DvcFiles(study.root).write_stage(experiment)
    study.write_declaration(experiment)


def adopt(study: StudyFiles, found: Observed, means: Means) -> RunRecord:
    """Writes the proposal and makes the execution its first run.

    Raises:
        RunFailedError: if an output is not what was proposed; the caller then puts the study back.
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
    return Attempt(study, experiment, Options(), means, ingredients).adopt(record, found.area, found.argv, streams)
