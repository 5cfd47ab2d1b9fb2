"""Running an experiment: execute, observe, record, and put the result in place if all went well."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from entrenar_research.actions import conclusion, observation, recipes, surroundings, trace_files
from entrenar_research.core import digests, pins, recipe
from entrenar_research.errors import (
    InterruptedRunError,
    ResearchError,
    RunFailedError,
    UsageError,
)
from entrenar_research.models.experiment import Experiment, TraceLevel
from entrenar_research.models.run import Observed, RunRecord, TraceSummary
from entrenar_research.runners.port import Ended, Job, Runner
from entrenar_research.store import files, params_file, run_files
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git
from entrenar_research.tracers.port import Tracer

TOOL_VARIABLE = "ENTRENAR_RESULT"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run: parameters to set first, run although nothing changed, treat what is undeclared as failure."""

    assignments: dict[str, Any] = {}
    force: bool = False
    strict: bool = False
    fix: bool = False
    trace: TraceLevel | None = None
    under_dvc: bool = False
    echo: bool = False


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. `reasons` is empty if nothing had to be done; `previous` is the last good run."""

    record: RunRecord
    previous: RunRecord | None
    reasons: tuple[str, ...]
    set: dict[str, tuple[Any, Any]]
    drift: tuple[str, ...]
    recovered: tuple[str, ...]
    fixed: tuple[str, ...] = ()


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is carried out with."""

    runner: Runner
    tracer: Tracer
    environment: Mapping[str, str]
    now: Callable[[], datetime.datetime]
    tool: str
    announce: Callable[[str], None]


def run(study: StudyFiles, name: str, options: Options, means: Means) -> Ran:
    """Runs the experiment `name`, unless its last good run used the same recipe and its result is still there.

    Raises:
        UsageError: if the experiment, a parameter, an input or the program is not there; nothing was run.
        RunFailedError: if the command failed; the run is recorded and the last good result untouched.
        InterruptedRunError: if the person stopped it; recorded as cancelled.
    """
    experiment = study.experiment(name)
    recovered = conclusion.recover(study)
    changes = _assign(study, experiment, options.assignments)
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    ingredients = recipes.gather(study, experiment, hasher)
    previous = RunFiles(study.root).latest(name)
    level = options.trace or experiment.declaration.trace
    draft, argv = _draft(study, experiment, ingredients, previous, level, means)
    drift = DvcFiles(study.root).drift(experiment) if DvcFiles(study.root).present() else ()
    reasons = _reasons(study, experiment, previous, draft, hasher, options)
    hasher.save()
    ran = Ran(record=draft, previous=previous, reasons=reasons, set=changes, drift=drift, recovered=recovered)
    if not reasons and previous is not None:
        _refresh_lock(study, experiment, options)
        return msgspec.structs.replace(ran, record=previous)
    for reason in reasons:
        means.announce(reason)
    attempt = _Attempt(study, experiment, options, means, ingredients)
    record = attempt.carry_out(msgspec.structs.replace(draft, reasons=reasons), argv)
    return msgspec.structs.replace(ran, record=record, fixed=attempt.fixed)


