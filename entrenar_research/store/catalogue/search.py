"""Asking the catalogue: which runs, in which order, with which columns.

Imports little: it is on the way of `runs list`.
"""

# ruff: noqa: S608 - the names of tables and columns in queries are ours, values are bound

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from entrenar_research.store.catalogue import filter as catalogue_filter
from entrenar_research.store.catalogue.columns import Column, Names
from entrenar_research.store.catalogue.filter import Filter, Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_DEFAULT_METRICS = 3
_FEW = 500


class Listing:
    """The runs `ids` in order and a row of values for each (None: it has none).

    `total` is how many there were before the limit, None if that was not counted (there are more). `damage` says of
    some what could not be read, `newer` which schema wrote it where that is one we do not know. `looked` is what the
    files of settled runs looked like when they were read.
    """

    __slots__ = ("columns", "damage", "ids", "looked", "newer", "rows", "total")

    def __init__(self, ids: list[str], columns: list[Column], total: int | None) -> None:
        self.ids = ids
        self.columns = columns
        self.rows: list[list[Any]] = []
        self.total = total
        self.looked: dict[str, str] = {}
        self.damage: dict[str, str] = {}
        self.newer: dict[str, int] = {}


def run(connection: sqlite3.Connection, request: Request) -> Listing:
    """The answer, from one state of the catalogue.

    Raises:
        UsageError: if a column is unknown or a condition makes no sense.
    """
    # SQLite's own lower() knows ASCII only.
    connection.create_function("fold", 1, catalogue_filter.folded, deterministic=True)
    connection.execute("BEGIN")
    try:
        names = Names(connection)
        chosen = catalogue_filter.made(names, request)
        order, down = _order(names, request.sort)
        ids, total = _limited(connection, chosen, order, request.limit, down=down)
        if request.columns is not None:
            columns = [names.resolve(name) for name in request.columns]
        else:
            asked = [*([order] if order is not None else []), *chosen.columns]
            columns = _telling(connection, names, asked, ids)
        listing = Listing(ids, columns, total)
        _rows(connection, listing)
        _mark_damage(connection, listing)
        return listing
    finally:
        connection.execute("ROLLBACK")


def among(
    connection: sqlite3.Connection, what: str, table: str, key: str, ids: Sequence[str], rest: str = "",
    values: Sequence[Any] = (),
) -> list[tuple[Any, ...]]:  # fmt: skip
    """The rows of `table` whose `key` is one of these ids; `rest` is what follows in the query, for each part of it."""
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(ids), _FEW):
        some = ids[start : start + _FEW]
        places = ", ".join("?" * len(some))
        query = f"SELECT {what} FROM {table} WHERE {key} IN ({places}){rest}"
        found += connection.execute(query, (*some, *values)).fetchall()
    return found


def _order(names: Names, sort: str | None) -> tuple[Column | None, bool]:
    """The column to sort by, and whether the greatest comes first."""
    if sort is None:
        return None, False
    name, _, direction = sort.rpartition(":")
    if direction in ("asc", "desc") and name:
        return names.resolve(name), direction == "desc"
    return names.resolve(sort), False


def _limited(
    connection: sqlite3.Connection, chosen: Filter, order: Column | None, limit: int | None, *, down: bool
) -> tuple[list[str], int | None]:
    """The runs in order, and how many there are without the limit where that is quickly counted."""
    if limit is None:
        ids = _ids(connection, chosen, order, None, down=down)
        return ids, len(ids)
    ids = _ids(connection, chosen, order, limit + 1, down=down)
    if len(ids) <= limit:
        return ids, len(ids)
    ids = ids[1:] if order is None else ids[:-1]
    if chosen.looks_elsewhere:
        return ids, None
    query = f"SELECT count(*) FROM entries e{chosen.sql()}"
    return ids, int(connection.execute(query, chosen.values).fetchone()[0])


def _mark_damage(connection: sqlite3.Connection, listing: Listing) -> None:
    listed = set(listing.ids)
    query = "SELECT id, damage, written_by, shown FROM entries WHERE damage IS NOT NULL ORDER BY id"
    for run_id, damage, schema, shown in connection.execute(query):
        if run_id in listed:
            listing.damage[run_id] = damage
            if shown != "damaged":
                listing.newer[run_id] = schema


def _ids(
    connection: sqlite3.Connection, chosen: Filter, order: Column | None, limit: int | None, *, down: bool
) -> list[str]:
    """The runs in order: values, then what is no number, then runs without a value; ties by id."""
    if order is None or order.sql == "e.id":
        newest = down or (order is None and limit is not None)
        direction = "DESC" if newest else "ASC"
        query = f"SELECT e.id FROM entries e{chosen.sql()} ORDER BY e.id {direction} LIMIT ?"
        ids = [run_id for (run_id,) in connection.execute(query, (*chosen.values, -1 if limit is None else limit))]
        return ids[::-1] if order is None and newest else ids
    ids = []
    for tables, condition, values, place in _stages(order):
        own = "e.id" if tables == "entries e" else "o.run"
        left = -1 if limit is None else limit - len(ids)
        if left == 0:
            break
        by = f"{place} {'DESC' if down else 'ASC'}, {own}" if place else own
        query = f"SELECT {own} FROM {tables}{chosen.sql(condition)} ORDER BY {by} LIMIT ?"
        ids += [run_id for (run_id,) in connection.execute(query, (*values, *chosen.values, left))]
    return ids


