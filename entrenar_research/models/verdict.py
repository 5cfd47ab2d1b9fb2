"""The verdict ladder and what a check found."""

from __future__ import annotations

import enum

import msgspec


class Verdict(enum.Enum):
    """One rung: identical bytes, equal content, within the declared tolerance, different, or not checked.

    `BROKEN` stands beside the ladder: the thing is missing, damaged, unlisted or wrongly signed.
    """

    IDENTICAL = "identical"
    EQUAL = "equal"
    WITHIN = "within"
    DIFFERENT = "different"
    BROKEN = "broken"
    UNKNOWN = "unknown"

    @property
    def wanting(self) -> bool:
        """Whether this verdict makes a verification fail."""
        return self in (Verdict.DIFFERENT, Verdict.BROKEN)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one check found about one thing.

    `area` groups findings (`files`, `signatures`, `replay` ...); `subject` is the file, tag, output or
    metric; `detail` says in words what was found and what was expected.
    """

    area: str
    subject: str
    verdict: Verdict
    detail: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All findings of one verification."""

    target: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @property
    def wanting(self) -> tuple[Finding, ...]:
        """The findings that make the verification fail."""
        return tuple(finding for finding in self.findings if finding.verdict.wanting)
