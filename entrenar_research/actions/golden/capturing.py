"""Running an experiment again in scratch copies: traced, for its behaviour, and untraced, for what it needs."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import msgspec

from entrenar_research.actions.hermetic import inside
from entrenar_research.actions.traces import files, measuring, spans
from entrenar_research.actions.traces.choosing import Tracers
from entrenar_research.actions.verifying import replay
from entrenar_research.core.traces import memory
from entrenar_research.errors import IntegrityError, MissingToolError, UsageError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.measured import Measured, Repetition
from entrenar_research.models.run import RunRecord
from entrenar_research.runners.port import Runner
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tracers.port import Tracer

_HOST = "host"


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What repetitions are carried out with: `runners` by name, `named` if the person wants a particular one.

    `progress` is told what is being done.
    """

    runners: Callable[[str], Runner]
    named: str | None = None
    tracers: Tracers
    environment: Mapping[str, str]
    now: Callable[[], datetime.datetime]
    tool: str
    progress: Callable[[int, int], None] = lambda done, total: None


def refuse_blind(means: Means) -> None:
    """Refuses a named tracer on whose traces nothing golden can be founded.

    Raises:
        UsageError: if so.
    """
    means.tracers.refuse("golden traces, and what is held against them,", "some", "nothing")


def runner(means: Means, made: str, what: str) -> Runner:
    """The runner that made `what`: its repetitions are made by the same, or they are no repetitions.

    Raises:
        UsageError: if the person named another, or nothing of it can be repeated.
        MissingToolError: if it does not work here.
    """
    if means.named is not None and means.named != made:
        raise UsageError(
            f"{what} was made by the runner {made}, and another makes other calls: it cannot be repeated with "
            f"{means.named}",
            hint=f"leave --runner and ENTRENAR_RUNNER out, or give {made}",
        )
    found = means.runners(made)
    reason = found.unavailable(means.environment)
    if reason is not None:
        raise MissingToolError(f"{what} was made by the runner {made}: {reason}")
    if found.seals:
        inside.refuse(source=False, tracer=means.tracers.named)
    return found


def tracer(means: Means, by: Runner, of: Sequence[str]) -> Tracer:
    """The tracer for repetitions: the first of `of` that works; a sealed world has its own, which is read here.

    Raises:
        MissingToolError: if nothing can be traced here.
    """
    return means.tracers.reader(inside.TRACER) if by.seals else means.tracers.able("full", of=tuple(of))


def as_declared_now(study: StudyFiles, run: RunRecord) -> RunRecord:
    """The record of the experiment's last good run (`run` if there is none), with its declaration as it is now."""
    experiment = study.experiment(run.experiment)
    latest = RunFiles(study.root).latest(run.experiment) or run
    return msgspec.structs.replace(
        latest,
        command=experiment.declaration.command,
        seed=experiment.declaration.seed,
        params=study.params(experiment),
        logged_params=(),
    )


def traced(
    study: StudyFiles, experiment: Experiment, run: RunRecord, *, by: Runner, tracer: Tracer, means: Means
) -> TraceDocument:
    """The trace of one repetition in a scratch copy.

    Raises:
        ToolError: if this machine lacks what the run used, or the command fails.
        IntegrityError: if there is no trace.
    """
    with replay.replayed(study, experiment, run, runner=by, environment=means.environment, tracer=tracer) as again:
        if again.trace is None:
            raise IntegrityError("the tracer left no trace")
        places = {again.result: experiment.result, again.run: files.RUN}
        names = files.replacements(again.root, places, again.program)
        staged = again.result.relative_to(again.root).as_posix()
        moved = files.relocated(again.trace, staged, experiment.result)
        logged = spans.joined(moved, again.run)
        version = inside.tracer_version(study.root) if by.seals else tracer.version()
        return files.document(moved, names, version=version, spans=logged.spans, span_of=logged.span_of)


def measured(
    study: StudyFiles,
    experiment: Experiment,
    run: RunRecord,
    number: int,
    means: Means,
    *,
    by: Runner,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Untraced repetitions in one scratch copy, after one to warm up; by another runner than the host, each in its own.

    Raises:
        ToolError: if this machine lacks what the run used, or the command fails in such a world of its own.
    """
    if by.name != _HOST:
        return _measured_by(study, experiment, run, number, means, by, progress or (lambda done, total: None))
    with replay.rehearsed(study, experiment, run, environment=means.environment) as again:
        return measuring.measure(
            again.argv,
            directory=again.directory,
            environment=again.environment,
            repetitions=number,
            prepare=again.fresh,
            progress=progress,
        )


def _measured_by(
    study: StudyFiles,
    experiment: Experiment,
    run: RunRecord,
    number: int,
    means: Means,
    by: Runner,
    progress: Callable[[int, int], None],
) -> Measured:
    """Untraced repetitions by a runner: what it says that the command took."""
    every, found = measuring.WARM_UP + number, []
    for done in range(every):
        with replay.replayed(study, experiment, run, runner=by, environment=means.environment) as again:
            found.append(
                Repetition(
                    wall=again.seconds,
                    user=again.usage.user_seconds,
                    system=again.usage.system_seconds,
                    peak_memory=again.usage.peak_memory,
                    exit_status=0,  # one that fails is no replay
                )
            )
        progress(done + 1, every)
    return Measured(repetitions=tuple(found[measuring.WARM_UP :]))


def allocated(documents: Sequence[TraceDocument]) -> tuple[int, ...]:
    """The peak of the memory that each of the traces shows to be asked for, apart from stacks of threads, in bytes."""
    return tuple(memory.steady_peak(found) for found in documents)


def counts(documents: Sequence[TraceDocument]) -> dict[str, tuple[int, ...]]:
    """How often each call was made in each of the traces, all calls told or not, by name."""
    every = [Counter(call.name for call in found.calls) for found in documents]
    names = sorted({name for found in every for name in found})
    return {name: tuple(found[name] for found in every) for name in names}
