"""Traces on a terminal: calls in a table, and what the calls of spans came to."""

from __future__ import annotations

from collections.abc import Sequence

from entrenar_research.core.traces.spans.attribution import SpanCalls
from entrenar_research.models.documented import DocumentedCall, DocumentedSpan
from entrenar_research.views.terminal.screen import Screen, size

_WIDEST = 100


def show_calls(
    screen: Screen, calls: Sequence[DocumentedCall], spans: Sequence[DocumentedSpan], *, timed: bool
) -> None:
    """A row a call: when it began, by whom, what it was, how it ended, how long it took; `-` for what is not known."""
    names = {span.id: span.name for span in spans}
    rows = [
        [
            f"{call.began / 1e9:.6f}" if timed else "-",
            str(call.thread),
            _shortened(f"{call.name}({call.arguments})"),
            f"{call.result} {call.error}" if call.error else call.result,
            "-" if call.took is None else f"{call.took / 1e3:.0f}",
            *([names.get(call.span or "", "-")] if names else []),
        ]
        for call in calls
    ]
    styles = ["bad" if call.error else None for call in calls]
    columns = ["seconds", "thread", "call", "result", "µs", *(["span"] if names else [])]
    screen.table(columns, rows, styles=styles, styled=3, right=(0, 1, 4))


def show_spans(screen: Screen, rows: Sequence[SpanCalls], *, timed: bool) -> None:
    """A row a span name: its spans, calls, errors, the time in calls and the bytes that they moved."""
    table = [
        [
            row.name,
            str(row.spans) if row.spans else "-",
            str(row.calls),
            str(row.errors or ""),
            f"{row.seconds:.6f}" if timed else "-",
            size(row.read),
            size(row.written),
            ", ".join(f"{name} {count}" for name, count in row.by_name[:3]),
        ]
        for row in rows
    ]
    columns = ["span", "spans", "calls", "errors", "seconds", "read", "written", "most often"]
    screen.table(columns, table, right=(1, 2, 3, 4, 5, 6))


def _shortened(text: str) -> str:
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
