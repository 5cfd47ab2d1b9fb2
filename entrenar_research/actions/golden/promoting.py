"""Promoting the trace of a run: fresh repetitions, every gate, then the files."""

from __future__ import annotations

from typing import Final

import msgspec

from entrenar_research.actions import data
from entrenar_research.actions.golden import analysing, capturing, gates
from entrenar_research.actions.golden.capturing import Means
from entrenar_research.actions.golden.files import trace_of_run
from entrenar_research.actions.golden.gates import Candidate
from entrenar_research.actions.running import conclusion
from entrenar_research.actions.traces import files as trace_files
from entrenar_research.actions.verifying.replay import Lacking
from entrenar_research.core import regression
from entrenar_research.core.traces import document, figures
from entrenar_research.errors import IntegrityError, MissingToolError, ResearchError, UsageError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.golden import GateResult, GoldenEnvironment, GoldenRecord, Noise, Steady
from entrenar_research.models.run import Hardware, RunRecord
from entrenar_research.store import files, policy_file, run_files, study_files, sums
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

REPETITIONS: Final = 5
"""How often a run is repeated before it becomes golden, traced and untraced each: as few as statistics can do with."""


class Promotion(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a promotion: the record, and what every gate said; `written` is false where one refused."""

    record: GoldenRecord
    written: bool

    @property
    def refused(self) -> tuple[GateResult, ...]:
        """The gates that refused."""
        return gates.refusing(self.record.gates)


def promote(
    study: StudyFiles,
    run: RunRecord,
    name: str,
    *,
    means: Means,
    repeat: int = REPETITIONS,
    replace: bool = False,
) -> Promotion:
    """Makes the trace of a run the golden trace `name`, unless a gate refuses: then nothing is written.

    The run is repeated `repeat` times traced, with the tracer that traced it, and as often untraced.

    Raises:
        UsageError: if the run was not fully traced, or not with the tracer that was named, the name is taken, or fewer
            than two repetitions are asked for.
        MissingToolError: if the tracer that was named does not work here.
        IntegrityError: if the run is damaged.
    """
    golden = GoldenFiles(study.root)
    _refuse(golden, name, repeat=repeat, replace=replace)
    capturing.refuse_blind(means)
    _refuse_damaged(study, run)
    found = trace_of_run(study, run)
    capturing.runner(means, run.runner, f"run {run.id}")
    _refuse_other_tracer(run, found, means)
    candidate = Candidate(name=name, run=run, document=found, policy=policy_file.load(study.root))
    said = gates.refusing(gates.ask(msgspec.structs.replace(candidate, unrepeated="not asked yet")))
    if said:
        candidate = msgspec.structs.replace(candidate, unrepeated=f"the gate {said[0].gate} has refused already")
    else:
        candidate = _repeated(study, candidate, repeat, means)
    record = _record(study, candidate, means, gates.ask(candidate))
    if gates.refusing(record.gates):
        return Promotion(record=record, written=False)
    directory = RunFiles(study.root).directory(run.id)
    table = figures.summary(files.read_text(directory / trace_files.SUMMARY), found, candidate.measured)
    source = directory / trace_files.SOURCE
    golden.write(record, document.encode(found), table, source.read_bytes() if source.is_file() else None)
    data.track(study, f"{golden.relative(name)}/{name}.json")
    analysing.write(study)
    return Promotion(record=record, written=True)


def _refuse(golden: GoldenFiles, name: str, *, repeat: int, replace: bool) -> None:
    study_files.check_name(name, "golden trace")
    if golden.directory(name).exists() and not replace:
        raise UsageError(f"there is a golden trace {name!r} already", hint="give --replace, or another name")
    if repeat < 2:
        raise UsageError(f"{repeat} repetitions tell nothing of how steady it is, expected at least 2")


def _refuse_other_tracer(run: RunRecord, found: TraceDocument, means: Means) -> None:
    """Tracers write some calls differently: what is golden, and its repetitions, are one tracer's."""
    named = means.tracers.named
    if named is None:
        return
    if named.name != found.tracer:
        raise UsageError(
            f"run {run.id} was traced with {found.tracer}: its golden trace cannot be one of {named.name}",
            hint=f"`entrenar-research run {run.experiment} --trace full --tracer {named.name} --force`, "
            "then promote that run",
        )
    if not capturing.runner(means, run.runner, f"run {run.id}").seals:
        means.tracers.able("full")


def _refuse_damaged(study: StudyFiles, run: RunRecord) -> None:
    closed = sums.check(RunFiles(study.root).directory(run.id), f"runs/{run.id}", area="")
    wanting = [finding for finding in closed if finding.verdict.wanting]
    if wanting:
        raise IntegrityError(f"{wanting[0].subject}: {wanting[0].detail}; a damaged run cannot be promoted")


def _repeated(study: StudyFiles, candidate: Candidate, repeat: int, means: Means) -> Candidate:
    """The candidate with its fresh repetitions, or with why there are none."""
    run = candidate.run
    experiment = study.experiment(run.experiment)
    every = 2 * repeat + 1
    documents: list[TraceDocument] = []
    try:
        by = capturing.runner(means, run.runner, f"run {run.id}")
        tracer = capturing.tracer(means, by, (candidate.document.tracer,))
        for done in range(repeat):
            means.progress(done, every)
            documents.append(capturing.traced(study, experiment, run, by=by, tracer=tracer, means=means))
        measured = capturing.measured(
            study, experiment, run, repeat, means, by=by, progress=lambda done, _: means.progress(repeat + done, every)
        )
    except (Lacking, MissingToolError) as error:
        return msgspec.structs.replace(candidate, unrepeated=error.message)
    except ResearchError as error:
        return msgspec.structs.replace(candidate, failed=error.message)
    return msgspec.structs.replace(candidate, repeated=tuple(documents), measured=measured)


def _record(
    study: StudyFiles, candidate: Candidate, means: Means, said: tuple[GateResult, ...]
) -> GoldenRecord:  # fmt: skip
    run, found, measured = candidate.run, candidate.document, candidate.measured
    return GoldenRecord(
        name=candidate.name,
        experiment=run.experiment,
        run=run.id,
        promoted=conclusion.utc(means.now()),
        tool=means.tool,
        tracer=f"{found.tracer} {found.tracer_version or ''}".strip(),
        runner=run.runner,
        command=run.command,
        inputs=_inputs(study, run),
        environment=_environment(run),
        recipe=run.recipe,
        result=run.result,
        trace_id=found.trace_id,
        total=found.recorded,
        calls=found.counts,
        noise=Noise(
            traced=len(candidate.repeated),
            agreed=candidate.agreeing,
            counts={name: _compact(made) for name, made in capturing.counts(candidate.repeated).items()},
            allocated=_compact(capturing.allocated(candidate.repeated)) if candidate.repeated else None,
            elapsed=round(regression.variation(measured.wall), 6) if measured else None,
        ),
        repetitions=measured.repetitions if measured else (),
        gates=said,
    )


def _compact(found: tuple[int, ...]) -> Steady:
    return found[0] if len(set(found)) == 1 else found


def _inputs(study: StudyFiles, run: RunRecord) -> dict[str, str]:
    """The digests of what went into the run: code, inputs and the file of parameters, by study path."""
    found = {item.path: item.digest for item in (*run.code, *run.inputs)}
    params = study.experiment(run.experiment).declaration.params
    digest = RunFiles(study.root).manifest(run.id, run_files.INPUTS).get(params or "")
    return dict(sorted({**found, **({params: digest} if params and digest else {})}.items()))


def _environment(run: RunRecord) -> GoldenEnvironment:
    used, machine = run.environment, run.hardware or Hardware(architecture="", system="")
    return GoldenEnvironment(
        python=used.python if used else None,
        packages=used.packages if used else {},
        system=machine.system or None,
        architecture=machine.architecture or None,
        cpu=machine.cpu,
        cores=machine.cores,
    )
