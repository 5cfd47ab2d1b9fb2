"""What a check says about one thing: the input of every report, made from whatever was checked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from entrenar_research.models.equivalence import Equivalence, EquivalenceVerdict
from entrenar_research.models.patterns import PatternFinding
from entrenar_research.models.policy import AssertionResult, AssertionState

STATES: Final[tuple[AssertionState, ...]] = ("pass", "warn", "fail", "skip", "no data")
"""Every state of a case, in the order in which reports count them."""

_VERDICTS: Final[dict[EquivalenceVerdict, AssertionState]] = {
    "PASS": "pass",
    "WARN": "warn",
    "FAIL": "fail",
    "INSUFFICIENT": "no data",
}


class Case(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that was checked: `name`, one of those of `suite`, and how it came out.

    `message` is one sentence; `detail` is what stands below it, any number of lines; `seconds` is how long the check
    took, None where nobody measured it.
    """

    suite: str
    name: str
    state: AssertionState
    message: str = ""
    detail: str = ""
    seconds: float | None = None


def tally(cases: Iterable[Case]) -> dict[AssertionState, int]:
    """How many cases there are of each state, all five states in the order of `STATES`."""
    found = dict.fromkeys(STATES, 0)
    for case in cases:
        found[case.state] += 1
    return found


def suites(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """The cases by suite, suites and cases in the order in which they came."""
    found: dict[str, list[Case]] = {}
    for case in cases:
        found.setdefault(case.suite, []).append(case)
    return found


def of_assertions(suite: str, results: Sequence[AssertionResult]) -> tuple[Case, ...]:
    """A case an assertion; the detail has its type, what was found and the limit."""
    return tuple(
        Case(suite=suite, name=item.name, state=item.state, message=item.message, detail=_figures(item))
        for item in results
    )


def _figures(result: AssertionResult) -> str:
    unit = f" {result.unit}" if result.unit else ""
    lines = [f"type: {result.type}"]
    lines += [f"found: {result.actual:.15g}{unit}"] if result.actual is not None else []
    lines += [f"limit: {result.limit:.15g}{unit}"] if result.limit is not None else []
    return "\n".join(lines)


def of_patterns(suite: str, findings: Sequence[PatternFinding]) -> tuple[Case, ...]:
    """A case a pattern: silent ones pass, those that cannot be seen here are skipped, critical ones fail.

    What is found but not critical warns: only a critical finding stands in the way of a promotion.
    """
    return tuple(
        Case(
            suite=suite,
            name=item.pattern,
            state=_pattern_state(item),
            message=item.explanation,
            detail=_evidence(item),
        )
        for item in findings
    )


def _pattern_state(finding: PatternFinding) -> AssertionState:
    if not finding.applicable:
        return "skip"
    if finding.severity == "info":
        return "pass"
    return "fail" if finding.severity == "critical" else "warn"


def _evidence(finding: PatternFinding) -> str:
    if not finding.applicable or not finding.confidence:
        return ""
    lines = [f"confidence: {finding.confidence:.2f}", f"severity: {finding.severity}"]
    lines += [f"where: {finding.place}"] if finding.place is not None else []
    lines += [f"calls: {finding.first} to {finding.last}"] if finding.first is not None else []
    return "\n".join([*lines, f"remedy: {finding.remediation}"])


def of_equivalence(suite: str, name: str, found: Equivalence) -> Case:
    """The case of two traces held against each other: the score, and below it each axis."""
    lines = [f"{axis.name}: {axis.score:.3f} (weight {axis.weight:.2f}) {axis.words}".rstrip() for axis in found.axes]
    lines += [f"timing: {found.timing.words}"] if found.timing.words else []
    lines += found.reasons
    message = f"score {found.score:.3f}, {found.min_confidence:.3f} is asked for"
    return Case(
        suite=suite,
        name=name,
        state=_VERDICTS[found.verdict],
        message=f"{message}: {found.divergence}" if found.divergence else message,
        detail="\n".join(lines),
    )
