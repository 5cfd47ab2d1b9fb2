"""Reading what was logged point by point, of open and of sealed runs alike."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.core.tracking import handover
from entrenar_research.models.tracking import Series
from entrenar_research.store.logged import log as logged
from entrenar_research.store.logged import series_files, series_summary


class Points(msgspec.Struct, frozen=True, kw_only=True):
    """The points of one metric, process after process in the order logged; `times` are ns since 1970.

    The three are equally long: numpy arrays where they come from Parquet and numpy is installed, otherwise lists.
    """

    steps: Any
    values: Any
    times: Any


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a run: its W3C ids, when it began and ended (ns since 1970; None if it never ended)."""

    id: str
    parent: str | None
    name: str
    started: int
    ended: int | None
    failed: bool
    attributes: dict[str, Any]
    process: str


def points(directory: Path, key: str) -> Points:
    """The points of the metric `key` of the run whose directory this is; none if it has no such metric.

    Raises:
        MissingToolError: if the run is sealed as Parquet and pyarrow is not installed.
        IntegrityError: if its Parquet file is damaged.
        StorageError: if the file system refuses.
    """
    if _in_parquet(directory):
        return _from_parquet(directory / logged.METRICS, key)
    steps, values, times = list[int](), list[float](), list[int]()
    for item in logged.event_logs(directory):
        if item.log is not None:
            wanted = {ref for ref, name in item.log.keys.items() if name == key}
            chosen = [ref in wanted for ref in item.log.refs]
            steps += compress(item.log.steps, chosen)
            values += compress(item.log.values, chosen)
            times += compress(item.log.times, chosen)
    return Points(steps=steps, values=values, times=times)


def keys(directory: Path) -> tuple[str, ...]:
    """The metrics of a run that have points, sorted.

    Raises:
        As `points`.
    """
    return tuple(series(directory))


def series(directory: Path) -> dict[str, Series]:
    """Every metric in short, made anew from the points.

    Raises:
        As `points`.
    """
    if not _in_parquet(directory):
        return logged.gather(logged.event_logs(directory)).series
    path = directory / logged.METRICS
    file = series_files.opened(path, "key", "process")
    summary = series_summary.Summary()
    with series_files.damage(path):
        # No threads of Arrow: in a short program they may still be starting when it ends, which aborts it.
        table = file.read(columns=["key", "step", "value", "time", "process"], use_threads=False)
        table = table.unify_dictionaries().combine_chunks()
        for process in table["process"].unique().to_pylist():
            rows = table.filter(series_files.equal(table["process"], process)).combine_chunks()
            codes = rows["key"].combine_chunks()
            names = dict(enumerate(codes.dictionary.to_pylist()))
            summary.add(names, codes.indices.to_pylist(), *(column.to_pylist() for column in _columns(rows)))
    return summary.series()


def spans(directory: Path) -> tuple[Span, ...]:
    """The spans of a run, process after process in the order begun.

    Raises:
        As `points`.
    """
    if not _in_parquet(directory):
        root = handover.root_span(f"runs/{directory.name}")
        logs = (item.log for item in logged.event_logs(directory) if item.log is not None)
        return tuple(
            Span(
                id=span.id,
                parent=None if span.parent == root else span.parent,
                name=span.name,
                started=span.started,
                ended=span.ended,
                failed=span.failed,
                attributes=span.attributes,
                process=log.process,
            )
            for log in logs
            for span in log.spans
        )
    path = directory / logged.SPANS
    if not path.is_file():
        return ()
    file = series_files.opened(path)
    with series_files.damage(path):
        table = file.read(use_threads=False)
        return tuple(_span(row) for row in series_files.with_numbers(table, "started", "ended").to_pylist())


def _span(row: dict[str, Any]) -> Span:
    return Span(
        id=row["span_id"],
        parent=row["parent_id"],
        name=row["name"],
        started=row["started"],
        ended=row["ended"],
        failed=row["failed"],
        attributes=json.loads(row["attributes"]),
        process=row["process"],
    )


def _in_parquet(directory: Path) -> bool:
    return logged.is_sealed(directory) and (directory / logged.METRICS).is_file()


def _from_parquet(path: Path, key: str) -> Points:
    file = series_files.opened(path, "key")
    with series_files.damage(path):
        groups = [at for at in range(file.num_row_groups) if _may_hold(file.metadata.row_group(at), key)]
        table = file.read_row_groups(groups, columns=["key", "step", "value", "time"], use_threads=False)
        columns = _columns(table.filter(series_files.equal(table["key"], key)))
    if importlib.util.find_spec("numpy") is None:
        steps, values, times = (column.to_pylist() for column in columns)
    else:
        steps, values, times = (column.to_numpy() for column in columns)
    return Points(steps=steps, values=values, times=times)


def _may_hold(group: Any, key: str) -> bool:
    """Whether a row group can have rows of a metric, by the first and the last name in it."""
    found = group.column(0).statistics
    return found is None or not found.has_min_max or found.min <= key <= found.max


def _columns(table: Any) -> Sequence[Any]:
    numbers = series_files.with_numbers(table, "time")
    return numbers["step"], numbers["value"], numbers["time"]
