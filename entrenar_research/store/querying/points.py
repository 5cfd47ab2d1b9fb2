"""Points and spans for SQL: the Parquet files of sealed runs, read by DuckDB itself, and what open runs have logged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.client import layout
from entrenar_research.store.logged import log as logged
from entrenar_research.store.logged import points
from entrenar_research.store.logged.log import METRICS, SPANS

_MAGIC = b"PAR1"
_SMALLEST_FILE = 12
_LARGEST = (1 << 63) - 1


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Where the points or spans of runs are: Parquet files, directories of open runs, files that are damaged."""

    files: tuple[str, ...]
    open: tuple[Path, ...]
    damaged: tuple[str, ...]


def find(root: Path, run_ids: Iterable[str], name: str, without: Sequence[str] = ()) -> Found:
    """The files called `name` (`METRICS` or `SPANS`) of these runs, `without` those known to be damaged."""
    files, opened, damaged = [], [], list(without)
    runs = str(root / "runs")
    for run_id in run_ids:
        directory = f"{runs}/{run_id}"
        if os.path.isdir(f"{directory}/{layout.DIRECTORY}") and not logged.is_sealed(Path(directory)):
            opened.append(Path(directory))
            continue
        path = f"{directory}/{name}"
        whole = _whole(path)
        if whole is False and path not in damaged:
            damaged.append(path)
        elif whole and path not in damaged:
            files.append(path)
    return Found(files=tuple(files), open=tuple(opened), damaged=tuple(damaged))


def _whole(path: str) -> bool | None:
    """Whether a Parquet file begins and ends as one does; None if it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError:
        return False
    try:
        size = os.fstat(descriptor).st_size
        ends = size >= _SMALLEST_FILE and os.pread(descriptor, 4, 0) == _MAGIC == os.pread(descriptor, 4, size - 4)
        return ends and int.from_bytes(os.pread(descriptor, 4, size - 8), "little") <= size - _SMALLEST_FILE
    except OSError:
        return False
    finally:
        os.close(descriptor)


def source(name: str, files: Sequence[str]) -> str:
    """SQL that reads the points or spans of sealed runs, in the order of the view's columns."""
    listed = ", ".join(quoted(escaped(path)) for path in files)
    read = f"read_parquet([{listed}], filename = true)"
    return f"SELECT parse_path(filename)[-2] AS run_id, {_COLUMNS[name]} FROM {read}"  # noqa: S608 - quoted paths


def unreadable(files: Mapping[str, str]) -> list[str]:
    """Those of these Parquet files (with what each is, `METRICS` or `SPANS`) that DuckDB cannot read to the end.

    DuckDB says that it could not read one of many, but not which.
    """
    import duckdb

    connection = duckdb.connect(":memory:")
    found = []
    for path, name in files.items():
        try:
            query = f"SELECT sum(hash(COLUMNS(*))) FROM ({source(name, [path])})"  # noqa: S608 - quoted paths
            connection.execute(query).fetchall()
        except duckdb.Error:
            found.append(path)
    return found


_COLUMNS = {
    METRICS: "key AS name, step, value, time::TIMESTAMPTZ::TIMESTAMP AS time, span AS span_id, process",
    SPANS: (
        "span_id, parent_id, name, started::TIMESTAMPTZ::TIMESTAMP AS started, "
        "ended::TIMESTAMPTZ::TIMESTAMP AS ended, (epoch_ns(ended) - epoch_ns(started)) / 1e9 AS duration, "
        "failed, attributes::JSON AS attributes, process"
    ),
}


def quoted(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def escaped(path: str) -> str:
    """A path in which `*`, `?` and `[` mean themselves."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def open_points(directories: Iterable[Path]) -> Iterator[tuple[Any, ...]]:
    """What open runs have logged by now, as columns of the view `metrics`, a batch a process."""
    for directory in directories:
        for item in logged.event_logs(directory):
            log = item.log
            if log is None or not log.steps:
                continue
            ids = {span.ref: span.id for span in log.spans}
            spans = {ref: ids.get(log.key_spans.get(ref, 0)) for ref in log.keys}
            count = len(log.steps)
            yield (
                [directory.name] * count,
                [log.keys[ref] for ref in log.refs],
                [min(step, _LARGEST) for step in log.steps],
                log.values,
                [min(time, _LARGEST) // 1000 for time in log.times],
                [spans[ref] for ref in log.refs],
                [log.process] * count,
            )


def open_spans(directories: Iterable[Path]) -> Iterator[tuple[Any, ...]]:
    """The spans of open runs as columns of the view `spans`."""
    for directory in directories:
        found = points.spans(directory)
        if found:
            yield (
                [directory.name] * len(found),
                [span.id for span in found],
                [span.parent for span in found],
                [span.name for span in found],
                [span.started // 1000 for span in found],
                [None if span.ended is None else span.ended // 1000 for span in found],
                [None if span.ended is None else (span.ended - span.started) / 1e9 for span in found],
                [bool(span.failed) for span in found],
                [msgspec.json.encode(span.attributes).decode() for span in found],
                [span.process for span in found],
            )
