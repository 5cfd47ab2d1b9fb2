"""What statements about builds of the tool say: each in itself, about the same sources or others, and together."""

from __future__ import annotations

from collections.abc import Iterable

from entrenar_research.core.proofs.statements import Opened
from entrenar_research.models.building import BUILD, NAR, Build, BuildClaim, BuildStatement
from entrenar_research.models.statement import STATEMENT, Subject


def statement(predicate: Build) -> BuildStatement:
    """The statement of a predicate: the subject is the output, by the name that it has in the store."""
    return BuildStatement(
        type=STATEMENT, subject=(_subject(predicate.claim),), predicate_type=BUILD, predicate=predicate
    )


def contradictions(opened: Opened[BuildStatement]) -> list[str]:
    """In words, where a statement says one thing here and another there."""
    claim = opened.statement.predicate.claim
    words = []
    if opened.statement.subject != (_subject(claim),):
        words.append("its subject is not the output that it claims")
    own = [digest for path, digest in identity(claim) if path == claim.output]
    if own != [claim.nar_hash]:
        words.append("its closure has another digest for the output than it claims, or none")
    return words


def elsewhere(said: BuildClaim, here: BuildClaim) -> str | None:
    """In words, what a statement is about if it is not what is `here`; None if it is."""
    if said.source != here.source:
        return f"about other sources: {said.source[:19]}..., here they are {here.source[:19]}..."
    if said.lock != here.lock:
        return f"about another closure lock: {said.lock[:19]}..., here it is {here.lock[:19]}..."
    if said.output != here.output:
        return f"about a build by other rules: it is {said.output}, here it is {here.output}"
    return None


def sealed(claim: BuildClaim) -> bool:
    """Whether the sandbox was on, and nothing was built without it."""
    return claim.settings.get("sandbox") == "true" and claim.settings.get("sandbox-fallback") == "false"


def identity(claim: BuildClaim) -> tuple[tuple[str, str], ...]:
    """What has to be equal where two builds are: the digests of all that was built, toolchain and tool."""
    return tuple(sorted((item.path, item.hash) for item in claim.closure))


def most_common(said: Iterable[tuple[str, BuildClaim]], here: BuildClaim) -> BuildClaim | None:
    """What most keys came to, of pairs of key and claim; what is `here` if as many came to that, None of none."""
    keys: dict[tuple[tuple[str, str], ...], set[str]] = {}
    claims: dict[tuple[tuple[str, str], ...], BuildClaim] = {}
    for key, claim in said:
        keys.setdefault(identity(claim), set()).add(key)
        claims.setdefault(identity(claim), claim)
    own = identity(here)
    chosen = max(sorted(keys), key=lambda known: (len(keys[known]), known == own), default=None)
    return None if chosen is None else claims[chosen]


def differing(said: BuildClaim, other: BuildClaim) -> tuple[str, ...]:
    """The store paths that did not come out as `other` has them, or are in one of both alone, in words."""
    one, known = identity(said), identity(other)
    if one == known:
        return ()
    there, digests = dict(one), dict(known)
    words = [
        f"{_short(path)} is {digest[:19]}..., " + (f"not {digests[path][:19]}..." if path in digests else "not there")
        for path, digest in one
        if digests.get(path) != digest
    ]
    lacking = [f"{_short(path)} is not among what it needs" for path in digests if path not in there]
    return (*words, *lacking) or ("it names something twice",)


def _subject(claim: BuildClaim) -> Subject:
    return Subject(name=_short(claim.output), digest={NAR: claim.nar_hash.removeprefix("sha256:")})


def _short(path: str) -> str:
    """The name in a store path, without the digest before it."""
    return path.rpartition("/")[2].partition("-")[2]
