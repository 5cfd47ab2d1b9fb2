"""Rebuilding a run in a scratch copy, and what an attestation says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from entrenar_research.actions.proving import impurities, stating
from entrenar_research.actions.running import surroundings
from entrenar_research.actions.verifying import judging, repeating, replay
from entrenar_research.actions.verifying.replay import Replayed
from entrenar_research.core import pins
from entrenar_research.core.proofs import agreement, environments, hardware
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.run import Environment, Hardware, RunRecord
from entrenar_research.models.statement import (
    Agreement,
    AttestationClaim,
    HardwareClass,
    Impurity,
    NixFacts,
    Rebuilt,
    RebuiltMetric,
)
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.runners.port import Runner
from entrenar_research.store import hashing
from entrenar_research.store.study_files import StudyFiles

_RUNGS: dict[Verdict, Agreement] = {
    Verdict.IDENTICAL: "identical",
    Verdict.EQUAL: "equal",
    Verdict.WITHIN: "within",
    Verdict.DIFFERENT: "different",
    Verdict.BROKEN: "different",
}


class Rebuild(msgspec.Struct, frozen=True, kw_only=True):
    """What came out and in what: `environment` in words, `hardware` the kind of machine, `seconds` what it took."""

    claim: AttestationClaim
    environment: str
    hardware: HardwareClass
    seconds: float
    impurities: tuple[Impurity, ...] = ()
    nix: NixFacts | None = None


def rebuild(
    study: StudyFiles, experiment: Experiment, record: RunRecord, *, runner: Runner, environment: Mapping[str, str]
) -> Rebuild:
    """Runs the recorded command again and judges every output and metric.

    Raises:
        Lacking: if a program, a package or a version is not here; nothing was executed.
        ReplayFailed: if the command fails.
        UsageError: if an input is missing.
    """
    with replay.replayed(study, experiment, record, runner=runner, environment=environment) as again:
        findings = judging.judge(study, experiment, record, again)
        outputs = tuple(_outputs(experiment, again, findings))
        used = _environment(record, again, environment)
        seconds, hermetic = again.seconds, again.hermetic
    metrics = tuple(_metrics(experiment, findings))
    machine = surroundings.hardware()
    lowest = agreement.lowest([item.verdict for item in outputs] + [item.verdict for item in metrics])
    return Rebuild(
        claim=AttestationClaim(
            run=record.id,
            experiment=record.experiment,
            recipe=record.recipe or "",
            result=record.result or "",
            same=lowest != "different",
            verdict=lowest,
            world=stating.world(runner.name, hermetic, used, machine),
            outputs=outputs,
            metrics=metrics,
        ),
        environment=_words(used, machine, hermetic),
        hardware=hardware.of_record(machine) or HardwareClass(architecture=machine.architecture),
        seconds=round(seconds, 3),
        impurities=() if hermetic and environments.sealed(hermetic) else (impurities.of_runner(runner.name),),
        nix=stating.nix_facts(hermetic),
    )


def _outputs(experiment: Experiment, again: Replayed, findings: Iterable[Finding]) -> Iterable[Rebuilt]:
    prefix = f"{experiment.result}/"
    for finding in findings:
        if finding.subject.startswith(prefix) and finding.verdict in _RUNGS:
            place = again.result / finding.subject.removeprefix(prefix)
            digest = f"sha256:{hashing.hash_file(place, md5=False).sha256}" if place.is_file() else None
            rung = _RUNGS[finding.verdict]
            detail = None if rung == "identical" else finding.detail
            yield Rebuilt(name=finding.subject, verdict=rung, digest=digest, detail=detail)


def _metrics(experiment: Experiment, findings: Iterable[Finding]) -> Iterable[RebuiltMetric]:
    prefix = f"{experiment.name}: "
    for finding in findings:
        if finding.subject.startswith(prefix) and finding.verdict in _RUNGS:
            name = finding.subject.removeprefix(prefix)
            yield RebuiltMetric(name=name, verdict=_RUNGS[finding.verdict], detail=finding.detail or None)


def _environment(record: RunRecord, again: Replayed, environment: Mapping[str, str]) -> Environment | None:
    """What it was rebuilt with, as far as the record names the same for the run."""
    recorded = record.environment
    if recorded is None:
        return None
    if again.hermetic is not None:
        return repeating.used(record, again)
    variables = {**environment, **pins.pinned(None), **recorded.variables}
    _, found = surroundings.environment(again.program, variables, directory=again.root, wanted=recorded.packages)
    return msgspec.structs.replace(found, program=recorded.program, variables=recorded.variables)


def _words(environment: Environment | None, machine: Hardware, hermetic: Hermetic | None) -> str:
    """`Python 3.11.2, 3 packages, Linux 6.1.0`: nothing that names a machine or a person."""
    parts = [f"Nix {hermetic.nix_version}"] if hermetic else []
    if environment is not None and environment.python:
        parts.append(f"Python {environment.python}, {len(environment.packages)} packages")
    elif environment is not None:
        parts.append(environment.program)
    return ", ".join([*parts, machine.system])
