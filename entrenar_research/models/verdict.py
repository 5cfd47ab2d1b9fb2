"""The verdict ladder and what a check found."""

from __future__ import annotations

import enum
from typing import Literal

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

    `area` groups findings (`data`, `signatures`, `replay` ...); `subject` is the file, tag, output or
    metric; `detail` says in words what was found and what was expected.
    """

    area: str
    subject: str
    verdict: Verdict
    detail: str = ""


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """What may be the cause of a difference, by what evidence, and what to do about it.

    `seen`: the content tells. `possible`: it is not now as it was then, and such things make a difference.
    """

    cause: str
    sure: Literal["seen", "possible"]
    evidence: str
    fix: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """By which runner something was carried out, and on what kind of machine, None where that is not known."""

    runner: str
    hardware: str | None = None


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment that was carried out again: on which rung the lowest of its outputs and metrics stands.

    `area` is that of its findings; `then` is where the run was made, `now` where it was carried out again.
    """

    area: str
    experiment: str
    run: str
    verdict: Verdict
    then: Place
    now: Place
    hints: tuple[Hint, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All findings of one verification, and of every experiment that was carried out again how that went."""

    target: str
    findings: tuple[Finding, ...]
    repetitions: tuple[Repetition, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def wanting(self) -> tuple[Finding, ...]:
        """The findings that make the verification fail."""
        return tuple(finding for finding in self.findings if finding.verdict.wanting)
