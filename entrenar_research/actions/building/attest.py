"""Signing a build of the tool, and taking in what others have signed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.building.build import Built
from entrenar_research.actions.proving import vouching
from entrenar_research.actions.proving.vouching import Pen, Signers, Standing
from entrenar_research.actions.running import surroundings
from entrenar_research.core.proofs import builds, envelopes, hardware, statements
from entrenar_research.core.proofs.statements import Opened
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.building import Build, BuildClaim, BuildEvidence, BuildStatement
from entrenar_research.models.statement import Author, HardwareClass
from entrenar_research.models.verdict import Verdict
from entrenar_research.signers.port import Signer
from entrenar_research.store import files, locks, proof_files
from entrenar_research.store.proof_files import ProofFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

PLACE: Final = "nix/tool"
"""Where the statements are, in `attestations/`."""


class Attested(msgspec.Struct, frozen=True, kw_only=True):
    """A signed build: its line, and where it was put (`path` in the repository, None where it was not).

    `standing` says in words whether the repository knows the key.
    """

    statement: BuildStatement
    line: bytes
    keyid: str
    standing: str
    known: bool
    path: str | None = None


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """A statement by somebody else: `path` is where it is now, `fresh` whether it was not there before."""

    path: str
    fresh: bool
    same: bool
    nar_hash: str
    keyid: str
    standing: str
    known: bool


def place(study: StudyFiles) -> ProofFiles:
    """Where the statements about the tool are."""
    return ProofFiles(study.root / PLACE, PLACE)


def standing(study: StudyFiles, pen: Pen) -> Standing:
    """What the repository says of the key; to be asked before anything is built, which may take long.

    Raises:
        UsageError: if it lists the key for other things only, or not for now.
    """
    signers = Signers(study.allowed_signers)
    found = signers.standing(pen.public.line, keys.ATTESTATION, pen.now)
    if found.verdict is Verdict.BROKEN:
        vouching.refuse_unlisted(signers, pen, keys.ATTESTATION)
    return found


def sign(study: StudyFiles, built: Built, pen: Pen, author: Author, notes: str | None) -> Attested:
    """The build as a signed statement; nothing is written.

    Raises:
        UsageError: if it was not built in a sandbox, or the repository lists the key for other things only.
    """
    if not builds.sealed(built.claim):
        raise UsageError(
            "Nix did not use its sandbox (see `sandbox` and `sandbox-fallback`): such a build is not signed"
        )
    known = standing(study, pen)
    machine = surroundings.hardware()
    state = Git(study.root).state() if (study.root / ".git").exists() else None
    predicate = Build(
        claim=built.claim,
        evidence=BuildEvidence(
            author=author,
            hardware=hardware.of_record(machine) or HardwareClass(architecture=machine.architecture),
            nix=built.facts,
            built=built.fresh,
            rebuilt=built.again,
            commit=state.commit if state else None,
            dirty=state.dirty if state else False,
            notes=notes,
        ),
        signed=pen.signed,
    )
    statement = builds.statement(predicate)
    line = pen.line(statement)
    opened(line, "the attestation just made", pen.signer)
    return Attested(
        statement=statement,
        line=line,
        keyid=pen.public.fingerprint,
        standing=known.words,
        known=known.who is not None,
    )


def keep(study: StudyFiles, made: Attested) -> Attested:
    """Puts an attestation into the repository.

    Raises:
        StorageError: if the file system refuses.
    """
    with locks.exclusive(study.state):
        name = place(study).attest(envelopes.short(made.statement.predicate.signed.key), made.line)
    return msgspec.structs.replace(made, path=f"{PLACE}/{proof_files.ATTESTATIONS}/{name}")


def opened(line: bytes, name: str, signer: Signer) -> Opened[BuildStatement]:
    """One statement about a build of the tool.

    Raises:
        IntegrityError: if it is malformed, wrongly signed or contradicts itself.
    """
    found = vouching.opened(line, name, BuildStatement, signer)
    for words in builds.contradictions(found):
        raise IntegrityError(f"{name}: {words}")
    return found


def lines(file: Path) -> tuple[bytes, ...]:
    """The statements in a file, unread; each once.

    Raises:
        UsageError: if there is no such file.
        IntegrityError: if it is empty or cut off.
        StorageError: if it cannot be read.
    """
    with files.refusals(f"cannot read {file}"):
        if not file.is_file():
            raise UsageError(f"{file}: no such file; expected attestations, one a line")
        return tuple(dict.fromkeys(proof_files.split(file.read_bytes(), file.name)))


def take_in(
    study: StudyFiles, found: Sequence[bytes], name: str, signer: Signer, here: BuildClaim
) -> tuple[Imported, ...]:
    """Takes in the statements `found` in the file called `name`, all or none; one that is there is left alone.

    Raises:
        IntegrityError: if one is malformed, wrongly signed or about something else than what is `here`, or its key was
            not accepted at the time.
    """
    signers = Signers(study.allowed_signers)
    with locks.exclusive(study.state):
        checked = [
            (line, _checked(line, f"{name}, line {number}", signer, signers, here))
            for number, line in enumerate(found, 1)
        ]
        return tuple(_taken(study, line, item) for line, item in checked)


def _checked(line: bytes, name: str, signer: Signer, signers: Signers, here: BuildClaim) -> Imported:
    found = opened(line, name, signer)
    claim = found.statement.predicate.claim
    if wrong := builds.elsewhere(claim, here):
        raise IntegrityError(
            f"{name}: {wrong}", hint="nothing was taken in: check out what it is about (`git checkout COMMIT`)"
        )
    standing = signers.standing(found.signed.key, keys.ATTESTATION, statements.moment(found.signed.time, name))
    if standing.verdict is Verdict.BROKEN:
        raise IntegrityError(f"{name}: {standing.words}", hint="nothing was taken in")
    return Imported(
        path=f"{PLACE}/{proof_files.ATTESTATIONS}",
        fresh=True,
        same=not builds.differing(claim, here),
        nar_hash=claim.nar_hash,
        keyid=found.envelope.keyid,
        standing=standing.words,
        known=standing.who is not None,
    )


def _taken(study: StudyFiles, line: bytes, found: Imported) -> Imported:
    stored = place(study)
    directory = study.root / PLACE / proof_files.ATTESTATIONS
    with files.refusals(f"cannot read {PLACE}/{proof_files.ATTESTATIONS}"):
        same = [name for name in stored.attestations() if (directory / name).read_bytes() == line + b"\n"]
    if same:
        return msgspec.structs.replace(found, path=f"{found.path}/{same[0]}", fresh=False)
    key = statements.opened(line, PLACE, BuildStatement).signed.key
    return msgspec.structs.replace(found, path=f"{found.path}/{stored.attest(envelopes.short(key), line)}")
