"""Proving a run: its record and files are held against each other, and what they say is signed."""

from __future__ import annotations

from typing import Any

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.proving import intact, reading, stating, vouching
from entrenar_research.actions.proving.vouching import Pen, Signers
from entrenar_research.core.proofs import envelopes, statements
from entrenar_research.core.proofs.statements import Opened
from entrenar_research.models.run import RunRecord
from entrenar_research.models.statement import Link, Proof, ProofStatement
from entrenar_research.store import locks
from entrenar_research.store.study_files import StudyFiles


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """The newest proof of a run: `written` says whether that has just been done, `changed` what it states anew.

    `path` is that of the file in the study, `digest` that of the line.
    """

    run: str
    path: str
    statement: ProofStatement
    digest: str
    keyid: str
    written: bool
    changed: tuple[str, ...] = ()


def prove(study: StudyFiles, record: RunRecord, pen: Pen) -> Proven:
    """Writes the proof of a run, or a further line if it states something else by now; else nothing.

    Raises:
        UsageError: if the run cannot be vouched for, or the study would not accept the signature.
        IntegrityError: if a file is not what the record says, or the proof that is there is damaged.
        ResearchError: if the key cannot be used.
    """
    vouching.refuse_unlisted(Signers(study.allowed_signers), pen, keys.PROOF)
    with locks.exclusive(study.state):
        held = intact.hold(study, record)
        place = reading.place(study, record.id)
        before = reading.proof(place, pen.signer)
        previous = envelopes.digest(before[-1].line) if before else None
        predicate = Proof(
            claim=stating.claim(study, record, held.inputs),
            evidence=stating.evidence(study, record),
            chain=Link(sequence=len(before) + 1, previous=previous),
            signed=pen.signed,
        )
        statement = statements.proof(statements.subject(held.digests), predicate)
        changed = _changed(before[-1], statement) if before else ()
        if before and not changed:
            return _proven(record, place.proof, before[-1], written=False)
        line = pen.line(statement)
        fresh = vouching.opened(line, place.proof, ProofStatement, pen.signer)
        place.add(line)
        return _proven(record, place.proof, fresh, written=True, changed=changed)


def _proven(
    record: RunRecord, path: str, opened: Opened[ProofStatement], *, written: bool, changed: tuple[str, ...] = ()
) -> Proven:
    return Proven(
        run=record.id,
        path=path,
        statement=opened.statement,
        digest=envelopes.digest(opened.line),
        keyid=opened.envelope.keyid,
        written=written,
        changed=changed,
    )


def _changed(before: Opened[ProofStatement], now: ProofStatement) -> tuple[str, ...]:
    """What the two state differently, by name; not when they were signed, nor where in the chain they are."""
    old, new = _stated(before.statement), _stated(now)
    return tuple(name for name in sorted({*old, *new}) if old.get(name) != new.get(name))


def _stated(statement: ProofStatement) -> dict[str, Any]:
    plain = msgspec.to_builtins(statement)
    predicate = plain["predicate"]
    found: dict[str, Any] = {"subject": plain["subject"], "key": predicate["signed"]["key"]}
    return {**found, **predicate["claim"], **predicate["evidence"]}
