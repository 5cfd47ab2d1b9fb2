"""The value that each metric had last in each span of a run, open or sealed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from entrenar_research.store.logged import log as logged
from entrenar_research.store.logged import series_files
from entrenar_research.store.logged.log import METRICS

__all__ = ["METRICS", "Values", "last_values"]
Values = dict[str, dict[str, tuple[int, float]]]


def last_values(directory: Path) -> Values:
    """By span id and metric, the value logged last in that very span, and when (ns since 1970).

    Raises:
        MissingToolError: if the run is sealed as Parquet and pyarrow is not installed.
        IntegrityError: if its Parquet file is damaged.
        StorageError: if the file system refuses.
    """
    found: Values = {}
    if logged.is_sealed(directory):
        path = directory / METRICS
        if path.is_file():
            file = series_files.opened(path, "key", "span")
            with series_files.damage(path):
                table = file.read(columns=["key", "value", "time", "span"], use_threads=False)
                table = series_files.with_numbers(table, "time")
                columns = [table[name].to_pylist() for name in ("span", "key", "time", "value")]
                _take(found, zip(*columns, strict=True))
        return found
    for item in logged.event_logs(directory):
        log = item.log
        if log is not None:
            ids = {span.ref: span.id for span in log.spans}
            spans = {ref: ids.get(log.key_spans.get(ref, 0)) for ref in log.keys}
            points = zip(log.refs, log.times, log.values, strict=True)
            _take(found, ((spans[ref], log.keys[ref], time, value) for ref, time, value in points))
    return found


def _take(found: Values, points: Iterable[tuple[str | None, str, int, float]]) -> None:
    for span, key, time, value in points:
        if span is not None:
            known = found.setdefault(span, {})
            if key not in known or known[key][0] <= time:
                known[key] = (time, value)
