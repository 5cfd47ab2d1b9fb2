"""Attesting: rebuilding a run and signing how it compares; taking in what others have signed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.proving import intact, reading, rebuild, vouching
from entrenar_research.actions.proving.vouching import Pen, Signers
from entrenar_research.core.proofs import agreement, envelopes, statements
from entrenar_research.errors import IntegrityError, ResearchError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.statement import (
    Agreement,
    Attestation,
    AttestationEvidence,
    AttestationStatement,
    Author,
)
from entrenar_research.models.verdict import Verdict
from entrenar_research.runners.port import Runner
from entrenar_research.signers.port import Signer
from entrenar_research.store import files, locks, proof_files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """With what and by whom a run is rebuilt: `least` is the verdict below which nothing is signed, None for any."""

    pen: Pen
    author: Author
    runner: Runner
    environment: Mapping[str, str]
    notes: str | None = None
    least: Agreement | None = None
    announce: Callable[[str], None] = lambda words: None


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """An attestation that was made: its line, and where it was put (`path` in the study, None where it was not).

    `standing` says in words whether the study knows the key.
    """

    run: str
    statement: AttestationStatement
    line: bytes
    keyid: str
    standing: str
    known: bool
    path: str | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """An attestation by somebody else: `path` is where it is now, `fresh` whether it was not there before."""

    run: str
    path: str
    fresh: bool
    verdict: Agreement
    keyid: str
    standing: str
    known: bool


def attest(study: StudyFiles, record: RunRecord, given: Circumstances) -> Attested:
    """Rebuilds a run and signs how it compares; nothing is written.

    Raises:
        UsageError: if the run cannot be vouched for, or the study lists the key for other things only.
        IntegrityError: if a file is not what the record says, or the result is below the verdict that was asked for.
        Lacking: if this machine lacks what the run used.
        ReplayFailed: if the command fails here.
    """
    signers = Signers(study.allowed_signers)
    standing = signers.standing(given.pen.public.line, keys.ATTESTATION, given.pen.now)
    if standing.verdict is Verdict.BROKEN:
        vouching.refuse_unlisted(signers, given.pen, keys.ATTESTATION)
    held = intact.hold(study, record)
    proof = reading.proof(reading.place(study, record.id), given.pen.signer)
    given.announce(f"rebuilding {record.id}")
    found = rebuild.rebuild(
        study, study.experiment(record.experiment), record, runner=given.runner, environment=given.environment
    )
    _refuse_lower(found.claim.verdict, given.least, record)
    predicate = Attestation(
        claim=found.claim,
        evidence=AttestationEvidence(
            author=given.author,
            environment=found.environment,
            hardware=found.hardware,
            notes=given.notes,
            proof=envelopes.digest(proof[-1].line) if proof else None,
            seconds=found.seconds,
            nix=found.nix,
            impurities=found.impurities,
        ),
        signed=given.pen.signed,
    )
    statement = statements.attestation(statements.subject(held.digests), predicate)
    line = given.pen.line(statement)
    reading.attestation(line, "the attestation just made", given.pen.signer)
    return Attested(
        run=record.id,
        statement=statement,
        line=line,
        keyid=given.pen.public.fingerprint,
        standing=standing.words,
        known=standing.who is not None,
    )


def keep(study: StudyFiles, made: Attested) -> Attested:
    """Puts an attestation into the study.

    Raises:
        StorageError: if the file system refuses.
    """
    place = reading.place(study, made.run)
    with locks.exclusive(study.state):
        name = place.attest(envelopes.short(made.statement.predicate.signed.key), made.line)
    return msgspec.structs.replace(made, path=f"{place.shown}/{proof_files.ATTESTATIONS}/{name}")


def take_in(study: StudyFiles, file: Path, signer: Signer) -> tuple[Imported, ...]:
    """Takes in the attestations of a file, all or none; one that is there already is left alone.

    Raises:
        UsageError: if there is no such file, or this study has no such run.
        IntegrityError: if one is malformed, wrongly signed or about something else than the run it names, or its key
            was not accepted at the time.
    """
    with files.refusals(f"cannot read {file}"):
        if not file.is_file():
            raise UsageError(f"{file}: no such file; expected attestations, one a line")
        lines = proof_files.split(file.read_bytes(), file.name)
    signers = Signers(study.allowed_signers)
    with locks.exclusive(study.state):
        checked = [
            _checked(study, line, f"{file.name}, line {number}", signer, signers)
            for number, line in enumerate(dict.fromkeys(lines), 1)
        ]
        return tuple(_taken(study, line, found) for line, found in checked)


def _refuse_lower(found: Agreement, least: Agreement | None, record: RunRecord) -> None:
    if least is not None and agreement.LADDER.index(found) > agreement.LADDER.index(least):
        raise IntegrityError(
            f"run {record.id} rebuilt here is {found}, expected {least} or better: nothing was signed",
            hint="without --verdict it is signed as what it is",
        )


def _checked(
    study: StudyFiles, line: bytes, name: str, signer: Signer, signers: Signers
) -> tuple[bytes, Imported]:  # fmt: skip
    opened = reading.attestation(line, name, signer)
    claim = opened.statement.predicate.claim
    runs = RunFiles(study.root)
    if claim.run not in runs.ids():
        raise UsageError(f"{name}: it is about run {claim.run}, which this study does not have")
    wrong = reading.others_subject(study, runs.load(claim.run), opened)
    if wrong is not None:
        raise IntegrityError(f"{name}: {wrong}", hint="it was made of another copy of the run: nothing was taken in")
    moment = statements.moment(opened.signed.time, name)
    standing = signers.standing(opened.signed.key, keys.ATTESTATION, moment)
    if standing.verdict is Verdict.BROKEN:
        raise IntegrityError(f"{name}: {standing.words}", hint="nothing was taken in")
    place = reading.place(study, claim.run)
    return line, Imported(
        run=claim.run,
        path=f"{place.shown}/{proof_files.ATTESTATIONS}",
        fresh=True,
        verdict=claim.verdict,
        keyid=opened.envelope.keyid,
        standing=standing.words,
        known=standing.who is not None,
    )


def _taken(study: StudyFiles, line: bytes, found: Imported) -> Imported:
    place = reading.place(study, found.run)
    for name in place.attestations():
        try:
            same = place.attestation(name) == line
        except ResearchError:  # a damaged one is no reason to refuse another: `verify` names it
            continue
        if same:
            return msgspec.structs.replace(found, path=f"{found.path}/{name}", fresh=False)
    key = envelopes.short(statements.opened(line, found.run, AttestationStatement).signed.key)
    return msgspec.structs.replace(found, path=f"{found.path}/{place.attest(key, line)}")
