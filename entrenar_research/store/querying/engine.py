"""SQL over runs with DuckDB: an empty database in memory, the views that a statement names, a lock, the statement."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from entrenar_research.core.querying import rows as query_rows
from entrenar_research.core.querying.views import NAMED, VIEWS, View
from entrenar_research.errors import IntegrityError, MissingToolError, StorageError
from entrenar_research.store.logged.log import METRICS, SPANS
from entrenar_research.store.querying import guard, points, tables, traces
from entrenar_research.store.querying.guard import Statement

T = TypeVar("T")
Batches = Iterator[Sequence[tuple[Any, ...]]]
Documents = Callable[[], Iterable[tuple[str, bytes]]]
_BATCH = 2048
_RECORDS = 5000
_FILES = {"metrics": METRICS, "spans": SPANS}
_OPEN = {"metrics": points.open_points, "spans": points.open_spans}
_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "errors_as_json": True,
    "python_enable_replacements": False,
    "temp_directory": "",
    "threads": 1,  # the same sum of the same numbers, to the last digit; files are read as quickly
}


_INTERRUPTED = "Query interrupted"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement found: names and DuckDB types of the columns, batches of rows.

    `damaged` are the files (study paths) that could not be read and are not in it.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    batches: Batches
    damaged: tuple[str, ...] = ()

    def first(self, limit: int) -> Answer:
        """The same with its first rows only."""
        rows = itertools.islice(itertools.chain.from_iterable(self.batches), limit)
        return msgspec.structs.replace(self, batches=iter([list(rows)]))


def ask(root: Path, documents: Documents, sql: str) -> Answer:
    """Carries out one statement that reads; `documents` gives ids and records (JSON) of the runs.

    Raises:
        MissingToolError: if DuckDB or pyarrow is not installed.
        UsageError: if the statement does more than read the views, or is wrong.
        IntegrityError: if a file turns out to be damaged when part of the answer is out.
    """
    try:
        import duckdb
        import pyarrow  # noqa: F401 - what fills the views
    except ImportError as error:
        raise MissingToolError(
            f"SQL needs DuckDB and pyarrow: {error}", hint="pip install 'entrenar-research[query]'"
        ) from error
    damaged: list[str] = []
    with _interruptions():
        statement = guard.check(duckdb.connect(":memory:", config=_SETTINGS), sql)
        while True:
            database = _Database(root, documents, statement, damaged)
            try:
                database.fill()
                return database.carry_out()
            except _DamagedError as error:
                database.close()
                damaged += error.paths


@contextlib.contextmanager
def _interruptions() -> Iterator[None]:
    """Where DuckDB itself notices Ctrl-C, it tells it as an error of its own, or as a RuntimeError."""
    import duckdb

    try:
        yield
    except (duckdb.InterruptException, RuntimeError) as error:
        if isinstance(error, duckdb.InterruptException) or str(error) == _INTERRUPTED:
            raise KeyboardInterrupt from error
        raise


class _DamagedError(Exception):
    """Some of the study's Parquet files cannot be read."""

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(*paths)
        self.paths = paths


