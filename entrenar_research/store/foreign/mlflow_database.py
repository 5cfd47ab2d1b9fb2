"""MLflow's SQLite store, read without writing anything beside it."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from entrenar_research.errors import StorageError

_COUNTED = (
    ("data set", "SELECT count(*) FROM inputs WHERE source_type = 'DATASET' AND destination_id = ?"),
    ("logged model", "SELECT count(*) FROM logged_models WHERE source_run_id = ?"),
)


class Row(NamedTuple):
    """A run. Times in milliseconds since 1970; `user` tells whether there is a user name."""

    run_id: str
    name: str
    experiment: str
    experiment_id: int
    status: str
    started: int | None
    ended: int | None
    deleted: bool
    user: bool
    source_version: str
    artifact_uri: str
    points: int
    params: int


class Database:
    """The database at `path`, within a `with` block.

    It is opened as immutable: nothing is locked and no file is made beside it; where SQLite's journal lies
    beside it with content, read-only instead, so that what stands in the journal counts.

    Raises:
        StorageError: from every method, if it is no database of MLflow's or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        beside = [self._path.with_name(self._path.name + end) for end in ("-wal", "-journal")]
        busy = any(path.is_file() and path.stat().st_size for path in beside)
        query = "mode=ro" if busy else "mode=ro&immutable=1"
        try:
            address = f"file:{urllib.parse.quote(str(self._path.resolve()))}?{query}"
            self._connection = sqlite3.connect(address, uri=True, timeout=5)
            self._connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            tables = {name for (name,) in self._connection.execute("SELECT name FROM sqlite_master")}
        except sqlite3.Error as error:
            self.__exit__(None, None, None)
            raise StorageError(f"{self._path.name}: cannot be read as an SQLite database: {error}") from error
        missing = {"runs", "metrics", "params", "tags", "experiments"} - tables
        if missing:
            self.__exit__(None, None, None)
            raise StorageError(f"{self._path.name}: no database of MLflow: it has no table {min(missing)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _rows(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        if self._connection is None:
            raise StorageError(f"{self._path.name}: not open")
        try:
            yield from self._connection.execute(query, values)
        except (sqlite3.Error, UnicodeError, ValueError) as error:
            raise StorageError(f"{self._path.name}: {error}") from error

    def runs(self, run_id: str | None = None) -> Iterator[Row]:
        """Every run, oldest first, or the one."""
        points, params = self._counts("metrics", run_id), self._counts("params", run_id)
        names = {key: str(name) for key, name in self._rows("SELECT experiment_id, name FROM experiments")}
        known = {name for _, name, *_ in self._rows("PRAGMA table_info(runs)")}
        wanted = ("run_uuid", "name", "experiment_id", "status", "start_time", "end_time", "lifecycle_stage",
                  "user_id", "source_version", "artifact_uri")  # fmt: skip
        columns = ", ".join(name if name in known else "NULL" for name in wanted)
        where = "" if run_id is None else " WHERE run_uuid = ?"
        query = f"SELECT {columns} FROM runs{where} ORDER BY start_time, run_uuid"  # noqa: S608 - names of ours
        for row in self._rows(query, *([] if run_id is None else [run_id])):
            key, name, experiment, status, start, end, stage, user, version, uri = row
            yield Row(
                str(key), str(name or ""), names.get(experiment, ""), experiment, str(status), start, end,
                stage == "deleted", bool(user), str(version or ""), str(uri or ""), points.get(key, 0),
                params.get(key, 0),
            )  # fmt: skip

    def _counts(self, table: str, run_id: str | None) -> dict[str, int]:
        """The number of rows of each run, or of the one."""
        where, values = ("", []) if run_id is None else (" WHERE run_uuid = ?", [run_id])
        query = f"SELECT run_uuid, count(*) FROM {table}{where} GROUP BY run_uuid"  # noqa: S608 - names of ours
        return dict(self._rows(query, *values))

    def params(self, run_id: str) -> list[tuple[str, str]]:
        """The parameters of a run."""
        return [(str(k), str(v)) for k, v in self._rows("SELECT key, value FROM params WHERE run_uuid = ?", run_id)]

    def tags(self, run_id: str) -> list[tuple[str, str]]:
        """The tags of a run."""
        return [(str(k), str(v)) for k, v in self._rows("SELECT key, value FROM tags WHERE run_uuid = ?", run_id)]

    def points(self, run_id: str) -> Iterator[tuple[str, int, float, int]]:
        """Key, step, value and time (ns) of every point, in the order they were written."""
        query = "SELECT key, step, value, timestamp, is_nan FROM metrics WHERE run_uuid = ? ORDER BY rowid"
        for key, step, value, time, is_nan in self._rows(query, run_id):
            yield str(key), int(step), math.nan if is_nan else float(value), int(time) * 1_000_000

    def others(self, run_id: str) -> Iterator[tuple[str, int]]:
        """What else hangs on a run, with its number; tables that an older version lacks count as empty."""
        for what, query in _COUNTED:
            with contextlib.suppress(StorageError):
                for (count,) in self._rows(query, run_id):
                    if count:
                        yield what, count
