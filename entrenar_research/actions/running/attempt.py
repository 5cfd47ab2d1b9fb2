"""One execution: staged, observed, recorded, and concluded if all went well."""

from __future__ import annotations

import datetime
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import msgspec

from entrenar_research.actions.hermetic import inside
from entrenar_research.actions.running import conclusion, diagnosis, observation, recipes, sealing, surroundings
from entrenar_research.actions.running.failed import CANCELLED, Failed, of_command
from entrenar_research.actions.traces import choosing, spans
from entrenar_research.actions.traces import files as trace_files
from entrenar_research.actions.traces import source as trace_source
from entrenar_research.actions.traces.choosing import Tracers
from entrenar_research.client import liveness
from entrenar_research.core import digests, pins, recipe
from entrenar_research.core.tracking import handover, plans
from entrenar_research.errors import InterruptedRunError, ResearchError, RunFailedError, StorageError
from entrenar_research.models.experiment import Experiment, TraceLevel
from entrenar_research.models.run import Observed, RunRecord, RunStatus, TraceSummary
from entrenar_research.models.tracking import Failure, Holder
from entrenar_research.runners.port import Ended, Job, Runner, Sealed
from entrenar_research.store import files, policy_file, run_files
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import log_room, python
from entrenar_research.tools.git import Git
from entrenar_research.tracers.port import Tracer

_NO_ROOM: Final = "no space left for it while the command ran"
_WITHOUT: Final = "see that it can be traced, or run without --strict and --fix"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run: parameters to set first, run although nothing changed, treat what is undeclared as failure.

    With `source` a full trace also says from where in the program its calls came.
    """

    assignments: dict[str, Any] = {}
    force: bool = False
    strict: bool = False
    fix: bool = False
    trace: TraceLevel | None = None
    source: bool = False
    under_dvc: bool = False
    echo: bool = False


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is carried out with."""

    runner: Runner
    tracers: Tracers
    environment: Mapping[str, str]
    now: Callable[[], datetime.datetime]
    tool: str
    announce: Callable[[str], None]


