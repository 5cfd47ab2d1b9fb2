"""Pareto's table of failures (spec section 20.3): which few codes, or categories, most failures have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from entrenar_research.core.failures.codes import CODES
from entrenar_research.models.tracking import Failure, FailureCategory

By = Literal["code", "category"]
_VITAL = Fraction(80, 100)


class Failing(msgspec.Struct, frozen=True, kw_only=True):
    """A run that did not come to a good end, and why. Times are ISO 8601 in UTC."""

    run: str
    experiment: str
    status: str
    started: str
    failure: Failure


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One row: `percent` of all failures, `cumulative` with all rows above, both rounded to two decimals.

    `vital` marks the fewest rows that together make 80 percent. By category `code` is empty, and `remediation` is
    that of the category's most frequent code.
    """

    code: str
    category: FailureCategory
    occurrences: int
    percent: float
    cumulative: float
    vital: bool
    last_run: str
    remediation: str | None = None


def table(failing: Iterable[Failing], by: By = "code") -> tuple[Bar, ...]:
    """The rows, the most frequent first; equal ones by name. The last run of each is the one with the greatest id."""
    groups: dict[tuple[str, FailureCategory], list[Failing]] = {}
    for item in failing:
        code = item.failure.code if by == "code" else ""
        groups.setdefault((code, item.failure.category), []).append(item)
    total = sum(map(len, groups.values()))
    bars, before = [], 0
    for (code, category), items in sorted(groups.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        count = before + len(items)
        bars.append(
            Bar(
                code=code,
                category=category,
                occurrences=len(items),
                percent=_percent(len(items), total),
                cumulative=_percent(count, total),
                vital=Fraction(before, total) < _VITAL,
                last_run=max(item.run for item in items),
                remediation=_remediation(items),
            )
        )
        before = count
    return tuple(bars)


def _percent(part: int, whole: int) -> float:
    return float(round(Fraction(100 * part, whole), 2))


def _remediation(items: Sequence[Failing]) -> str | None:
    """What the most frequent code's newest run was advised to do."""
    counts: dict[str, int] = {}
    for item in items:
        counts[item.failure.code] = counts.get(item.failure.code, 0) + 1
    code = min(counts, key=lambda name: (-counts[name], name))
    newest = max((item for item in items if item.failure.code == code), key=lambda item: item.run)
    return newest.failure.remediation or (CODES[code].remediation if code in CODES else None)
