"""Who agrees about a run: its own proof, and everybody who rebuilt it and signed what came out."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.proving import reading
from entrenar_research.actions.proving.vouching import Signers
from entrenar_research.core.proofs import agreement, statements
from entrenar_research.core.proofs.agreement import Consensus, Voice
from entrenar_research.core.proofs.statements import Opened
from entrenar_research.errors import InvalidFileError, ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.statement import AttestationStatement, ConsensusPolicy, ProofStatement
from entrenar_research.signers.port import Signer
from entrenar_research.store import files, proof_files
from entrenar_research.store.study_files import StudyFiles


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What came together about a run, by which policy; `damaged` are statements that cannot be trusted, and why."""

    run: str
    result: str
    policy: ConsensusPolicy
    consensus: Consensus
    damaged: tuple[str, ...] = ()

    @property
    def reached(self) -> bool:
        """Whether the policy is satisfied, and no statement is damaged."""
        return self.consensus.reached and not self.damaged


def policy(path: Path | None) -> ConsensusPolicy:
    """The policy in a TOML file; the default one without.

    Raises:
        UsageError: if it cannot be read.
        InvalidFileError: if it does not hold what it should.
    """
    if path is None:
        return ConsensusPolicy()
    try:
        found = msgspec.convert(tomllib.loads(files.read_text(path)), ConsensusPolicy)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise InvalidFileError(
            f"{path.name}: {error}",
            hint="it may have keys, hardware_classes, verdicts, hermetic and disagreements; see docs/proofs.md",
        ) from error
    least = {"keys": 1, "hardware_classes": 0, "disagreements": 0}
    for name, value in least.items():
        if getattr(found, name) < value:
            raise InvalidFileError(f"{path.name}: {name} is {getattr(found, name)}, expected {value} or more")
    if not found.verdicts or "different" in found.verdicts:
        raise InvalidFileError(f"{path.name}: verdicts: expected one or more of identical, equal and within")
    return found


def consensus(
    study: StudyFiles, record: RunRecord, signer: Signer, wanted: ConsensusPolicy, *, trusted: Path | None = None
) -> Found:
    """Holds everything that is signed about a run against a policy.

    Only keys count that a list of signers has: the study's own, or `trusted`.
    """
    signers = Signers(trusted or study.allowed_signers, trusted=trusted is not None)
    damaged: list[str] = []
    voices = tuple(_voices(study, record, signer, signers, damaged))
    return Found(
        run=record.id,
        result=record.result or "",
        policy=wanted,
        consensus=agreement.consensus(voices, wanted),
        damaged=tuple(damaged),
    )


def _voices(
    study: StudyFiles, record: RunRecord, signer: Signer, signers: Signers, damaged: list[str]
) -> Iterator[Voice]:
    place = reading.place(study, record.id)
    try:
        proof = reading.proof(place, signer)
        if proof and (wrong := reading.others_subject(study, record, proof[-1])):
            damaged.append(f"{place.proof}: {wrong}")
        elif proof:
            yield _prover(proof[-1], place.proof, signers)
    except ResearchError as error:
        damaged.append(error.message)
    for name in place.attestations():
        shown = f"{place.shown}/{proof_files.ATTESTATIONS}/{name}"
        try:
            opened = reading.attestation(place.attestation(name), shown, signer)
            wrong = reading.others_subject(study, record, opened)
        except ResearchError as error:
            damaged.append(error.message)
            continue
        if wrong:
            damaged.append(f"{shown}: {wrong}")
        else:
            yield _builder(opened, shown, signers)


def _prover(opened: Opened[ProofStatement], source: str, signers: Signers) -> Voice:
    predicate = opened.statement.predicate
    voice = Voice(
        key=opened.envelope.keyid,
        source=source,
        role="prover",
        verdict="identical",
        hermetic=predicate.claim.world.hermetic,
        time=predicate.signed.time,
        hardware=predicate.evidence.hardware,
    )
    return _heard(voice, opened.signed.key, keys.PROOF, signers)


def _builder(opened: Opened[AttestationStatement], source: str, signers: Signers) -> Voice:
    predicate = opened.statement.predicate
    claim = predicate.claim
    worse = [f"{item.name}: {item.detail}" for item in claim.outputs if item.verdict == claim.verdict and item.detail]
    voice = Voice(
        key=opened.envelope.keyid,
        source=source,
        role="builder",
        verdict=claim.verdict,
        hermetic=claim.world.hermetic,
        time=predicate.signed.time,
        hardware=predicate.evidence.hardware,
        notes=predicate.evidence.notes,
        detail="; ".join(worse[:3]) or None,
    )
    return _heard(voice, opened.signed.key, keys.ATTESTATION, signers)


def _heard(voice: Voice, public: str, namespace: str, signers: Signers) -> Voice:
    standing = signers.standing(public, namespace, statements.moment(voice.time, voice.source))
    if standing.who is None:
        return msgspec.structs.replace(voice, unheard=standing.words)
    return msgspec.structs.replace(voice, who=standing.who)