def _stages(order: Column) -> Iterator[tuple[str, str, tuple[Any, ...], str]]:
    """Tables, a condition with its values, and what to sort by: each stage comes after the one before."""
    if order.home == "entries":
        yield "entries e", f"{order.sql} IS NOT NULL", (), order.sql
        yield "entries e", f"{order.sql} IS NULL", (), ""
        return
    place = f"o.{order.sql}" if order.home == "metrics" else "o.number"
    tables = f"{order.home} o JOIN entries e ON e.id = o.run"
    yield tables, f"o.key = ? AND {place} IS NOT NULL", (order.key,), place
    yield tables, f"o.key = ? AND {place} IS NULL", (order.key,), "o.value" if order.home == "params" else ""
    missing = f"NOT EXISTS (SELECT 1 FROM {order.home} o WHERE o.run = e.id AND o.key = ?)"
    yield "entries e", missing, (order.key,), ""


def _telling(connection: sqlite3.Connection, names: Names, asked: Sequence[Column], ids: Sequence[str]) -> list[Column]:
    """The usual columns, those that were asked about, and the metrics that most of these runs have."""
    columns = [names.resolve(name) for name in ("run", "experiment", "status", "took")]
    columns += [column for column in asked if column.name not in {item.name for item in columns}]
    if len(ids) <= _FEW:
        counts = dict(among(connection, "key, count(*)", "metrics", "run", ids, " GROUP BY key"))
    else:
        counts = dict(connection.execute("SELECT key, count(*) FROM metrics GROUP BY key").fetchall())
    for key in sorted(counts, key=lambda key: (-counts[key], key)):
        if sum(column.home == "metrics" for column in columns) >= _DEFAULT_METRICS:
            break
        column = names.resolve(f"metrics.{key}")
        if column.name not in {item.name for item in columns}:
            columns.append(column)
    return list({column.name: column for column in columns}.values())


def _rows(connection: sqlite3.Connection, listing: Listing) -> None:
    """Fills in the values, and what the files of the runs looked like."""
    places = {run_id: place for place, run_id in enumerate(listing.ids)}
    listing.rows = rows = [[None] * len(listing.columns) for _ in listing.ids]
    own = [index for index, column in enumerate(listing.columns) if column.home == "entries"]
    what = ", ".join(["e.id", "e.looked", "e.settled", *(listing.columns[index].sql for index in own)])
    for run_id, looked, settled, *values in _of(connection, what, "entries e", "e.id", listing.ids):
        if run_id in places:
            row = rows[places[run_id]]
            for index, value in zip(own, values, strict=True):
                row[index] = value
            if settled:
                listing.looked[run_id] = looked
    for index, column in enumerate(listing.columns):
        if column.home != "entries":
            what = f"run, {'value, number' if column.home == 'params' else column.sql}"
            for run_id, *values in _of(
                connection, what, column.home, "run", listing.ids, " AND key = ?", (column.key,)
            ):
                if run_id in places:
                    rows[places[run_id]][index] = column.value(values)


def _of(
    connection: sqlite3.Connection, what: str, table: str, key: str, ids: Sequence[str], rest: str = "",
    values: Sequence[Any] = (),
) -> Iterable[tuple[Any, ...]]:  # fmt: skip
    """As `among`, but of many ids the whole table, with rows of others in it."""
    if len(ids) <= _FEW:
        return among(connection, what, table, key, ids, rest, values)
    return connection.execute(f"SELECT {what} FROM {table} WHERE 1{rest}", values)


def widened(connection: sqlite3.Connection, listing: Listing) -> Listing:
    """The same runs with every parameter and every metric that any of them has."""
    names = Names(connection)
    columns = [names.resolve(name) for name in ("run", "experiment", "status", "started", "took")]
    for home in ("params", "metrics"):
        keys = {key for (key,) in among(connection, "DISTINCT key", home, "run", listing.ids)}
        columns += [names.resolve(f"{home}.{key}") for key in sorted(keys)]
    wide = Listing(listing.ids, columns, listing.total)
    wide.damage, wide.newer = listing.damage, listing.newer
    _rows(connection, wide)
    return wide


def whole(connection: sqlite3.Connection, ids: Sequence[str]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """For each of these runs its id, its row of `entries`, and its record as JSON, in the order given."""
    found = {}
    cursor = connection.execute("SELECT * FROM runs LIMIT 0")
    names = [column[0] for column in cursor.description]
    for row in _of(connection, "*", "runs", "id", ids):
        entry = dict(zip(names, row, strict=True))
        found[entry["id"]] = entry
    for run_id in ids:
        if run_id in found:  # else it was removed meanwhile
            entry = found[run_id]
            yield run_id, entry, entry.pop("document")
