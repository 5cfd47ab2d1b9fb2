"""Who vouches for a pack: an SSH signature over its manifest, in a namespace of its own."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.airgap.layout import MANIFEST, SIGNATURE, Pack
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.signers.port import Signer
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import ssh_keygen

TIME: Final = "%Y-%m-%dT%H:%M:%SZ"


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who signs: the private key, its fingerprint, and the e-mail address that the study lists it for."""

    key: Path
    fingerprint: str
    address: str


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whose packs are taken.

    Those of `signers`, a file as ssh-keygen(1) describes ALLOWED SIGNERS; if that is None, those that `consent` says
    yes to when it is told who signed.
    """

    signers: Path | None
    consent: Callable[[Pack, str], bool] = lambda pack, fingerprint: False


def author(study: StudyFiles, signer: Signer, key: Path, now: datetime.datetime) -> Author:
    """Whose key it is, if the study accepts it for packs at this time.

    Raises:
        UsageError: if it does not.
    """
    public = signer.read(key)
    listed = [item for item in keys.listings(study, public) if item.period.holds(now) and item.permits(keys.AIRGAP)]
    if not listed:
        raise UsageError(
            f"keys/allowed_signers does not list the key {public.fingerprint} for {keys.AIRGAP} at this time",
            hint="`entrenar-research keys new` lists it; commit keys/allowed_signers then",
        )
    return Author(key=key, fingerprint=public.fingerprint, address=listed[0].who.split(",")[0])


def sign(raw: bytes, author: Author) -> str:
    """The armoured signature of a manifest.

    Raises:
        ToolError: if the key cannot sign.
    """
    return ssh_keygen.sign(author.key, raw, namespace=keys.AIRGAP)


def accept(pack: Pack, trust: Trust) -> str:
    """Goes on only if the manifest is signed by somebody who is trusted; the fingerprint of the key.

    Raises:
        IntegrityError: if the signature is not that of the manifest, or not of a key that is trusted.
        UsageError: if nobody is trusted yet and the person does not say yes.
    """
    said = pack.manifest
    try:
        time = datetime.datetime.strptime(said.time, TIME).replace(tzinfo=datetime.UTC)
    except ValueError as error:
        raise IntegrityError(f"{MANIFEST}: time: found {said.time!r}, expected one as 2026-11-21T08:00:00Z") from error
    checks = [ssh_keygen.signed_by(pack.raw, text, namespace=keys.AIRGAP) for text in pack.signatures]
    good = [text for text, found in zip(pack.signatures, checks, strict=True) if found.good]
    if not good:
        raise IntegrityError(
            f"{SIGNATURE} is no signature of {MANIFEST}: {checks[0].message}",
            hint="one of the two was changed after it was signed; get the pack anew",
        )
    made = next(found.fingerprint or "" for found in checks if found.good)
    if made != said.key:
        raise IntegrityError(f"{MANIFEST} was signed with {made}; it names {said.key}", hint="get the pack anew")
    if trust.signers is None:
        if trust.consent(pack, made):
            return made
        raise UsageError(
            f"nobody is trusted yet: the pack was signed with {made} (it says: for {said.signer})",
            hint="compare this with what its author tells you and give --yes, or name your list with --trusted FILE",
        )
    found = ssh_keygen.verify(
        pack.raw, good[0], allowed_signers=trust.signers, identity=said.signer, namespace=keys.AIRGAP, time=time
    )
    if not found.good:
        raise IntegrityError(
            f"the pack was signed by {said.signer} with {made}, which {trust.signers.name} does not accept for "
            f"{said.time}: {found.message}",
            hint="nothing was unpacked; ask its author for the fingerprint of the key, and list it for "
            f"the namespace {keys.AIRGAP}",
        )
    return made
