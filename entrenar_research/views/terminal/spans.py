"""Spans with their system calls and what was logged in them, as a table: loss and calls of an epoch in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entrenar_research.core.traces.spans.span_table import SpanRow
from entrenar_research.views.terminal.screen import Screen, size

_METRICS = 6
_NAMES = 3
_OUTSIDE = "(outside of all spans)"


def show(screen: Screen, rows: Sequence[SpanRow]) -> None:
    """Draws the table: a line a span, in the order in which they began, with a column for each metric."""
    metrics = sorted({name for row in rows for name in row.metrics})
    shown, left = metrics[:_METRICS], metrics[_METRICS:]
    headings = ["span", *shown, "calls", "own", "errors", "seconds", "read", "written", "most frequent"]
    lines = [[_name(row), *(_number(row.metrics.get(name)) for name in shown), *_figures(row)] for row in rows]
    screen.table(headings, lines, right=range(1, len(headings) - 1))
    if left:
        screen.line(f"{len(left)} more metrics: {', '.join(left)} (all of them: --format json)", "quiet")


def plain(rows: Sequence[SpanRow]) -> list[dict[str, Any]]:
    """The same for JSON."""
    return [
        {
            "span": row.calls.id,
            "name": row.calls.name if row.calls.id is not None or row.calls.spans else None,
            "index": row.calls.index,
            "spans": row.calls.spans,
            "calls": row.calls.calls,
            "own_calls": row.calls.own,
            "errors": row.calls.errors,
            "seconds": row.calls.seconds,
            "read": row.calls.read,
            "written": row.calls.written,
            "by_name": dict(row.calls.by_name),
            "metrics": row.metrics,
        }
        for row in rows
    ]


def _name(row: SpanRow) -> str:
    calls = row.calls
    if calls.id is None:
        return f"{calls.name} ({calls.spans}x)" if calls.spans else _OUTSIDE
    return calls.name if calls.index is None else f"{calls.name} {calls.index}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _figures(row: SpanRow) -> list[str]:
    calls = row.calls
    frequent = ", ".join(f"{name} {count}" for name, count in calls.by_name[:_NAMES])
    counts = [str(calls.calls), str(calls.own), str(calls.errors or "")]
    return [*counts, f"{calls.seconds:.6f}", size(calls.read), size(calls.written), frequent]
