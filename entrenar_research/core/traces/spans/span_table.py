"""Loss and system calls of an epoch in one row: what a span's calls came to, with what was logged in it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from entrenar_research.core.traces.spans import attribution
from entrenar_research.core.traces.spans.attribution import SpanCalls
from entrenar_research.models.documented import TraceDocument

Values = Mapping[str, Mapping[str, tuple[int, float]]]
"""By span id and metric, the value logged last in that very span, and when (ns since 1970)."""


class SpanRow(msgspec.Struct, frozen=True, kw_only=True):
    """A span: what its calls came to, and the value logged last of each metric, in it or in a span within it."""

    calls: SpanCalls
    metrics: dict[str, float] = {}


def rows(document: TraceDocument, values: Values) -> tuple[SpanRow, ...]:
    """A row a span, in the order in which they began; last, if any, the calls outside of all spans."""
    latest: dict[str, dict[str, tuple[int, float]]] = {}
    for span, line in attribution.lines_of(document.spans).items():
        for metric, (moment, value) in values.get(span, {}).items():
            for above in line:
                known = latest.setdefault(above, {})
                if metric not in known or known[metric][0] <= moment:
                    known[metric] = (moment, value)
    return tuple(
        SpanRow(
            calls=found,
            metrics={name: value for name, (_, value) in sorted(latest.get(found.id or "", {}).items())},
        )
        for found in attribution.per_span(document)
    )


def summed(document: TraceDocument) -> tuple[SpanRow, ...]:
    """A row a name of spans; what is logged has no sum."""
    return tuple(SpanRow(calls=found) for found in attribution.by_name(document))
