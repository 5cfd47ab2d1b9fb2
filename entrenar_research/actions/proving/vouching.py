"""Who a signature is by, and whether the study accepted that key for this at the time."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.keys import Listing
from entrenar_research.core.proofs import envelopes, statements
from entrenar_research.core.proofs.envelopes import Envelope
from entrenar_research.core.proofs.statements import NewerStatement, Opened, S, Statement
from entrenar_research.errors import IntegrityError, ResearchError, UsageError
from entrenar_research.models.statement import Signed
from entrenar_research.models.verdict import Verdict
from entrenar_research.signers.port import PublicKey, Signer
from entrenar_research.store import files


class Pen(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement is signed with: the key and its public half, who asks for a passphrase, the moment, the tool."""

    signer: Signer
    private: Path
    public: PublicKey
    ask: Callable[[str], str]
    now: datetime.datetime
    tool: str

    @property
    def signed(self) -> Signed:
        """What the statement says of this."""
        kind, material = self.public.line.split()[:2]
        return Signed(key=f"{kind} {material}", time=statements.stamp(self.now), tool=self.tool)

    def line(self, statement: Statement) -> bytes:
        """The statement as a signed line.

        Raises:
            UsageError: if the key cannot sign so, or there is nobody to ask for its passphrase.
            ResearchError: if the key is readable by others, damaged, or its passphrase wrong.
        """
        envelope = Envelope(payload=statements.payload(statement), keyid=self.public.fingerprint, signature=b"")
        signature = self.signer.sign(self.private, envelope.message, ask=self.ask)
        return envelopes.encode(msgspec.structs.replace(envelope, signature=signature))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What a list of signers says of a key: `who` it belongs to if it was accepted then; `words` says it all.

    `verdict` is identical if it was accepted, unknown if it is not listed, broken if it is, but not for this or not
    for then.
    """

    verdict: Verdict
    words: str
    who: str | None = None


class Signers:
    """A list of signers: the study's own, or one that somebody trusts instead."""

    def __init__(self, path: Path, *, trusted: bool = False) -> None:
        self.trusted = trusted
        self._text = files.read_text(path, shown=None if trusted else "keys/allowed_signers") if path.is_file() else ""
        self._whose = "accepted by the list you gave" if trusted else "listed by the study itself"

    def listings(self, public: str) -> tuple[Listing, ...]:
        """The lines that hold a key."""
        return keys.listed(self._text, public)

    def standing(self, public: str, namespace: str, moment: datetime.datetime) -> Standing:
        """Whether a key was accepted for `namespace` at `moment`."""
        fingerprint = envelopes.fingerprint(public)
        found = self.listings(public)
        if not found:
            words = f"signed with {fingerprint}, which is not in the list of signers: nobody says whose it is"
            return Standing(verdict=Verdict.UNKNOWN, words=words)
        serving = [item for item in found if item.permits(namespace)]
        who = found[0].who.split(",")[0]
        if not serving:
            words = f"signed by {who} with {fingerprint}, which is not listed for {namespace}"
            return Standing(verdict=Verdict.BROKEN, words=words)
        valid = next((item for item in serving if item.period.holds(moment)), None)
        if valid is None:
            words = f"signed by {who} with {fingerprint}, which was not accepted at {statements.stamp(moment)}"
            return Standing(verdict=Verdict.BROKEN, words=f"{words}, only {_periods(serving)}")
        who = valid.who.split(",")[0]
        words = f"signed by {who} with {fingerprint}, {self._whose}"
        return Standing(verdict=Verdict.IDENTICAL, words=words, who=who)


def _periods(found: Sequence[Listing]) -> str:
    spans = ((item.period.after or "any time", item.period.before or "any time") for item in found)
    return " and ".join(f"from {after} to {before}" for after, before in spans)


def opened(line: bytes, name: str, kind: type[S], signer: Signer) -> Opened[S]:
    """The statement in a line, which has to be of the type `kind` and signed with the key that it names.

    Raises:
        NewerStatement: if a newer version made it.
        IntegrityError: if it is not, or is malformed, or the signature is broken.
    """
    try:
        found = statements.opened(line, name, kind)
    except NewerStatement as newer:
        _refuse_forgery(signer, newer.envelope, newer.key, name)
        raise
    _refuse_forgery(signer, found.envelope, found.signed.key, name)
    return found


def _refuse_forgery(signer: Signer, envelope: Envelope, key: str, name: str) -> None:
    try:
        good = envelopes.fingerprint(key) == envelope.keyid
        good = good and signer.verify(key, envelope.message, envelope.signature)
    except ResearchError as error:
        raise IntegrityError(f"{name}: {error.message}") from error
    if not good:
        raise IntegrityError(f"{name}: the signature is not that of {envelope.keyid} over this statement")


def refuse_unlisted(signers: Signers, pen: Pen, namespace: str) -> None:
    """Refuses to sign with a key whose signature the study would not accept.

    Raises:
        UsageError: if it is not listed for this at this time.
    """
    standing = signers.standing(pen.public.line, namespace, pen.now)
    if standing.verdict is not Verdict.IDENTICAL:
        raise UsageError(
            f"the study would not accept this signature: {standing.words}",
            hint="`entrenar-research keys new` lists your key in keys/allowed_signers",
        )
