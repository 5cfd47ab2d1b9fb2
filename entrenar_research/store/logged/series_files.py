"""The points and spans of a sealed run: `metrics.parquet` and `spans.parquet`, written and read with pyarrow.

`metrics.parquet` has a row a point, process after process, each in the order logged: key, step, value, time,
process (the name of its event log), span (16 hex digits, or null). `spans.parquet` has a row a span.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entrenar_research.client.reading import Log
from entrenar_research.core import digests
from entrenar_research.core.tracking import handover
from entrenar_research.errors import IntegrityError, MissingToolError
from entrenar_research.store import files, sums
from entrenar_research.store.logged.log import METRICS, SPANS, EventLog

_ROWS = 1 << 18  # a row group: what is read or passed over at once
_LARGEST = (1 << 63) - 1
# Differences of steps and times are small; bytes of the same weight in values are alike.
_ENCODINGS = {"step": "DELTA_BINARY_PACKED", "time": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"}


def available() -> bool:
    """Whether Parquet can be written and read here."""
    return importlib.util.find_spec("pyarrow") is not None


def write(directory: Path, logs: Sequence[EventLog], trace_id: str | None) -> None:
    """Writes the Parquet files of a run; none without a point and a span, no `spans.parquet` without a span.

    Raises:
        StorageError: if the file system refuses; the files are then as they were.
    """
    readable = [item.log for item in logs if item.log is not None]
    spans = [log for log in readable if log.spans]
    if spans:
        root = handover.root_span(f"runs/{directory.name}")
        _write(directory / SPANS, [_spans(log, trace_id, root) for log in spans], {})
    if spans or any(log.steps for log in readable):
        _write(directory / METRICS, [_points(log) for log in readable], _ENCODINGS)


def _write(path: Path, tables: Sequence[Any], encodings: dict[str, str]) -> None:
    import pyarrow
    from pyarrow import parquet

    sink = pyarrow.BufferOutputStream()
    dictionaries = [field.name for field in tables[0].schema if field.name not in encodings]
    with parquet.ParquetWriter(
        sink,
        tables[0].schema,
        compression="zstd",
        use_dictionary=dictionaries,
        column_encoding=encodings or None,
        write_page_checksum=True,
    ) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=_ROWS)
    files.write_atomically(path, sink.getvalue().to_pybytes())


def _points(log: Log) -> Any:
    import pyarrow

    ids = {span.ref: span.id for span in log.spans}
    names, spans = sorted(set(log.keys.values())), sorted({ids[ref] for ref in log.key_spans.values() if ref in ids})
    name_at, span_at = {name: at for at, name in enumerate(names)}, {name: at for at, name in enumerate(spans)}
    key_of = {ref: name_at[name] for ref, name in log.keys.items()}
    span_of = {ref: span_at.get(ids.get(log.key_spans.get(ref, 0), "")) for ref in log.keys}
    count = len(log.steps)
    return pyarrow.table(
        {
            "key": _coded([key_of[ref] for ref in log.refs], names),
            "step": _integers(log.steps),
            "value": pyarrow.array(log.values, pyarrow.float64()),
            "time": _integers(log.times).cast(pyarrow.timestamp("ns", tz="UTC")),
            "process": _coded([0] * count, [log.process]),
            "span": _coded([span_of[ref] for ref in log.refs], spans),
        }
    )


def _coded(indices: Sequence[int | None], words: Sequence[str]) -> Any:
    import pyarrow

    dictionary = pyarrow.array(words, pyarrow.string())
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array(indices, pyarrow.int32()), dictionary)


def _integers(numbers: Sequence[int]) -> Any:
    """64-bit integers with sign; a larger one, which no client writes, becomes the largest."""
    import pyarrow

    try:
        return pyarrow.array(numbers, pyarrow.int64())
    except (OverflowError, pyarrow.ArrowInvalid):
        return pyarrow.array([min(number, _LARGEST) for number in numbers], pyarrow.int64())


def _spans(log: Log, trace_id: str | None, root: str) -> Any:
    """A row a span; the run itself, `root`, is nobody's parent."""
    import pyarrow

    spans, count = log.spans, len(log.spans)
    parents = [None if span.parent == root else span.parent for span in spans]
    moment = pyarrow.timestamp("ns", tz="UTC")
    ended = [min(span.ended, _LARGEST) if span.ended else None for span in spans]
    attributes = [json.dumps(span.attributes, ensure_ascii=False, sort_keys=True) for span in spans]
    return pyarrow.table(
        {
            "trace_id": pyarrow.array([trace_id] * count, pyarrow.string()),
            "span_id": pyarrow.array([span.id for span in spans], pyarrow.string()),
            "parent_id": pyarrow.array(parents, pyarrow.string()),
            "name": pyarrow.array([span.name for span in spans], pyarrow.string()),
            "started": _integers([span.started for span in spans]).cast(moment),
            "ended": pyarrow.array(ended, pyarrow.int64()).cast(moment),
            "failed": pyarrow.array([bool(span.failed) for span in spans], pyarrow.bool_()),
            "attributes": pyarrow.array(attributes, pyarrow.string()),
            "process": pyarrow.array([log.process] * count, pyarrow.string()),
        }
    )


def opened(path: Path, *coded: str) -> Any:
    """A Parquet file of a run, to be read; columns that are `coded` come as dictionaries.

    Raises:
        MissingToolError: if pyarrow is not installed.
        IntegrityError: if it is damaged.
        StorageError: if the file system refuses.
    """
    if not available():
        raise MissingToolError(
            f"{shown(path)}: Parquet cannot be read here: pyarrow is not installed",
            hint="pip install 'entrenar-research[query]'",
        )
    import pyarrow
    from pyarrow import parquet

    with files.refusals(f"{shown(path)} cannot be read"):
        data = path.read_bytes()
    with damage(path):
        _refuse_changed(path, data)
        source = pyarrow.py_buffer(data)
        return parquet.ParquetFile(source, read_dictionary=coded, page_checksum_verification=True)


def _refuse_changed(path: Path, data: bytes) -> None:
    """Raises if the file is not the one that its directory was closed with: some damage would crash the reader."""
    try:
        listed = digests.parse_manifest((path.parent / sums.NAME).read_text(encoding="utf-8"), sums.NAME)
    except (OSError, UnicodeDecodeError, IntegrityError):
        return
    if listed.get(path.name, now := digests.sha256(data)) != now:
        raise ValueError(f"{sums.NAME} has the digest {listed[path.name][:19]}..., it is {now[:19]}...")


class damage:  # noqa: N801 - used as a function in `with`
    """Turns what pyarrow cannot read in a Parquet file into an error that names the file and what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        import pyarrow

        if isinstance(error, pyarrow.ArrowException | OSError | LookupError | ValueError):
            said = (str(error) or type(error).__name__).partition("\n")[0].rstrip(".")
            raise IntegrityError(
                f"{shown(self._path)}: damaged: {said}",
                hint=f"bring it back with `git checkout -- {shown(self._path)}` or from a copy of the run; "
                "its record and the other runs can still be read",
            ) from error


def equal(column: Any, text: str) -> Any:
    """Which rows of a column hold `text`."""
    from pyarrow import compute

    return compute.equal(column, text)


def with_numbers(table: Any, *moments: str) -> Any:
    """The table with these columns of times as integers (ns since 1970)."""
    import pyarrow

    for name in moments:
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pyarrow.int64()))
    return table


def shown(path: Path) -> str:
    """A file of a run directory as a study path."""
    return f"runs/{path.parent.name}/{path.name}"