class Attempt:
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
        # Read before anything runs: a mistake in it is no reason to lose a run.
        self._compression = policy_file.load(study.root).compression
        self._record: RunRecord

    def carry_out(self, record: RunRecord, argv: list[str]) -> RunRecord:
        """Executes and concludes; a failure is recorded before it is raised."""
        area = Staging(self.study.state, record.id).open()
        self._record = record
        try:
            with files.refusals(f"run {record.id} could not be carried out"):
                record = self._execute(self._begin(record), argv, area)
        except KeyboardInterrupt:
            self._abort(area, "cancelled", "interrupted", diagnosis.cancelled())
            raise InterruptedRunError(CANCELLED.format(record.id)) from None
        except Failed as failed:
            self._abort(area, failed.status, failed.message, failed.context)
            if failed.status == "cancelled":
                raise InterruptedRunError(failed.message) from failed.__cause__
            raise RunFailedError(failed.message, hint=failed.hint) from failed.__cause__
        except ResearchError as error:
            self._abort(area, "failed", error.message, diagnosis.of_error(self.study.root, error))
            raise
        except BaseException:
            area.release()
            raise
        return conclusion.conclude(self.study, self.experiment, record, area, lock=not self.options.under_dvc)

    def _begin(self, record: RunRecord) -> RunRecord:
        record = msgspec.structs.replace(
            record,
            git=Git(self.study.root).state(),
            hardware=surroundings.hardware(),
            trace_id=secrets.token_hex(16),
            holder=Holder(machine=liveness.machine(), process=os.getpid()),
        )
        self.runs.open(record)
        self._write_manifest(record.id, run_files.INPUTS, {p: h.sha256 for p, h in self.ingredients.files.items()})
        return record

    def _abort(self, area: Staging, status: RunStatus, failure: str, context: Failure) -> None:
        """Records how the run ended, as far as is known; where that cannot be written, the next command does it."""
        ended = self._record.ended or conclusion.utc(self.means.now())
        record = msgspec.structs.replace(
            self._record, status=status, failure=failure, failure_context=context, ended=ended
        )
        files.remove_tree(area.result)  # first, for it may be what fills the disk
        try:
            if self.runs.directory(record.id).is_dir():
                sealing.seal_run(self.study, record)
        except StorageError:
            area.release()
            return
        area.close()

    def _execute(self, record: RunRecord, argv: list[str], area: Staging) -> RunRecord:
        directory = self.runs.directory(record.id)
        before = self._fixed_outputs()
        trace, wrapped = self._traced(record, argv, area)
        ours = trace.status == "recorded" and not self.means.runner.seals
        with diagnosis.Kernel() as kernel, log_room.kept(area.trace_log) if ours else nullcontext() as room:
            ended = self.means.runner.execute(self.job(record, wrapped, area))
            kernel_says = kernel.evidence(ended)
        if room is not None and not room.enough:
            self.means.announce(f"no trace: {_NO_ROOM}")
            trace = msgspec.structs.replace(trace, status="unavailable", reason=_NO_ROOM)
        record = concluded(record, ended, trace, self.means)
        planned = plans.deviations(self.experiment.declaration.plan, record.usage, record.duration)
        record = self._record = msgspec.structs.replace(record, plan=planned)
        seen = None
        if trace.status == "recorded":
            record, seen = self._observe(record, area, argv)
            self._record = record
        if ended.interrupted or ended.halted or ended.exit_status != 0:
            why = diagnosis.of_command(self.study.root, directory, record.argv, ended, kernel_says)
            raise of_command(record, ended, directory, why, sealed=self.means.runner.seals)
        return self._accept(record, area, before, seen)

    def job(self, record: RunRecord, argv: list[str], area: Staging) -> Job:
        """What the runner is to do: the command with its environment, its streams into the run's directory."""
        directory = self.runs.directory(record.id)
        environment = {
            **self.means.environment,
            **pins.pinned(self.experiment.declaration.plan.cpus),
            **told(self.study, area, directory, record.trace_id or ""),
        }
        places = () if self.means.runner.seals else conclusion.fixed_places(self.study.root, self.experiment)
        return Job(
            argv=argv,
            directory=self.study.root,
            environment=trace_source.prepare(environment, area.directory) if self._sourced(record) else environment,
            stdout=directory / "stdout.txt",
            stderr=directory / "stderr.txt",
            echo=self.options.echo,
            writable=(area.directory, directory, *places),
            sealed=self._sealed(record, area, directory),
        )

    def _sealed(self, record: RunRecord, area: Staging, directory: Path) -> Sealed | None:
        if not self.means.runner.seals:
            return None
        return inside.sealed(self.study, self.experiment, self.ingredients, record, area, directory)

    def adopt(self, record: RunRecord, area: Staging, argv: list[str], streams: Sequence[Path]) -> RunRecord:
        """Makes a run of an execution that went well before there was a declaration (`experiment add`).

        Raises:
            RunFailedError: if an output or metric is not what the declaration says.
        """
        directory = self.runs.open(record)
        try:
            for stream in streams:
                with files.refusals("cannot keep what the command printed"):
                    stream.rename(directory / stream.name)
            with files.refusals("cannot keep what the command logged"):
                for kept in sorted(provisional(area).iterdir()):
                    kept.rename(directory / kept.name)
            self._write_manifest(record.id, run_files.INPUTS, {p: h.sha256 for p, h in self.ingredients.files.items()})
            record, seen = self._observe(record, area, argv)
            record = self._accept(record, area, {}, seen)
        except Failed as failed:
            raise RunFailedError(failed.message, hint=failed.hint) from failed.__cause__
        return conclusion.conclude(self.study, self.experiment, record, area, lock=True)

    def _observe(self, record: RunRecord, area: Staging, argv: list[str]) -> tuple[RunRecord, Observed | None]:
        """Reads the trace, keeps it in the run directory, and records what was loaded and touched."""
        sourced, tracer = self._sourced(record), self._reader(record)
        try:
            if sourced:
                trace_source.take_stacks(area.trace_log, area.directory)
            trace = tracer.read(area.trace_log, command=argv, level=record.trace.level)
        except ResearchError as error:
            summary = msgspec.structs.replace(record.trace, status="unavailable", reason=error.message)
            return msgspec.structs.replace(record, trace=summary), None
        trace = trace_source.without_ours(trace, area.directory) if sourced else trace
        program = self._program(record)
        logs = (self.runs.directory(record.id), provisional(area))
        places = {area.result: self.experiment.result, **dict.fromkeys(logs, trace_files.RUN)}
        names = trace_files.replacements(self.study.root, places, program)
        staged = area.result.relative_to(self.study.root).as_posix()
        moved = trace_files.relocated(trace, staged, self.experiment.result)
        logged = spans.joined(moved, self.runs.directory(record.id))
        document = trace_files.document(
            moved, names, version=self._tracer_version(tracer), spans=logged.spans, span_of=logged.span_of
        )
        trace_files.write(self.runs.directory(record.id), document, trace_files.summary(trace), self._compression)
        if sourced:
            found = trace_source.collect(area.directory, moved, names, document)
            files.write_atomically(self.runs.directory(record.id) / trace_files.SOURCE, found)
        summary = msgspec.structs.replace(record.trace, calls=len(trace.calls), digest=document.trace_id)
        record = msgspec.structs.replace(record, trace=summary)
        if tracer.sees != "all":
            return record, None  # nothing follows from what it does not show
        seen = observation.touched(self.study, trace, area.result)
        if self.means.runner.seals:
            observed = observation.compare(self.experiment.declaration, self.experiment, seen)
            return msgspec.structs.replace(record, observed=observed), observed
        variables = {**self.means.environment, **pins.pinned(self.experiment.declaration.plan.cpus)}
        _, environment = surroundings.environment(
            record.argv[0], variables, directory=self.study.root, touched=seen.packages
        )
        observed = observation.compare(self.experiment.declaration, self.experiment, seen)
        return msgspec.structs.replace(record, observed=observed, environment=environment), observed

    def _fixed_outputs(self) -> dict[str, tuple[int, int]]:
        sources = [item.source for item in self.experiment.declaration.outputs if not isinstance(item, str)]
        return {path: conclusion.stamp(self.study.root / path) for path in sources if (self.study.root / path).exists()}

    def _traced(self, record: RunRecord, argv: list[str], area: Staging) -> tuple[TraceSummary, list[str]]:
        level = record.trace.level
        if level == "none":
            return TraceSummary(level=level, status="none"), argv
        if self.means.runner.seals:
            return inside.trace(self.study.root, level), argv
        tracer = self.means.tracers.find(level)
        if tracer is None:
            reason = self.means.tracers.reason(level)
            self.means.announce(f"no trace: {reason}")
            return TraceSummary(level=level, status="unavailable", reason=reason), argv
        version = choosing.described(tracer)
        wrapped = tracer.wrap(argv, level=level, log=area.trace_log)
        if self._sourced(record):
            wrapped = trace_source.with_stacks(wrapped, self._program(record))
        return TraceSummary(level=level, status="recorded", tracer=version), wrapped

    def _reader(self, record: RunRecord) -> Tracer:
        """The tracer that reads what was traced: a sealed world has its own strace."""
        tracers = self.means.tracers
        return tracers.reader(inside.TRACER) if self.means.runner.seals else tracers.able(record.trace.level)

    def _tracer_version(self, tracer: Tracer) -> str | None:
        return inside.tracer_version(self.study.root) if self.means.runner.seals else tracer.version()

    def _sourced(self, record: RunRecord) -> bool:
        """Whether the trace is to say from where in the program its calls come."""
        return self.options.source and record.trace.level == "full"

    def _program(self, record: RunRecord) -> str:
        """The program that the command starts here."""
        return python.resolve(record.argv[0], self.means.environment, directory=self.study.root) or record.argv[0]

    def _accept(
        self,
        record: RunRecord,
        area: Staging,
        before: dict[str, tuple[int, int]],
        seen: Observed | None,
    ) -> RunRecord:
        """The final record of a run that went well, with everything written but the result not yet in place."""
        looked_for = "UNDECLARED"
        try:
            if seen is not None:
                record = self._judge(record, seen)
            elif self.options.strict or self.options.fix:
                raise RunFailedError(f"nothing was observed of the run: {record.trace.reason}", hint=_WITHOUT)
            looked_for = "OUTPUT_MISSING"
            if not self.means.runner.seals:  # what a sealed runner built is whole already
                conclusion.collect(self.study, self.experiment, area, before)
            outputs = conclusion.inspect_outputs(self.experiment, area)
            looked_for = "METRIC_MISSING"
            metrics = conclusion.read_metrics(self.experiment, area.result)
        except ResearchError as error:
            context = diagnosis.of_error(self.study.root, error, looked_for)
            raise Failed(error.message, error.hint, context) from error
        prefix = self.experiment.result
        self._write_manifest(
            record.id,
            run_files.OUTPUTS,
            {f"{prefix}/{path}": item.sha256 for path, item in outputs.files.items()},
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
            raise RunFailedError(
                "; ".join(offences), hint="declare the inputs (`--fix` does it) or run without --strict"
            )
        return record

    def _write_manifest(self, run_id: str, name: str, entries: Mapping[str, str]) -> None:
        files.write_atomically(self.runs.directory(run_id) / name, digests.manifest(entries.items()))


def provisional(area: Staging) -> Path:
    """Where a command logs to that has no run directory yet (`experiment add`)."""
    return area.directory / "runs" / area.run_id


def told(study: StudyFiles, area: Staging, directory: Path, trace_id: str) -> dict[str, str]:
    """What the command of a run is told of it by its environment; it logs to `directory`, which is made if need be.

    Raises:
        StorageError: if the file system refuses.
    """
    with files.refusals("cannot make a place for what the command logs"):
        directory.mkdir(parents=True, exist_ok=True)
    return handover.variables(
        study=str(study.root),
        run=directory.relative_to(study.root).as_posix(),
        result=area.result.relative_to(study.root).as_posix(),
        trace_id=trace_id,
    )


def concluded(record: RunRecord, ended: Ended, trace: TraceSummary, means: Means) -> RunRecord:
    """The record with how the command ended."""
    return msgspec.structs.replace(
        record,
        ended=conclusion.utc(means.now()),
        duration=ended.seconds,
        exit_status=ended.exit_status,
        signal=ended.signal,
        usage=ended.usage,
        trace=trace,
        hermetic=ended.hermetic,
    )
