"""Statements: taken apart, put together, and what is to be said of one before anybody's key is asked for."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from entrenar_research.core import digests
from entrenar_research.core.proofs import envelopes
from entrenar_research.core.proofs.envelopes import Envelope
from entrenar_research.errors import IntegrityError
from entrenar_research.models.building import BUILD, BuildStatement
from entrenar_research.models.statement import (
    ATTESTATION,
    PROOF,
    STATEMENT,
    Attestation,
    AttestationStatement,
    Proof,
    ProofStatement,
    Signed,
    Subject,
)

Statement = ProofStatement | AttestationStatement | BuildStatement
S = TypeVar("S", ProofStatement, AttestationStatement, BuildStatement)
_KINDS: Final[dict[type[Statement], str]] = {
    ProofStatement: PROOF,
    AttestationStatement: ATTESTATION,
    BuildStatement: BUILD,
}
_FAMILY: Final = "urn:x-entrenar-research:"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class NewerStatement(IntegrityError):
    """A statement that a newer version of this tool made, if its signature is that of `key`: see `envelope`."""

    def __init__(self, message: str, envelope: Envelope, key: str) -> None:
        super().__init__(message, hint="use that version, or a later one, to read it")
        self.envelope, self.key = envelope, key


class Opened(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """A line that was read: its envelope and its statement. Nothing is said yet of its signature."""

    line: bytes
    envelope: Envelope
    statement: S

    @property
    def signed(self) -> Signed:
        """By whom and when, in their own words."""
        return self.statement.predicate.signed

    @property
    def files(self) -> dict[str, str]:
        """The subject: paths in the study with `sha256:<hex>`."""
        return {item.name: f"sha256:{item.digest.get('sha256')}" for item in self.statement.subject}


def stamp(moment: datetime.datetime) -> str:
    """A moment as statements have it."""
    return moment.astimezone(datetime.UTC).strftime(_TIME)


def moment(text: str, name: str) -> datetime.datetime:
    """The moment that a statement names.

    Raises:
        IntegrityError: if it is no such time.
    """
    try:
        return datetime.datetime.strptime(text, _TIME).replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise IntegrityError(f"{name}: time {text!r}: expected one such as 2026-11-21T08:00:00Z") from error


def subject(outputs: Mapping[str, str]) -> tuple[Subject, ...]:
    """The files of a result, by path: `outputs` has them with `sha256:<hex>`."""
    return tuple(
        Subject(name=path, digest={"sha256": digest.removeprefix("sha256:")})
        for path, digest in sorted(outputs.items())
    )


def proof(files: Iterable[Subject], predicate: Proof) -> ProofStatement:
    """The statement of a proof."""
    return ProofStatement(type=STATEMENT, subject=tuple(files), predicate_type=PROOF, predicate=predicate)


def attestation(files: Iterable[Subject], predicate: Attestation) -> AttestationStatement:
    """The statement of an attestation."""
    return AttestationStatement(type=STATEMENT, subject=tuple(files), predicate_type=ATTESTATION, predicate=predicate)


def payload(statement: Statement) -> bytes:
    """The bytes that go into an envelope: canonical JSON.

    Raises:
        ValueError: if a number in it is none that JSON has.
    """
    return digests.canonical_json(msgspec.to_builtins(statement))


def opened(line: bytes, name: str, kind: type[S]) -> Opened[S]:
    """Envelope and statement of a line, which has to be of the type `kind`.

    The key that the payload names has to be the one that the envelope names.

    Raises:
        NewerStatement: if a newer version made it.
        IntegrityError: if it is not, or is malformed.
    """
    envelope = envelopes.decode(line, name)
    value = envelopes.plain(envelope.payload, name, "a statement")
    found, expected = value.get("predicateType") if isinstance(value, dict) else None, _KINDS[kind]
    if found != expected:
        if isinstance(found, str) and found.startswith(_FAMILY) and found not in _KINDS.values():
            message = f"{name}: a statement of the kind {found}, which a newer version made"
            raise NewerStatement(message, envelope, _key(value, name))
        raise IntegrityError(f"{name}: expected a statement of the kind {expected}, found {found!r}")
    try:
        statement = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise IntegrityError(f"{name}: not a statement of the kind {expected}: {error}") from error
    _refuse_odd(statement, envelope, name)
    return Opened(line=line, envelope=envelope, statement=statement)


def _key(value: Any, name: str) -> str:
    """The key that a statement of whatever version names: every version has it at this place."""
    try:
        return str(value["predicate"]["signed"]["key"])
    except (KeyError, TypeError) as error:
        raise IntegrityError(f"{name}: it names no key (predicate.signed.key)") from error


def _refuse_odd(statement: Statement, envelope: Envelope, name: str) -> None:
    signed = statement.predicate.signed
    moment(signed.time, name)
    own = envelopes.fingerprint(signed.key)
    if own != envelope.keyid:
        raise IntegrityError(f"{name}: the envelope names the key {envelope.keyid}, the statement {own}")
    names = [item.name for item in statement.subject]
    if not names or len(set(names)) < len(names):
        raise IntegrityError(f"{name}: its subject is empty, or names a file twice")