class _Database:
    def __init__(self, root: Path, documents: Documents, statement: Statement, damaged: Sequence[str]) -> None:
        import duckdb

        self._root = root
        self._documents = documents
        self._statement = statement
        self._connection = duckdb.connect(":memory:", config=_SETTINGS)
        self._files: dict[str, str] = {}
        self._damaged = list(damaged)
        self._worker = concurrent.futures.ThreadPoolExecutor(1)

    def close(self) -> None:
        """Lets go of it."""
        self._worker.shutdown()
        self._connection.close()

    def fill(self) -> None:
        """Makes all views, fills those that the statement names, and locks the database."""
        run = self._connection.execute
        run("SET TimeZone = 'UTC'")
        run("SET enable_progress_bar = false")  # DuckDB would write it among the rows
        run("CREATE SCHEMA held")
        for view in VIEWS:
            tables.create(self._connection, view, f"held.{view.name}" if view.name in _FILES else view.name)
        self._take_records([NAMED[name] for name in sorted(self._statement.views) if query_rows.of_records(name)])
        for name in _FILES:
            self._take_files(NAMED[name])
        self._take_traces([NAMED[name] for name in traces.VIEWS if name in self._statement.views])
        allowed = dict.fromkeys(form for path in self._files for form in (path, points.escaped(path)))
        run(f"SET allowed_paths = [{', '.join(map(points.quoted, allowed))}]")
        run("SET enable_external_access = false")
        run("SET lock_configuration = true")
        run("BEGIN TRANSACTION READ ONLY")

    def _take_records(self, views: Sequence[View]) -> None:
        rows: dict[str, list[Sequence[Any]]] = {view.name: [] for view in views}
        for number, (run_id, document) in enumerate(self._documents() if views else (), 1):
            record = json.loads(document)
            for view in views:
                rows[view.name] += query_rows.rows(view.name, run_id, record)
            if number % _RECORDS == 0:
                self._insert(views, rows)
        self._insert(views, rows)

    def _insert(self, views: Sequence[View], rows: dict[str, list[Sequence[Any]]]) -> None:
        for view in views:
            if rows[view.name]:
                columns = zip(view.columns, zip(*rows[view.name], strict=True), strict=True)
                fitted = [[query_rows.fitted(column.type, value) for value in values] for column, values in columns]
                tables.append(self._connection, view, view.name, fitted)
                rows[view.name] = []

    def _take_files(self, view: View) -> None:
        import duckdb

        held, sealed = f"held.{view.name}", ""
        if view.name in self._statement.views:
            ids = (run_id for run_id, _ in self._documents())
            found = points.find(self._root, ids, _FILES[view.name], self._damaged)
            self._files.update(dict.fromkeys(found.files, _FILES[view.name]))
            self._damaged = list(found.damaged)
            if found.files:
                sealed = f"{points.source(_FILES[view.name], found.files)} UNION ALL "
            for columns in _OPEN[view.name](found.open):
                tables.append(self._connection, view, held, columns)
        try:
            self._connection.execute(f"CREATE VIEW {view.name} AS {sealed}SELECT * FROM {held}")  # noqa: S608 - our names
        except duckdb.Error as error:
            guilty = points.unreadable(self._files)
            if not guilty:
                raise StorageError(f"SQL: the files of {view.name} cannot be read: {error}") from error
            raise _DamagedError(guilty) from error

    def _take_traces(self, views: Sequence[View]) -> None:
        ids = (run_id for run_id, _ in self._documents()) if views else ()
        for view, columns in traces.columns(self._root, ids, views, self._damaged):
            tables.append(self._connection, view, view.name, columns)

    def carry_out(self) -> Answer:
        """The answer; its first rows have been fetched, so that most damage is known by then."""
        cursor, columns, first = self._patiently(self._begin)
        return Answer(
            columns=tuple(name for name, _ in columns),
            types=tuple(kind for _, kind in columns),
            batches=self._batches(cursor, first),
            damaged=tuple(map(_study_path, self._damaged)),
        )

    def _begin(self) -> tuple[Any, list[tuple[str, str]], Any]:
        text = self._statement.text
        cursor = self._connection.execute(text)
        columns = [(str(item[0]), str(item[1])) for item in cursor.description]
        if any("TIME ZONE" in kind for _, kind in columns):  # Python has no such value without another package
            places = enumerate(columns, 1)
            words = [f"#{at}::VARCHAR" if "TIME ZONE" in kind else f"#{at}" for at, (_, kind) in places]
            cursor = self._connection.execute(f"SELECT {', '.join(words)} FROM ({text}\n)")  # noqa: S608 - checked
        return cursor, columns, cursor.fetchmany(_BATCH)

    def _batches(self, cursor: Any, first: Sequence[tuple[Any, ...]]) -> Batches:
        rows = first
        while rows:
            yield rows
            try:
                rows = self._patiently(lambda: cursor.fetchmany(_BATCH))
            except _DamagedError as error:
                shown = ", ".join(map(_study_path, error.paths))
                hint = f"bring it back with `git checkout -- {shown}`, or from a copy of the run"
                raise IntegrityError(f"{shown}: damaged; the answer is cut off", hint=hint) from error
        self.close()

    def _patiently(self, call: Callable[[], T]) -> T:
        """Does it in a thread of its own: DuckDB itself is deaf to Ctrl-C until it is done."""
        import duckdb

        future = self._worker.submit(call)
        try:
            with self._naming_damage():
                return future.result()
        except KeyboardInterrupt:
            self._connection.interrupt()
            concurrent.futures.wait([future])
            raise
        except duckdb.OutOfMemoryException as error:
            message = "SQL: the statement needs more memory than there is"
            raise StorageError(message, hint="choose fewer runs or metrics with WHERE") from error
        except duckdb.Error as error:
            known = [column.name for name in sorted(self._statement.views) for column in NAMED[name].columns]
            raise guard.said(error, self._statement.text, known) from error

    @contextlib.contextmanager
    def _naming_damage(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            if isinstance(error, duckdb.InterruptException | duckdb.OutOfMemoryException):
                raise
            if guard.is_about_sql(error):
                raise
            guilty = points.unreadable(self._files)
            if not guilty:
                raise
            raise _DamagedError(guilty) from error


def _study_path(path: str) -> str:
    return path[path.rindex("/runs/") + 1 :]
