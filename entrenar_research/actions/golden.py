"""Golden traces: promoting the trace of a run, and holding a fresh traced replay against it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

import msgspec

from entrenar_research.actions import conclusion, data, replay, trace_files
from entrenar_research.core.traces import comparison as trace_comparison
from entrenar_research.core.traces import document
from entrenar_research.core.traces.comparison import Comparison
from entrenar_research.core.traces.document import TraceDocument
from entrenar_research.errors import IntegrityError, MissingToolError, UsageError
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.models.run import RunRecord
from entrenar_research.runners.port import Runner
from entrenar_research.store import files, study_files, sums
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tracers.port import Tracer


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A golden trace held against another: `against` says against what, `words` what differs first."""

    name: str
    against: str
    comparison: Comparison
    words: str


def promote(
    study: StudyFiles, run: RunRecord, name: str, *, now: datetime.datetime, tool: str, replace: bool
) -> GoldenRecord:
    """Makes the trace of a completed run the golden trace `name`.

    Raises:
        UsageError: if the run was not completed or not fully traced, or the name is taken.
        IntegrityError: if the trace is incomplete or damaged.
    """
    study_files.check_name(name, "golden trace")
    golden = GoldenFiles(study.root)
    if golden.directory(name).exists() and not replace:
        raise UsageError(f"there is a golden trace {name!r} already", hint="give --replace, or another name")
    if run.status != "completed":
        raise UsageError(f"run {run.id} is {run.status}: only a completed run can be promoted")
    wanting = [
        f for f in sums.check(RunFiles(study.root).directory(run.id), f"runs/{run.id}", area="") if f.verdict.wanting
    ]
    if wanting:
        raise IntegrityError(f"{wanting[0].subject}: {wanting[0].detail}; a damaged run cannot be promoted")
    found = trace_files.load(RunFiles(study.root).directory(run.id), run.id)
    _refuse_unfit(run, found)
    table = files.read_text(RunFiles(study.root).directory(run.id) / trace_files.SUMMARY)
    record = GoldenRecord(
        name=name,
        experiment=run.experiment,
        run=run.id,
        promoted=conclusion.utc(now),
        tool=tool,
        tracer=f"{found.tracer} {found.tracer_version or ''}".strip(),
        recipe=run.recipe,
        result=run.result,
        trace_id=found.trace_id,
        total=found.recorded,
        calls=found.counts,
    )
    golden.write(record, document.encode(found), table)
    data.track(study, f"{golden.relative(name)}/{name}.json")
    return record


def _refuse_unfit(run: RunRecord, found: TraceDocument) -> None:
    if found.level != "full":
        raise UsageError(
            f"run {run.id} was traced at level {found.level!r}; a golden trace needs every call",
            hint=f"`entrenar-research run {run.experiment} --trace full --force`, then promote that run",
        )
    if not found.complete:
        raise IntegrityError(f"the trace of run {run.id} is incomplete: {'; '.join(found.problems)}")


def load(study: StudyFiles, name: str) -> tuple[GoldenRecord, TraceDocument]:
    """A golden trace with its record.

    Raises:
        UsageError: if there is none of that name, or its data is not here.
        IntegrityError: if it is damaged, or is not what its record says.
    """
    golden = GoldenFiles(study.root)
    record = golden.load(name)
    path = golden.document(name)
    shown = f"{golden.relative(name)}/{path.name}"
    if not path.is_file():
        raise UsageError(f"{shown} is missing", hint=f"fetch it with `dvc pull {shown}` or `dvc checkout {shown}`")
    found = document.decode(path.read_bytes(), shown)
    if (found.trace_id, found.counts) != (record.trace_id, record.calls):
        raise IntegrityError(f"{golden.relative(name)}/golden.yaml is not the record of {shown}")
    return record, found


def check_run(study: StudyFiles, name: str, run: RunRecord) -> Checked:
    """Holds the trace of a recorded run against a golden one.

    Raises:
        UsageError: if the run has no full trace.
    """
    _, expected = load(study, name)
    found = trace_files.load(RunFiles(study.root).directory(run.id), run.id)
    _refuse_unfit(run, found)
    return _held(name, f"run {run.id}", expected, found)


def check_again(
    study: StudyFiles, name: str, *, runner: Runner, tracer: Tracer, environment: Mapping[str, str]
) -> Checked:
    """Traces the experiment anew in a scratch copy, as its declaration is now, and holds that against the golden trace.

    Raises:
        MissingToolError: if nothing can be traced here.
        ToolError: if this machine lacks what the run used, or the command fails.
    """
    record, expected = load(study, name)
    reason = tracer.unavailable()
    if reason is not None:
        raise MissingToolError(f"a golden trace cannot be checked here: {reason}")
    experiment = study.experiment(record.experiment)
    run = RunFiles(study.root).load(record.run)
    latest = RunFiles(study.root).latest(record.experiment) or run
    now = msgspec.structs.replace(
        latest,
        command=experiment.declaration.command,
        seed=experiment.declaration.seed,
        params=study.params(experiment),
        logged_params=(),
    )
    with replay.replayed(study, experiment, now, runner=runner, environment=environment, tracer=tracer) as again:
        if again.trace is None:
            raise IntegrityError("the tracer left no trace")
        places = {again.result: experiment.result, again.run: trace_files.RUN}
        names = trace_files.replacements(again.root, places, again.program)
        staged = again.result.relative_to(again.root).as_posix()
        moved = trace_files.relocated(again.trace, staged, experiment.result)
        found = trace_files.document(moved, names, version=tracer.version())
    return _held(name, "a fresh run", expected, found)


def _held(name: str, against: str, expected: TraceDocument, found: TraceDocument) -> Checked:
    if expected.rules != found.rules:
        raise UsageError(
            f"{name} was normalised by rules {expected.rules}, this version has {found.rules}",
            hint="promote it again with --replace",
        )
    comparison = trace_comparison.compare(expected.lines, expected.counts, found.lines, found.counts)
    return Checked(name=name, against=against, comparison=comparison, words=trace_comparison.describe(comparison))
