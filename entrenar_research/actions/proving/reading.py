"""Reading what is signed about a run: each line with its signature checked, and its place among the others."""

from __future__ import annotations

from entrenar_research.actions.proving import vouching
from entrenar_research.core.proofs import agreement, chains
from entrenar_research.core.proofs.statements import Opened
from entrenar_research.errors import IntegrityError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.statement import AttestationStatement, Proof, ProofStatement
from entrenar_research.signers.port import Signer
from entrenar_research.store import run_files
from entrenar_research.store.proof_files import ProofFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


def place(study: StudyFiles, run: str) -> ProofFiles:
    """Where the statements about a run are."""
    return ProofFiles(RunFiles(study.root).directory(run), f"runs/{run}")


def proof(files: ProofFiles, signer: Signer) -> tuple[Opened[ProofStatement], ...]:
    """The statements of a proof, oldest first; none if there is no proof.

    Raises:
        IntegrityError: naming the first line that is malformed, wrongly signed or not where it belongs.
    """
    found = []
    for number, line in enumerate(files.lines(), 1):
        name = f"{files.proof}, line {number}"
        found.append(vouching.opened(line, name, ProofStatement, signer))
    for number, words in chains.faults(found):
        raise IntegrityError(f"{files.proof}, line {number}: {words}")
    return tuple(found)


def attestation(line: bytes, name: str, signer: Signer) -> Opened[AttestationStatement]:
    """One attestation.

    Raises:
        IntegrityError: if it is malformed, wrongly signed or contradicts itself.
    """
    opened = vouching.opened(line, name, AttestationStatement, signer)
    for words in contradictions(opened):
        raise IntegrityError(f"{name}: {words}")
    return opened


def contradictions(opened: Opened[AttestationStatement]) -> list[str]:
    """In words, where an attestation says one thing here and another there."""
    claim = opened.statement.predicate.claim
    said = {item.name: item for item in claim.outputs}
    words = []
    for path, digest in opened.files.items():
        item = said.get(path)
        if item is None:
            words.append(f"it says nothing of {path}, which is in its subject")
        elif (item.verdict == "identical") != (item.digest == digest):
            words.append(f"it calls {path} {item.verdict}, which its digests contradict")
    beyond = sorted(name for name in said if name not in opened.files and said[name].verdict != "different")
    words += [f"it calls {name} {said[name].verdict}, which is not in its subject" for name in beyond]
    rungs = [item.verdict for item in claim.outputs] + [item.verdict for item in claim.metrics]
    lowest = agreement.lowest(rungs)
    if claim.verdict != lowest or claim.same != (lowest != "different"):
        words.append(f"it says {claim.verdict}, its lowest verdict is {lowest}")
    return words


def others_subject(
    study: StudyFiles, record: RunRecord, opened: Opened[ProofStatement] | Opened[AttestationStatement]
) -> str | None:
    """In words, what of a statement is about something else than this run; None if nothing is.

    Raises:
        IntegrityError: if the run's manifest is malformed.
    """
    predicate = opened.statement.predicate
    outputs = RunFiles(study.root).manifest(record.id, run_files.OUTPUTS)
    run, claim = (
        (predicate.evidence.run, predicate.claim)
        if isinstance(predicate, Proof)
        else (predicate.claim.run, predicate.claim)
    )
    if run != record.id:
        return f"it is about run {run}"
    if (claim.experiment, claim.recipe, claim.result) != (record.experiment, record.recipe, record.result):
        return "its experiment, recipe or result is not the one of the record"
    differing = sorted(path for path in {*outputs, *opened.files} if outputs.get(path) != opened.files.get(path))
    return f"its subject differs from what the run recorded: {', '.join(differing[:3])}" if differing else None
