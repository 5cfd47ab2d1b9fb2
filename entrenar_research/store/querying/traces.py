"""System calls for SQL: the packed traces of runs, read only where a statement names a view of theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from entrenar_research.core.querying.views import View
from entrenar_research.core.traces.spans import span_table
from entrenar_research.errors import IntegrityError, ResearchError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.store.logged import span_values

DOCUMENT: Final = "trace/calls.trace"
"""Where the trace of a run is, in its directory."""
VIEWS: Final = ("calls", "span_calls")
"""The views whose rows come from traces."""
Columns = Sequence[Sequence[Any]]


def columns(
    root: Path, run_ids: Iterable[str], views: Sequence[View], damaged: list[str]
) -> Iterator[tuple[View, Columns]]:
    """The rows of the traced runs among these, run after run, as columns of each of the views.

    The paths of traces, and of points that belong to them, that cannot be read are added to `damaged`.
    """
    for run_id in run_ids:
        directory = root / "runs" / run_id
        found = _document(directory, damaged)
        if found is None:
            continue
        for view in views:
            rows = _calls(run_id, found) if view.name == "calls" else _span_calls(directory, found, damaged)
            if rows[0]:
                yield view, rows


def _document(directory: Path, damaged: list[str]) -> TraceDocument | None:
    """The trace of a run; None if it has none, or it is known to be damaged or turns out to be."""
    from entrenar_research.core.traces.storing import packed  # with numpy: only where somebody asks for it

    path = directory / DOCUMENT
    shown = str(path)
    if shown in damaged:
        return None
    try:
        return packed.unpack(path.read_bytes(), f"runs/{directory.name}/{DOCUMENT}")
    except FileNotFoundError:
        return None
    except (OSError, IntegrityError):
        damaged.append(shown)
        return None


def _calls(run_id: str, found: TraceDocument) -> Columns:
    calls = found.calls
    return (
        [run_id] * len(calls),
        [call.process for call in calls],
        [call.thread for call in calls],
        [call.began / 1e9 for call in calls],
        [None if call.took is None else call.took / 1e9 for call in calls],
        [call.name for call in calls],
        [call.arguments for call in calls],
        [call.result for call in calls],
        [call.error for call in calls],
        [call.span for call in calls],
    )


def _span_calls(directory: Path, found: TraceDocument, damaged: list[str]) -> Columns:
    try:
        values = span_values.last_values(directory) if found.spans else {}
    except ResearchError:
        values = {}
        path = str(directory / span_values.METRICS)
        if path not in damaged:
            damaged.append(path)
    rows = span_table.rows(found, values)
    calls = [row.calls for row in rows]
    return (
        [directory.name] * len(rows),
        [row.id for row in calls],
        [row.name if row.id is not None else None for row in calls],
        [row.index for row in calls],
        [row.attributes if row.id is not None else None for row in calls],
        [row.calls for row in calls],
        [row.own for row in calls],
        [row.errors for row in calls],
        [row.seconds for row in calls],
        [row.read for row in calls],
        [row.written for row in calls],
        [list(row.metrics.items()) for row in rows],
    )
