"""Replaying a run in a scratch copy of the study."""

from __future__ import annotations

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from entrenar_research.actions.hermetic import inside
from entrenar_research.actions.running import conclusion
from entrenar_research.actions.verifying import requirements, scratch_copy
from entrenar_research.core import pins, recipe
from entrenar_research.core.tracking import handover
from entrenar_research.errors import ToolError, UsageError
from entrenar_research.models.experiment import Experiment, TraceLevel
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.run import RunRecord, Usage
from entrenar_research.models.trace import Trace
from entrenar_research.runners.port import Ended, Job, Runner, Sealed
from entrenar_research.store import files, hashing
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tracers.port import Tracer


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A replay that ended: where its outputs are (until the scratch copy goes), and its trace if one was asked for.

    `run` is its own run directory, which goes with the copy. `began` is when, in seconds since 1970, `variables` what
    the command found in its environment. `hermetic` is what a sealed runner built it from.
    """

    runner: str
    root: Path
    result: Path
    run: Path
    program: str
    variables: Mapping[str, str]
    began: float
    seconds: float
    usage: Usage
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
            conclusion.fixed_places(root, experiment)
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
    conclusion.fixed_places(root, experiment)
    run = _own_run(root, record)
    argv, variables = _command(root, experiment, record, program, setting.environment)
    log = setting.directory / "trace.log"
    wrapped = tracer is not None and not setting.runner.seals
    level: TraceLevel = setting.level if tracer is not None else "none"
    places = inside.Places(result=result, log=log, run=run, scratch=setting.directory, level=level)
    job = Job(
        argv=tracer.wrap(argv, level=setting.level, log=log) if tracer is not None and wrapped else argv,
        directory=root,
        environment=variables,
        stdout=setting.directory / "stdout.txt",
        stderr=setting.directory / "stderr.txt",
        writable=(setting.directory,),
        sealed=_sealed(setting, experiment, record, argv, places) if setting.runner.seals else None,
    )
    began = time.time()
    ended = setting.runner.execute(job)
    _refuse_failure(ended, job.stderr)
    if not setting.runner.seals:  # what a sealed runner built is whole already
        collect(experiment, root, result)
    _refuse_strays(root, result, experiment)
    trace = tracer.read(log, command=argv, level=setting.level) if tracer is not None else None
    return Replayed(
        runner=setting.runner.name,
        root=root,
        result=result,
        run=run,
        program=program,
        variables=variables,
        began=began,
        seconds=ended.seconds,
        usage=ended.usage,
        trace=trace,
        hermetic=ended.hermetic,
    )


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


def _refuse_strays(root: Path, result: Path, experiment: Experiment) -> None:
    """Refuses what a run refuses: behind a link out of the copy lies what was not made now."""
    staged = result.relative_to(root).as_posix()
    try:
        for _ in hashing.walk(root, staged):
            pass
    except UsageError as error:
        raise ReplayFailed(error.message.replace(staged, experiment.result)) from error


def collect(experiment: Experiment, root: Path, result: Path) -> None:
    """Moves outputs that the command writes at fixed places."""
    for item in experiment.declaration.outputs:
        if not isinstance(item, str) and (root / item.source).exists():
            (result / item.path).parent.mkdir(parents=True, exist_ok=True)
            (root / item.source).rename(result / item.path)
