"""Reproducing: how rebuilt results differ, where, and what was found to be the cause."""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["value", "order", "rounding", "bytes", "absent", "stamp", "bytecode"]
"""What a difference looks like: another value; the same things in another order; a number that differs in its last
digits; bytes of no known format; there in one result only; a time that an archive notes; the head of a `.pyc`."""
Sure = Literal["shown", "seen", "not found"]
"""`shown`: changed alone it makes the difference, or held still alone it makes it go. `seen`: the content tells."""
Outcome = Literal["reference", "identical", "different", "failed", "left out"]


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One place at which two results differ: `place` is a tensor, key path, cell, line or member within `file`.

    `detail` says it in words; `one` and `other` are what stands there, shortened.
    """

    file: str
    place: str
    kind: Kind
    detail: str
    one: str = ""
    other: str = ""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """Why something differs, how sure that is and by what evidence, and what to do about it, in one line."""

    name: str
    sure: Sure
    evidence: str
    fix: str


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A difference, its cause, and the rebuild that it was found in."""

    difference: Difference
    cause: Cause
    rebuild: str


class Rebuild(msgspec.Struct, frozen=True, kw_only=True):
    """One execution and what its result was against the reference; `changed` names the factors that were not as usual.

    `seconds` is how long it took; `detail` says how it failed, or why it was left out.
    """

    name: str
    outcome: Outcome
    changed: tuple[str, ...] = ()
    detail: str = ""
    seconds: float | None = None


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """What came of rebuilding an experiment: every execution, every difference with its cause, and notes."""

    experiment: str
    runner: str
    rebuilds: tuple[Rebuild, ...]
    findings: tuple[Explained, ...]
    notes: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether all results were the same, byte for byte."""
        return not self.findings and not any(item.outcome in ("different", "failed") for item in self.rebuilds)
