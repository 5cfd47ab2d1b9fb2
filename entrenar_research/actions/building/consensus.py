"""Who came to the same build of the tool, and whether it is the one that comes out here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from entrenar_research.actions import keys
from entrenar_research.actions.building import attest
from entrenar_research.actions.proving.vouching import Signers
from entrenar_research.core.proofs import agreement, builds, statements
from entrenar_research.core.proofs.agreement import Consensus, Voice
from entrenar_research.core.proofs.statements import Opened
from entrenar_research.errors import ResearchError
from entrenar_research.models.building import BuildClaim, BuildStatement
from entrenar_research.models.statement import ConsensusPolicy
from entrenar_research.signers.port import Signer
from entrenar_research.store import proof_files
from entrenar_research.store.study_files import StudyFiles


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What came together about the tool: `here` is what comes out on this machine, `common` what most keys came to.

    `damaged` are statements that cannot be trusted, `elsewhere` those about other sources, each with the reason.
    """

    here: BuildClaim
    common: BuildClaim | None
    policy: ConsensusPolicy
    consensus: Consensus
    damaged: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        """Whether this build is the one that most keys came to."""
        return self.common is not None and not builds.differing(self.here, self.common)

    @property
    def reached(self) -> bool:
        """Whether the policy is satisfied, this build is the same, and no statement is damaged."""
        return self.consensus.reached and self.same and not self.damaged


def consensus(
    study: StudyFiles, here: BuildClaim, signer: Signer, wanted: ConsensusPolicy, *, trusted: Path | None = None
) -> Found:
    """Holds everything that is signed about the sources that are here against a policy.

    Only keys count that a list of signers has: the repository's own, or `trusted`.
    """
    signers = Signers(trusted or study.allowed_signers, trusted=trusted is not None)
    damaged: list[str] = []
    elsewhere: list[str] = []
    about = []
    for shown, opened in _statements(study, signer, damaged):
        wrong = builds.elsewhere(opened.statement.predicate.claim, here)
        if wrong is None:
            about.append((_voice(opened, shown, signers), opened.statement.predicate.claim))
        else:
            elsewhere.append(f"{shown}: {wrong}")
    counting = _counting((voice for voice, _ in about), wanted)
    common = builds.most_common(((voice.key, claim) for voice, claim in about if voice.source in counting), here)
    return Found(
        here=here,
        common=common,
        policy=wanted,
        consensus=agreement.consensus(tuple(_judged(voice, claim, common) for voice, claim in about), wanted),
        damaged=tuple(damaged),
        elsewhere=tuple(elsewhere),
    )


def _statements(
    study: StudyFiles, signer: Signer, damaged: list[str]
) -> Iterator[tuple[str, Opened[BuildStatement]]]:  # fmt: skip
    place = attest.place(study)
    for name in place.attestations():
        shown = f"{place.shown}/{proof_files.ATTESTATIONS}/{name}"
        try:
            yield shown, attest.opened(place.attestation(name), shown, signer)
        except ResearchError as error:
            damaged.append(error.message)


def _voice(opened: Opened[BuildStatement], source: str, signers: Signers) -> Voice:
    predicate = opened.statement.predicate
    moment = statements.moment(predicate.signed.time, source)
    standing = signers.standing(opened.signed.key, keys.ATTESTATION, moment)
    return Voice(
        key=opened.envelope.keyid,
        source=source,
        role="builder",
        verdict="identical",
        hermetic=builds.sealed(predicate.claim),
        time=predicate.signed.time,
        who=standing.who,
        unheard=None if standing.who is not None else standing.words,
        hardware=predicate.evidence.hardware,
        notes=predicate.evidence.notes,
    )


def _counting(voices: Iterable[Voice], wanted: ConsensusPolicy) -> set[str]:
    """The files of the statements that count: a key's last, and none that the policy leaves out."""
    found = agreement.consensus(tuple(voices), wanted)
    return {voice.source for voice in (*found.agreeing, *found.disagreeing)}


def _judged(voice: Voice, claim: BuildClaim, common: BuildClaim | None) -> Voice:
    """The voice with what it says of that which most keys came to."""
    wrong = builds.differing(claim, common) if common is not None else ()
    return msgspec.structs.replace(voice, verdict="different", detail="; ".join(wrong)) if wrong else voice
