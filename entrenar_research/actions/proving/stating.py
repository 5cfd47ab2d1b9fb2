"""What a proof says, from the record and the files of a run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from entrenar_research.actions import golden
from entrenar_research.actions.proving import impurities
from entrenar_research.actions.traces import files as trace_files
from entrenar_research.core.proofs import environments, hardware, materials
from entrenar_research.errors import IntegrityError, ResearchError, UsageError
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.run import Environment, Hardware, RunRecord
from entrenar_research.models.statement import Behaviour, NixFacts, ProofClaim, ProofEvidence, World
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


def claim(study: StudyFiles, record: RunRecord, inputs: Mapping[str, tuple[str, int]]) -> ProofClaim:
    """What was done and what came out; `inputs` are all single files that went in, with digest and size.

    Raises:
        UsageError: if the run has no recipe or no result.
    """
    if record.recipe is None or record.result is None:
        raise UsageError(f"run {record.id} has no recipe and no result: there is nothing to state")
    return ProofClaim(
        experiment=record.experiment,
        recipe=record.recipe,
        result=record.result,
        command=record.command,
        seed=record.seed,
        world=world(record.runner, record.hermetic, record.environment, record.hardware),
        materials=materials.materials(record, inputs, _dois(study, record.experiment)),
        metrics={name: _number(value) for name, value in record.metrics.items()},
    )


def world(runner: str, hermetic: Hermetic | None, environment: Environment | None, machine: Hardware | None) -> World:
    """What a result was made in."""
    if hermetic is None:
        system = environments.system(machine.architecture if machine else "unknown")
        return World(
            runner=runner,
            hermetic=False,
            environment_kind="host",
            environment_hash=environments.of_host(environment, system),
            system=system,
        )
    return World(
        runner=runner,
        hermetic=environments.sealed(hermetic),
        environment_kind="nix",
        environment_hash=environments.of_hermetic(hermetic),
        system=hermetic.system,
        nar_hash=hermetic.nar_hash,
        settings=environments.of_sandbox(hermetic.settings),
        pins=hermetic.pins,
    )


def nix_facts(hermetic: Hermetic | None) -> NixFacts | None:
    """What Nix called it and how it was set up."""
    if hermetic is None:
        return None
    return NixFacts(
        nix_derivation=hermetic.derivation,
        output=hermetic.out_path,
        nix_version=hermetic.nix_version,
        settings=dict(hermetic.settings),
    )


def evidence(study: StudyFiles, record: RunRecord) -> ProofEvidence:
    """What belongs to this one run.

    Raises:
        IntegrityError: if its trace is damaged.
    """
    about = study.study()
    trace_id, tracer = _trace(study, record)
    return ProofEvidence(
        run=record.id,
        tool=record.tool,
        commit=record.git.commit,
        dirty=record.git.dirty,
        nix=nix_facts(record.hermetic),
        hardware=hardware.of_record(record.hardware),
        impurities=impurities.of_run(record),
        trace_id=trace_id,
        tracer=tracer,
        behaviour=tuple(_behaviour(study, record)) if trace_id else (),
        study=about.title,
        doi=about.doi,
    )


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else repr(value)


def _dois(study: StudyFiles, name: str) -> dict[str, str]:
    """What the declaration says; none of an experiment that is no longer declared, or not readably so."""
    try:
        return study.experiment(name).declaration.dois
    except ResearchError:
        return {}


def _trace(study: StudyFiles, record: RunRecord) -> tuple[str | None, str | None]:
    """The digest of the normalised trace, and what it was traced with."""
    directory = RunFiles(study.root).directory(record.id)
    if not (directory / trace_files.DOCUMENT).is_file():
        return None, None
    found = trace_files.load(directory, record.id)
    if record.trace.digest is not None and found.trace_id != record.trace.digest:
        raise IntegrityError(
            f"runs/{record.id}/{trace_files.DOCUMENT}: its digest is {found.trace_id[:19]}..., "
            f"the record says {record.trace.digest[:19]}..."
        )
    return found.trace_id, record.trace.tracer or found.tracer


def _behaviour(study: StudyFiles, record: RunRecord) -> Iterator[Behaviour]:
    """The run's trace against every golden one of its experiment; what cannot be compared is left out."""
    for name in GoldenFiles(study.root).names():
        try:
            promoted, _ = golden.load(study, name)
            if promoted.experiment != record.experiment:
                continue
            checked = golden.check_run(study, name, record)
        except ResearchError:
            continue
        if checked.agreeing == checked.traced:
            yield Behaviour(golden=name, trace_id=promoted.trace_id, score=1.0, verdict="PASS")
        elif checked.equivalence is not None:
            found = checked.equivalence
            yield Behaviour(golden=name, trace_id=promoted.trace_id, score=round(found.score, 6), verdict=found.verdict)
        else:
            yield Behaviour(golden=name, trace_id=promoted.trace_id)
