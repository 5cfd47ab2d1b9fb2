"""What a check of a trace found: a table of assertions, a table of patterns, and what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from entrenar_research.models.patterns import PatternFinding
from entrenar_research.models.policy import AssertionResult
from entrenar_research.views.terminal.screen import Screen

_STYLES: Final = {"pass": "good", "warn": "doubt", "fail": "bad", "skip": "quiet", "no data": "doubt"}
_SEVERITIES: Final = {"info": "quiet", "warning": "doubt", "critical": "bad"}


def draw(
    screen: Screen,
    assertions: Sequence[AssertionResult],
    patterns: Sequence[PatternFinding],
    *,
    exported: str | None,
) -> None:
    """Draws both; `exported` is where a report was left."""
    if assertions:
        rows = [[item.state, item.name, _figure(item.actual, item), _figure(item.limit, item), item.unit or "",
                 item.message] for item in assertions]  # fmt: skip
        columns = ["state", "assertion", "actual", "limit", "unit", "why"]
        screen.table(columns, rows, styles=[_STYLES[item.state] for item in assertions], right=(2, 3))
        count = Counter[str](item.state for item in assertions)
        screen.line(", ".join(f"{count[state]} {state}" for state in _STYLES if count[state]))
    else:
        screen.line("no assertions: there is no renacer.toml, or it has none", "doubt")
    screen.line()
    rows = [[item.pattern, f"{item.confidence:.2f}", item.severity if item.applicable else "-", item.explanation]
            for item in patterns]  # fmt: skip
    styles = [_SEVERITIES[item.severity] for item in patterns]
    screen.table(["pattern", "confidence", "severity", "why"], rows, styles=styles, right=(1,))
    for item in patterns:
        if item.severity != "info":
            _tell(screen, item)
    if exported is not None:
        screen.line(f"wrote {exported}", "quiet")


def _tell(screen: Screen, item: PatternFinding) -> None:
    where = f" in {item.place}" if item.place else ""
    calls = f", calls {item.first} to {item.last}" if item.first is not None else ""
    screen.line(f"{item.pattern}{where}{calls}: {item.remediation}", _SEVERITIES[item.severity])
    if item.severity == "critical":
        screen.line(f"{item.pattern} is critical: this trace cannot become golden", "bad")


def _figure(value: float | None, item: AssertionResult) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if item.unit in ("ms", "confidence") else f"{value:.15g}"
