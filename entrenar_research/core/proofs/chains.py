"""The lines of a proof: each names the digest of the one before, so that none can be left out, moved or replayed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from entrenar_research.core.proofs import envelopes
from entrenar_research.core.proofs.statements import Opened
from entrenar_research.models.statement import ProofStatement


def faults(lines: Sequence[Opened[ProofStatement]]) -> Iterator[tuple[int, str]]:
    """Numbers of the lines that are not where they belong, and in words why."""
    known: dict[bytes, int] = {}
    previous: str | None = None
    for number, opened in enumerate(lines, 1):
        link = opened.statement.predicate.chain
        if opened.line in known:
            yield number, f"an older statement again: the same as line {known[opened.line]}"
        elif link.sequence != number:
            yield number, f"an older statement again, or lines are missing: it is number {link.sequence}"
        elif link.previous != previous:
            found, expected = link.previous or "none", previous or "none"
            yield number, f"it follows the line {found[:19]}..., the line before it is {expected[:19]}..."
        known.setdefault(opened.line, number)
        previous = envelopes.digest(opened.line)