def _assign(
    study: StudyFiles, experiment: Experiment, assignments: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    if not assignments:
        return {}
    file = experiment.declaration.params
    if file is None:
        raise UsageError(
            f"{experiment.name} has no params file, so nothing can be set",
            hint=f"name one as `params` in {experiment.file}",
        )
    study.params(experiment)
    return params_file.assign(study.root / file, file, dict(assignments))


def _draft(
    study: StudyFiles,
    experiment: Experiment,
    ingredients: recipes.Ingredients,
    previous: RunRecord | None,
    level: TraceLevel,
    means: Means,
) -> tuple[RunRecord, list[str]]:
    """The record as far as it is known before the run, and the words of the command (first: the program's path)."""
    declaration = experiment.declaration
    now = means.now()
    run_id = run_files.new_id(experiment.name, now)
    argv = recipe.expand(
        declaration.command,
        result=Staging(study.state, run_id).result.relative_to(study.root).as_posix(),
        params_file=declaration.params,
        seed=declaration.seed,
        params=recipe.dotted(ingredients.params),
    )
    variables = {**means.environment, **pins.pinned(declaration.plan.cpus)}
    known = previous.environment if previous else None
    wanted = known.packages if known is not None and known.packages_scope == "loaded" else None
    path, environment = surroundings.environment(argv[0], variables, wanted=wanted)
    shown = tuple(word.replace(f".entrenar/staging/{run_id}/result", experiment.result) for word in argv)
    record = RunRecord(
        id=run_id,
        experiment=experiment.name,
        status="running",
        tool=means.tool,
        runner=means.runner.name,
        started=conclusion.utc(now),
        command=declaration.command,
        argv=shown,
        seed=declaration.seed,
        params=ingredients.params,
        code=ingredients.code,
        inputs=ingredients.inputs,
        environment=environment,
        trace=TraceSummary(level=level, status="none"),
    )
    return record, [path, *argv[1:]]


def _reasons(
    study: StudyFiles,
    experiment: Experiment,
    previous: RunRecord | None,
    draft: RunRecord,
    hasher: Hasher,
    options: Options,
) -> tuple[str, ...]:
    """Why the experiment has to run; empty if it has not."""
    if previous is None:
        return ("it has no completed run yet",)
    words = list(recipe.differences(previous, draft))
    if not (study.root / experiment.result).is_dir():
        words.append("its result is missing")
    elif hasher.describe(experiment.result)[0].digest != previous.result:
        words.append(f"its result is not that of run {previous.id}")
    if not words and options.force:
        words.append("it was asked for (--force)")
    if not words and options.under_dvc:
        words.append("DVC asked for it")
    return tuple(words)


def _refresh_lock(study: StudyFiles, experiment: Experiment, options: Options) -> None:
    """Brings `dvc.lock` up to date where it lags behind an up-to-date result."""
    dvc_files = DvcFiles(study.root)
    if options.under_dvc or not dvc_files.present():
        return
    locked = dvc_files.locked().get(experiment.name)
    listed = {item.get("path"): item.get("md5") for item in (locked or {}).get("deps", [])} if locked else {}
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    now = {item.path: item.md5 for item in recipes.gather(study, experiment, hasher).dependencies}
    if listed != now:
        conclusion.update_lock(study, experiment)


class _Attempt:
    """One execution, from the staging area to the closed record."""

    def __init__(
        self,
        study: StudyFiles,
        experiment: Experiment,
        options: Options,
        means: Means,
        ingredients: recipes.Ingredients,
    ) -> None:
        self.study, self.experiment, self.options, self.means = study, experiment, options, means
        self.ingredients = ingredients
        self.runs = RunFiles(study.root)
        self.fixed: tuple[str, ...] = ()

    def carry_out(self, record: RunRecord, argv: list[str]) -> RunRecord:
        """Executes and concludes; a failure is recorded before it is raised."""
        area = Staging(self.study.state, record.id).open()
        try:
            record = msgspec.structs.replace(
                record, git=Git(self.study.root).state(), hardware=surroundings.hardware()
            )
            self.runs.open(record)
            self._write_manifest(record.id, run_files.INPUTS, {p: h.sha256 for p, h in self.ingredients.files.items()})
            record = self._execute(record, argv, area)
        except KeyboardInterrupt:
            self._abort(record, area, "cancelled", "interrupted")
            raise InterruptedRunError(
                f"run {record.id} was interrupted; it is recorded as cancelled, the last good result is untouched"
            ) from None
        except _Failed as failed:
            self._abort(failed.record, area, failed.status, failed.message)
            if failed.status == "cancelled":
                raise InterruptedRunError(failed.message) from failed.__cause__
            raise RunFailedError(failed.message, hint=failed.hint) from failed.__cause__
        except ResearchError as error:
            self._abort(record, area, "failed", error.message)
            raise
        conclusion.conclude(self.study, self.experiment, record, area, lock=not self.options.under_dvc)
        return record

    def _abort(self, record: RunRecord, area: Staging, status: str, failure: str) -> None:
        ended = record.ended or conclusion.utc(self.means.now())
        changed = {"status": status, "failure": failure, "ended": ended}
        if self.runs.directory(record.id).is_dir():
            self.runs.close(msgspec.structs.replace(record, **changed))
        area.close()

    def _execute(self, record: RunRecord, argv: list[str], area: Staging) -> RunRecord:
        directory = self.runs.directory(record.id)
        before = self._fixed_outputs()
        trace, wrapped = self._traced(record, argv, area)
        job = Job(
            argv=wrapped,
            directory=self.study.root,
            environment={
                **self.means.environment,
                **pins.pinned(self.experiment.declaration.plan.cpus),
                TOOL_VARIABLE: str(area.result.relative_to(self.study.root)),
            },
            stdout=directory / "stdout.txt",
            stderr=directory / "stderr.txt",
            echo=self.options.echo,
        )
        ended = self.means.runner.execute(job)
        record = msgspec.structs.replace(
            record,
            ended=conclusion.utc(self.means.now()),
            duration=ended.seconds,
            exit_status=ended.exit_status,
            signal=ended.signal,
            usage=ended.usage,
            trace=trace,
        )
        seen = None
        if trace.status == "recorded":
            record, seen = self._observe(record, area, wrapped)
        _refuse_failure(record, ended, directory)
        return self._accept(record, area, before, seen)

    def _observe(self, record: RunRecord, area: Staging, wrapped: list[str]) -> tuple[RunRecord, Observed | None]:
        """Reads the trace, keeps it in the run directory, and records what was loaded and touched."""
        try:
            trace = self.means.tracer.read(area.trace_log, command=wrapped, level=record.trace.level)
        except ResearchError as error:
            summary = msgspec.structs.replace(record.trace, status="unavailable", reason=error.message)
            return msgspec.structs.replace(record, trace=summary), None
        document = trace_files.document(trace, self.study.root, area.result, self.experiment)
        trace_files.write(self.runs.directory(record.id), document, trace)
        seen = observation.touched(self.study, trace, area.result)
        variables = {**self.means.environment, **pins.pinned(self.experiment.declaration.plan.cpus)}
        _, environment = surroundings.environment(record.argv[0], variables, touched=seen.packages)
        summary = msgspec.structs.replace(record.trace, calls=len(trace.calls), digest=document.trace_id)
        observed = observation.compare(self.experiment.declaration, self.experiment, seen)
        record = msgspec.structs.replace(record, trace=summary, observed=observed, environment=environment)
        return record, observed

    def _fixed_outputs(self) -> dict[str, tuple[int, int]]:
        sources = [item.source for item in self.experiment.declaration.outputs if not isinstance(item, str)]
        return {path: conclusion.stamp(self.study.root / path) for path in sources if (self.study.root / path).exists()}

    def _traced(self, record: RunRecord, argv: list[str], area: Staging) -> tuple[TraceSummary, list[str]]:
        level = record.trace.level
        if level == "none":
            return TraceSummary(level=level, status="none"), argv
        tracer = self.means.tracer
        reason = tracer.unavailable()
        if reason is not None:
            self.means.announce(f"no trace: {reason}")
            return TraceSummary(level=level, status="unavailable", reason=reason), argv
        version = f"{tracer.name} {tracer.version() or ''}".strip()
        wrapped = tracer.wrap(argv, level=level, log=area.trace_log)
        return TraceSummary(level=level, status="recorded", tracer=version), wrapped

    def _accept(
        self,
        record: RunRecord,
        area: Staging,
        before: dict[str, tuple[int, int]],
        seen: Observed | None,
    ) -> RunRecord:
        """The final record of a run that went well, with everything written but the result not yet in place."""
        try:
            if seen is not None:
                record = self._judge(record, seen)
            conclusion.collect(self.study, self.experiment, area, before)
            outputs = conclusion.inspect_outputs(self.experiment, area)
            metrics = conclusion.read_metrics(self.experiment, area.result)
        except ResearchError as error:
            raise _Failed(record, error.message, error.hint) from error
        prefix = self.experiment.result
        self._write_manifest(
            record.id, run_files.OUTPUTS, {f"{prefix}/{path}": item.sha256 for path, item in outputs.files.items()}
        )
        record = msgspec.structs.replace(
            record,
            status="completed",
            outputs=outputs.entries,
            result=outputs.whole.digest,
            result_md5=outputs.whole.md5,
            metrics=metrics,
        )
        record = msgspec.structs.replace(record, recipe=recipe.digest(record))
        area.promise(record)
        return record

    def _judge(self, record: RunRecord, observed: Observed) -> RunRecord:
        """Holds what was observed against the declaration: `--fix` extends it, `--strict` refuses."""
        if self.options.fix and observed.undeclared_reads:
            self.experiment, self.fixed = observation.declare(self.study, self.experiment, observed.undeclared_reads)
            hasher = Hasher(self.study.root, cache=self.study.state / "stat-cache.json")
            self.ingredients = recipes.gather(self.study, self.experiment, hasher)
            hasher.save()
            self._write_manifest(record.id, run_files.INPUTS, {p: h.sha256 for p, h in self.ingredients.files.items()})
            observed = msgspec.structs.replace(observed, undeclared_reads=())
            record = msgspec.structs.replace(
                record, observed=observed, code=self.ingredients.code, inputs=self.ingredients.inputs
            )
        offences = [f"reads {path} without declaring it" for path in observed.undeclared_reads]
        offences += [f"network: {call}" for call in observed.network]
        if self.options.strict and offences:
            raise RunFailedError("; ".join(offences), hint="declare the inputs (`--fix` does it) or run without --strict")
        return record

    def _write_manifest(self, run_id: str, name: str, entries: Mapping[str, str]) -> None:
        files.write_atomically(self.runs.directory(run_id) / name, digests.manifest(entries.items()))


class _Failed(Exception):
    """A run that went wrong, with its record so far."""

    def __init__(self, record: RunRecord, message: str, hint: str | None, status: str = "failed") -> None:
        super().__init__(message)
        self.record, self.message, self.hint, self.status = record, message, hint, status


def _refuse_failure(record: RunRecord, ended: Ended, directory: os.PathLike[str]) -> None:
    if ended.interrupted:
        raise _Failed(
            record,
            f"run {record.id} was interrupted; it is recorded as cancelled, the last good result is untouched",
            None,
            "cancelled",
        )
    if ended.exit_status != 0:
        how = f"was killed by {ended.signal}" if ended.signal else f"ended with exit status {ended.exit_status}"
        raise _Failed(
            record,
            f"the command of {record.experiment} {how}; the last good result is untouched{_last_words(directory)}",
            f"its output is in runs/{record.id}/",
        )


def _last_words(directory: os.PathLike[str]) -> str:
    try:
        with open(os.path.join(directory, "stderr.txt"), encoding="utf-8", errors="replace") as stream:
            lines = [line.rstrip() for line in stream.readlines()[-3:] if line.strip()]
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in lines)
