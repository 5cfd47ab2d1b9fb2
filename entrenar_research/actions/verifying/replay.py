"""Replaying a run in a scratch copy of the study, and the verdict on every output and metric."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from entrenar_research.actions.hermetic import inside
from entrenar_research.actions.running import conclusion
from entrenar_research.actions.verifying import requirements, scratch_copy
from entrenar_research.core import content, metrics, pins, recipe
from entrenar_research.core.tracking import handover
from entrenar_research.errors import ResearchError, ToolError
from entrenar_research.models.experiment import Experiment, TraceLevel
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.run import RunRecord
from entrenar_research.models.trace import Trace
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.runners.port import Ended, Job, Runner, Sealed
from entrenar_research.store import files, hashing, run_files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import Document
from entrenar_research.tracers.port import Tracer

AREA = "replay"


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A replay that ended: where its outputs are (until the scratch copy goes), and its trace if one was asked for.

    `run` is its own run directory, which goes with the copy. `hermetic` is what a sealed runner built it from.
    """

    root: Path
    result: Path
    run: Path
    program: str
    seconds: float
    trace: Trace | None
    hermetic: Hermetic | None = None


class Rehearsed(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded command that can be run again and again in a scratch copy; `fresh` empties the places it writes to."""

    argv: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    fresh: Callable[[], None]


class Lacking(ToolError):
    """What the run used is not on this machine; the message names it."""


class ReplayFailed(ToolError):
    """The replayed command failed; the message says how."""


class _Setting(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with what a replay is carried out: `directory` holds the copy of the study and what is beside it."""

    study: StudyFiles
    directory: Path
    runner: Runner
    environment: Mapping[str, str]
    tracer: Tracer | None
    level: TraceLevel

    @property
    def root(self) -> Path:
        """The scratch copy."""
        return self.directory / "study"


@contextmanager
def replayed(
    study: StudyFiles,
    experiment: Experiment,
    record: RunRecord,
    *,
    runner: Runner,
    environment: Mapping[str, str],
    tracer: Tracer | None = None,
    level: TraceLevel = "full",
) -> Iterator[Replayed]:
    """Runs the recorded command again in a scratch copy, with the recorded variables; the copy goes at the end.

    Raises:
        Lacking: if a program, a package or a version is not here; nothing was executed.
        ReplayFailed: if the command fails.
        UsageError: if an input is missing.
    """
    program = record.argv[0] if runner.seals and record.argv else None
    with _scratch(study, experiment, record, environment=environment, program=program) as (scratch, program):
        setting = _Setting(
            study=study, directory=scratch, runner=runner, environment=environment, tracer=tracer, level=level
        )
        yield _execute(setting, experiment, record, program)


@contextmanager
def rehearsed(
    study: StudyFiles, experiment: Experiment, record: RunRecord, *, environment: Mapping[str, str]
) -> Iterator[Rehearsed]:
    """The recorded command in a scratch copy, to be run as often as one likes; the copy goes at the end.

    Raises:
        Lacking: if a program, a package or a version is not here.
        UsageError: if an input is missing.
    """
    with _scratch(study, experiment, record, environment=environment) as (scratch, program):
        root = scratch / "study"
        result = _result(root, record)
        argv, variables = _command(root, experiment, record, program, environment)

        def fresh() -> None:
            files.remove_tree(result)
            for item in experiment.declaration.outputs:
                if not isinstance(item, str):
                    files.remove_tree(root / item.source)
            with files.refusals("cannot make the scratch copy"):
                result.mkdir(parents=True)
            _own_run(root, record)

        yield Rehearsed(argv=tuple(argv), directory=root, environment=variables, fresh=fresh)


@contextmanager
def _scratch(
    study: StudyFiles,
    experiment: Experiment,
    record: RunRecord,
    *,
    environment: Mapping[str, str],
    program: str | None = None,
) -> Iterator[tuple[Path, str]]:
    """A directory with a copy of the study in `study`, and the program that the command starts here.

    A sealed world has the `program` whatever this machine has.
    """
    more = (scratch_copy.BY_NIX,) if program else ()
    program = program or _program(study, record, environment)
    scratch = Path(tempfile.mkdtemp(prefix="entrenar-replay-"))
    try:
        scratch_copy.copy_study(study, scratch / "study", scratch_copy.needed(study, experiment, *more))
        yield scratch, program
    finally:
        files.remove_tree(scratch)


def _program(study: StudyFiles, record: RunRecord, environment: Mapping[str, str]) -> str:
    suited = requirements.suited(study, record, environment)
    if suited.program is None:
        raise Lacking("this machine lacks: " + ", ".join(suited.lacking))
    return suited.program


def _result(root: Path, record: RunRecord) -> Path:
    """Where a replay in the scratch copy at `root` writes its result."""
    return root / ".entrenar" / "staging" / record.id / "result"


def _command(
    root: Path, experiment: Experiment, record: RunRecord, program: str, environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The command of the run in the scratch copy at `root`, with the variables that it gets."""
    shown = _result(root, record).relative_to(root).as_posix()
    argv = recipe.expand(
        record.command,
        result=shown,
        params_file=experiment.declaration.params,
        seed=record.seed,
        params=recipe.dotted(recipe.declared_params(record)),
    )
    argv[0] = program
    run = RunFiles(root).directory(record.id).relative_to(root).as_posix()
    return argv, {
        **handover.without(environment),
        **pins.pinned(experiment.declaration.plan.cpus),
        **(record.environment.variables if record.environment else {}),
        **handover.variables(study=str(root), run=run, result=shown, trace_id=secrets.token_hex(16)),
    }


def _execute(setting: _Setting, experiment: Experiment, record: RunRecord, program: str) -> Replayed:
    root, tracer = setting.root, setting.tracer
    result = _result(root, record)
    with files.refusals("cannot make the scratch copy"):
        result.mkdir(parents=True)
    run = _own_run(root, record)
    argv, variables = _command(root, experiment, record, program, setting.environment)
    log = setting.directory / "trace.log"
    wrapped = tracer is not None and not setting.runner.seals
    job = Job(
        argv=tracer.wrap(argv, level=setting.level, log=log) if tracer is not None and wrapped else argv,
        directory=root,
        environment=variables,
        stdout=setting.directory / "stdout.txt",
        stderr=setting.directory / "stderr.txt",
        writable=(setting.directory,),
        sealed=_sealed(
            setting,
            experiment,
            record,
            argv,
            inside.Places(
                result=result,
                log=log,
                run=run,
                scratch=setting.directory,
                level=setting.level if tracer is not None else "none",
            ),
        )
        if setting.runner.seals
        else None,
    )
    ended = setting.runner.execute(job)
    _refuse_failure(ended, job.stderr)
    collect(experiment, root, result)
    trace = tracer.read(log, command=argv, level=setting.level) if tracer is not None else None
    hermetic, seconds = ended.hermetic, ended.seconds
    return Replayed(root=root, result=result, run=run, program=program, seconds=seconds, trace=trace, hermetic=hermetic)


def _sealed(
    setting: _Setting, experiment: Experiment, record: RunRecord, argv: Sequence[str], places: inside.Places
) -> Sealed:
    """The recorded command as the sealed world has it: its result lies where the study has results."""
    staged = places.result.relative_to(setting.root).as_posix()
    command = [word.replace(staged, experiment.result) for word in argv]
    return inside.again(setting.study, StudyFiles(setting.root), experiment, record, command, places)


def _own_run(root: Path, record: RunRecord) -> Path:
    """A run directory in the scratch copy, as it was when the run began: the command may log to it."""
    runs = RunFiles(root)
    files.remove_tree(runs.directory(record.id))  # the recorded one, if Git tracks it
    return runs.open(
        RunRecord(
            id=record.id,
            experiment=record.experiment,
            status="running",
            tool=record.tool,
            runner=record.runner,
            started=record.started,
            command=record.command,
            argv=record.argv,
            seed=record.seed,
            params=recipe.declared_params(record),
        )
    )


def _refuse_failure(ended: Ended, stderr: Path) -> None:
    if ended.interrupted:
        raise KeyboardInterrupt
    if ended.exit_status == 0:
        return
    said = stderr.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    how = f"was killed by {ended.signal}" if ended.signal else f"ended with exit status {ended.exit_status}"
    raise ReplayFailed(f"the command {how}{': ' + said[0] if said else ''}")


def collect(experiment: Experiment, root: Path, result: Path) -> None:
    """Moves outputs that the command writes at fixed places."""
    for item in experiment.declaration.outputs:
        if not isinstance(item, str) and (root / item.source).exists():
            (result / item.path).parent.mkdir(parents=True, exist_ok=True)
            (root / item.source).rename(result / item.path)


def judge(study: StudyFiles, experiment: Experiment, record: RunRecord, again: Replayed) -> tuple[Finding, ...]:
    """The verdict ladder for every recorded output and every metric.

    Raises:
        IntegrityError: if the run's manifest is malformed.
    """
    prefix = f"{experiment.result}/"
    recorded = {
        path.removeprefix(prefix): digest
        for path, digest in RunFiles(study.root).manifest(record.id, run_files.OUTPUTS).items()
    }
    findings = _judge_metrics(experiment, record, again)
    metrics_fine = {f.subject: f.verdict for f in findings}
    present = {path.relative_to(again.result).as_posix() for path in again.result.rglob("*") if path.is_file()}
    outputs = []
    for path in sorted({*recorded, *present}):
        outputs.append(_judge_output(study, experiment, again, path, recorded, present, metrics_fine))
    return (*outputs, *findings)


def _judge_metrics(experiment: Experiment, record: RunRecord, again: Replayed) -> tuple[Finding, ...]:
    try:
        now = conclusion.read_metrics(experiment, again.result)
    except ResearchError as error:
        subject = f"{experiment.name}: metrics"
        return (Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail=error.message),)
    found = []
    for name, metric in experiment.declaration.metrics.items():
        subject = f"{experiment.name}: {name}"
        if name not in record.metrics:
            detail = f"{now[name]:g}; the run did not record it"
            found.append(Finding(area=AREA, subject=subject, verdict=Verdict.UNKNOWN, detail=detail))
            continue
        verdict, words = metrics.compare(record.metrics[name], now[name], metric.tolerance)
        found.append(Finding(area=AREA, subject=subject, verdict=verdict, detail=words))
    return tuple(found)


def _judge_output(
    study: StudyFiles,
    experiment: Experiment,
    again: Replayed,
    path: str,
    recorded: Mapping[str, str],
    present: set[str],
    metrics_fine: Mapping[str, Verdict],
) -> Finding:
    subject = f"{experiment.result}/{path}"
    if path not in present:
        return Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail="the replay did not write it")
    if path not in recorded:
        return Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail="only the replay wrote it")
    now = hashing.hash_file(again.result / path, md5=False)
    if f"sha256:{now.sha256}" == recorded[path]:
        return Finding(area=AREA, subject=subject, verdict=Verdict.IDENTICAL, detail=f"{now.size} bytes")
    detail = f"found sha256:{now.sha256[:12]}..., expected {recorded[path][:19]}..."
    here = study.root / experiment.result / path
    if here.is_file() and f"sha256:{hashing.hash_file(here, md5=False).sha256}" == recorded[path]:
        mine = content.content_digest(path, here.read_bytes())
        if mine is not None and mine == content.content_digest(path, (again.result / path).read_bytes()):
            detail = "same content, other bytes"
            return Finding(area=AREA, subject=subject, verdict=Verdict.EQUAL, detail=detail)
        verdict, words = _within(experiment, path, here, again.result / path, metrics_fine)
        return Finding(area=AREA, subject=subject, verdict=verdict, detail=words or detail)
    return Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail=detail)


def _within(
    experiment: Experiment, path: str, here: Path, there: Path, metrics_fine: Mapping[str, Verdict]
) -> tuple[Verdict, str | None]:
    """An output is `within` if each metric in it is, and everything else in it is equal."""
    declared = {
        name: metric.key or name for name, metric in experiment.declaration.metrics.items() if metric.file == path
    }
    fine = (Verdict.IDENTICAL, Verdict.WITHIN)
    if not declared or not all(metrics_fine.get(f"{experiment.name}: {name}") in fine for name in declared):
        return Verdict.DIFFERENT, None
    rest = []
    for place in (here, there):
        document = Document(files.read_text(place, shown=path), path).value
        rest.append(content.value_digest(metrics.without(document, declared.values())))
    if rest[0] != rest[1]:
        detail = f"its metrics ({', '.join(declared)}) lie within their tolerances, the rest of it differs"
        return Verdict.DIFFERENT, detail
    return Verdict.WITHIN, f"its metrics lie within their tolerances, the rest is equal: {', '.join(declared)}"


def verify_replay(
    study: StudyFiles,
    experiment: Experiment,
    record: RunRecord,
    *,
    runner: Runner,
    environment: Mapping[str, str],
) -> tuple[Finding, ...]:
    """Replays the last good run of an experiment; what cannot be replayed here is `unknown`, with the reason.

    Raises:
        ResearchError: if a sealed runner cannot build anything here.
    """
    try:
        with replayed(study, experiment, record, runner=runner, environment=environment) as again:
            return judge(study, experiment, record, again)
    except Lacking as error:
        return (
            Finding(
                area=AREA,
                subject=experiment.name,
                verdict=Verdict.UNKNOWN,
                detail=f"not replayed: {error.message}",
            ),
        )
    except ReplayFailed as error:
        return (Finding(area=AREA, subject=experiment.name, verdict=Verdict.DIFFERENT, detail=error.message),)
    except ResearchError as error:
        if runner.seals:
            raise  # what keeps Nix from building says nothing about the study
        return (Finding(area=AREA, subject=experiment.name, verdict=Verdict.BROKEN, detail=error.message),)
