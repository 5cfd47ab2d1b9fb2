"""Checking what is signed about runs: whether it is whole, and, in lines of their own, who vouches for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from entrenar_research.actions import keys
from entrenar_research.actions.proving import reading, stating
from entrenar_research.actions.proving.vouching import Signers
from entrenar_research.core.proofs import envelopes, statements
from entrenar_research.core.proofs.statements import NewerStatement, Opened
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.statement import AttestationStatement, ProofClaim, ProofStatement
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.signers.port import Signer
from entrenar_research.store import proof_files, run_files
from entrenar_research.store.proof_files import ProofFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

AREA = "proofs"
WHO = "signatures"


def check_proofs(study: StudyFiles, signer: Signer, *, trusted: Path | None = None) -> Iterator[Finding]:
    """Every proof and attestation of every run; `trusted` is a list of signers to use instead of the study's own.

    What is signed with a key that no list has is `unknown`; of a proof, with `trusted`, `broken`.
    """
    signers = Signers(trusted or study.allowed_signers, trusted=trusted is not None)
    runs = RunFiles(study.root)
    for run in runs.ids():
        place = reading.place(study, run)
        try:
            names, lines = place.attestations(), place.lines()
        except ResearchError as error:
            yield _broken(place.proof, error.message)
            continue
        if not names and not lines:
            continue
        try:
            record = runs.load(run)
        except ResearchError as error:
            yield _broken(place.proof, f"nothing can be held against it: {error.message}")
            continue
        if record.status != "completed":
            yield _broken(place.proof, f"it is about a run that is {record.status}: there is nothing to vouch for")
        yield from _check_proof(study, record, place, signer, signers)
        yield from _check_attestations(study, record, place, names, signer, signers)


def _broken(subject: str, detail: str) -> Finding:
    return Finding(area=AREA, subject=subject, verdict=Verdict.BROKEN, detail=detail)


def _check_proof(
    study: StudyFiles, record: RunRecord, place: ProofFiles, signer: Signer, signers: Signers
) -> Iterator[Finding]:
    try:
        opened = reading.proof(place, signer)
        others = [(number, reading.others_subject(study, record, item)) for number, item in enumerate(opened, 1)]
        differing = _differing(study, record, opened[-1].statement.predicate.claim) if opened else []
    except NewerStatement as error:
        yield Finding(area=AREA, subject=place.proof, verdict=Verdict.UNKNOWN, detail=error.message)
        return
    except ResearchError as error:
        yield _broken(place.proof, error.message)
        return
    wrong = [f"line {number}: {words}" for number, words in others if words is not None]
    if wrong:
        yield _broken(place.proof, wrong[0])
    elif differing:
        detail = f"line {len(opened)}: it states another {', '.join(differing)} than the record"
        yield Finding(area=AREA, subject=place.proof, verdict=Verdict.DIFFERENT, detail=detail)
    elif opened:
        count = f"{len(opened)} statements, each after the other" if len(opened) > 1 else "1 statement"
        words = f"{count}; {len(opened[-1].files)} files as run {record.id} recorded them"
        yield Finding(area=AREA, subject=place.proof, verdict=Verdict.IDENTICAL, detail=words)
        for number, item in enumerate(opened, 1):
            yield _vouched(item, f"{place.proof}, line {number}", keys.PROOF, signers)


def _differing(study: StudyFiles, record: RunRecord, claim: ProofClaim) -> list[str]:
    """What the newest statement says otherwise than the record, by name; DOIs and sizes are not in the record."""
    manifest = RunFiles(study.root).manifest(record.id, run_files.INPUTS)
    own = stating.claim(study, record, {path: (digest, 0) for path, digest in manifest.items()})
    pairs = {
        "command": (claim.command, own.command),
        "seed": (claim.seed, own.seed),
        "environment": (claim.world, own.world),
        "metric": (claim.metrics, own.metrics),
        "material": (_named(claim), _named(own)),
    }
    return [name for name, (stated, recorded) in pairs.items() if stated != recorded]


def _named(claim: ProofClaim) -> list[tuple[str, str, dict[str, str]]]:
    return [(item.name, item.kind, item.digest) for item in claim.materials]


def _vouched(
    opened: Opened[ProofStatement] | Opened[AttestationStatement], subject: str, namespace: str, signers: Signers
) -> Finding:
    standing = signers.standing(opened.signed.key, namespace, statements.moment(opened.signed.time, subject))
    verdict = standing.verdict
    if verdict is Verdict.UNKNOWN and signers.trusted and namespace == keys.PROOF:
        verdict = Verdict.BROKEN  # whoever gives a list wants somebody on it to vouch
    return Finding(area=WHO, subject=subject, verdict=verdict, detail=f"{standing.words}, {opened.signed.time}")


def _check_attestations(
    study: StudyFiles, record: RunRecord, place: ProofFiles, names: Iterable[str], signer: Signer, signers: Signers
) -> Iterator[Finding]:
    seen: dict[bytes, str] = {}
    for name in names:
        subject = f"{place.shown}/{proof_files.ATTESTATIONS}/{name}"
        try:
            line = place.attestation(name)
            opened = reading.attestation(line, name, signer)
            wrong = reading.others_subject(study, record, opened)
        except NewerStatement as error:
            yield Finding(area=AREA, subject=subject, verdict=Verdict.UNKNOWN, detail=error.message)
            continue
        except ResearchError as error:
            yield _broken(subject, error.message)
            continue
        if wrong is None and proof_files.key_of(name) != envelopes.short(opened.signed.key):
            wrong = f"it is signed with {opened.envelope.keyid}, which is not the key of its name"
        if wrong is None and line in seen:
            wrong = f"an older statement again: the same as {seen[line]}"
        seen.setdefault(line, name)
        if wrong is not None:
            yield _broken(subject, wrong)
            continue
        said = opened.statement.predicate
        detail = f"rebuilt as {said.claim.verdict} with {said.claim.world.runner} on {said.evidence.hardware}"
        yield Finding(area=AREA, subject=subject, verdict=Verdict.IDENTICAL, detail=detail)
        yield _vouched(opened, subject, keys.ATTESTATION, signers)
