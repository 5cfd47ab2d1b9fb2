"""The columns that runs can be shown, filtered and sorted by, under the names that people use."""

# ruff: noqa: S608 - the names of tables and columns in queries are ours, values are bound

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator

from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# name: (SQL over `e`, kind)
FIXED: dict[str, tuple[str, str]] = {
    "run": ("e.id", "text"),
    "experiment": ("e.experiment", "text"),
    "status": ("e.shown", "text"),
    "took": ("e.duration", "number"),
    "started": ("e.started", "time"),
    "ended": ("e.ended", "time"),
    "runner": ("e.runner", "text"),
    "sweep": ("e.sweep", "text"),
    "trial": ("e.trial", "number"),
    "tag": ("e.tags", "text"),
    "failure": ("e.failure", "text"),
    "exit": ("e.exit_status", "number"),
    "seed": ("e.seed", "number"),
    "commit": ("e.code_commit", "text"),
    "recipe": ("e.recipe", "text"),
    "result": ("e.result", "text"),
    "points": ("e.points", "number"),
    "lost": ("e.lost_points", "number"),
    "warnings": ("e.warnings", "number"),
    "recovered": ("e.recovered", "time"),
    "imported": ("e.imported", "text"),
    "trace": ("e.trace_id", "text"),
    "damage": ("e.damage", "text"),
}
_ALSO = {"id": "run", "duration": "took", "tags": "tag"}
_ASPECTS = {
    "last": "last", "lowest": "lowest", "min": "lowest", "highest": "highest", "max": "highest", "points": "points",
    "step": "last_step",
}  # fmt: skip


class Column:
    """A column: where its values are (`home`: entries, params or metrics), `sql` for them, `kind` of value.

    `key` is the name of the metric or parameter; `text` is SQL for the value as text.
    """

    __slots__ = ("home", "key", "kind", "name", "sql", "text")

    def __init__(self, name: str, home: str, sql: str, kind: str, key: str = "") -> None:
        self.name = name
        self.home = home
        self.sql = sql
        self.kind = kind
        self.key = key
        self.text = "value" if home == "params" else f"CAST({sql} AS TEXT)" if kind == "number" else sql

    def value(self, found: list[Any]) -> Any:
        """What was found in the row of a metric or parameter, as a value: a number or text."""
        if self.home == "metrics":
            if self.sql == "last":
                return math.nan if found[0] is None else found[0]
            return found[0]
        text, number = found
        if number is None:
            return text
        return int(text) if text.removeprefix("-").isdecimal() else number


class Names:
    """Finds columns by name, in the catalogue behind `connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def resolve(self, name: str) -> Column:
        """The column of that name: a fixed one, `params.KEY`, `metrics.KEY`, `metrics.KEY.lowest`, or just KEY.

        Raises:
            UsageError: if there is none, or KEY is a parameter and a metric.
        """
        fixed = _ALSO.get(name, name)
        if fixed in FIXED:
            sql, kind = FIXED[fixed]
            return Column(fixed, "entries", sql, kind)
        home, _, key = name.partition(".")
        if home in ("params", "metrics") and key:
            column = self._of(home, key)
            if column is not None:
                return column
        candidates = [column for home in ("metrics", "params") if (column := self._of(home, name)) is not None]
        if len(candidates) == 1:
            return candidates[0]
        if candidates:
            raise UsageError(f"{name!r} is a metric and a parameter", hint=f"write metrics.{name} or params.{name}")
        raise suggest.unknown("column", name, self._known(name))

    def _of(self, home: str, key: str) -> Column | None:
        if self._has(home, key):
            if home == "params":
                return Column(f"params.{key}", home, "number", "either", key)
            return Column(f"metrics.{key}", home, "last", "number", key)
        stem, _, aspect = key.rpartition(".")
        if home == "metrics" and aspect in _ASPECTS and self._has(home, stem):
            return Column(f"metrics.{key}", home, _ASPECTS[aspect], "number", stem)
        return None

    def _has(self, home: str, key: str) -> bool:
        query = f"SELECT 1 FROM {home} WHERE key = ? LIMIT 1"
        return self._connection.execute(query, (key,)).fetchone() is not None

    def _known(self, name: str) -> Iterator[str]:
        """What there is to name, in the way the wrong name is written."""
        plain = not name.startswith(("metrics.", "params."))
        if plain:
            yield from FIXED
        for home in ("metrics", "params"):
            for (key,) in self._connection.execute(f"SELECT DISTINCT key FROM {home} ORDER BY key"):
                yield f"{home}.{key}"
                if plain:
                    yield key
