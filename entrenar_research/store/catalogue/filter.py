"""Which runs are asked for: conditions as SQL over the catalogue's tables.

Imports little: it is on the way of `runs list`.
"""

# ruff: noqa: S608 - the names of tables and columns in queries are ours, values are bound

from __future__ import annotations

import math
from collections.abc import Sequence

from entrenar_research.errors import UsageError
from entrenar_research.store.catalogue.columns import Column, Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from entrenar_research.core.tracking.conditions import Condition


class Request:
    """What is asked for; conditions are those of `core.conditions`, all of them have to hold.

    `sort` is a column, `column:asc` or `column:desc`; without one runs come oldest first, and a `limit` keeps the
    newest. `columns` None: those that say most of these runs.
    """

    __slots__ = ("columns", "experiment", "limit", "sort", "status", "tags", "where")

    def __init__(
        self, *, experiment: str | None = None, status: str | None = None, tags: Sequence[str] = (),
        where: Sequence[str] = (), sort: str | None = None, columns: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> None:  # fmt: skip
        self.experiment = experiment
        self.status = status
        self.tags = tags
        self.where = where
        self.sort = sort
        self.columns = columns
        self.limit = limit


class Filter:
    """Conditions as SQL over `e` (entries), all of which have to hold, and the values of their places.

    `columns` are those that are worth showing, `looks_elsewhere` says that each run takes look-ups in other tables.
    """

    def __init__(self) -> None:
        self.clauses: list[str] = []
        self.values: list[Any] = []
        self.columns: list[Column] = []
        self.looks_elsewhere = False

    def add(self, clause: str, *values: Any) -> None:
        """Adds a condition that has to hold as well."""
        self.clauses.append(clause)
        self.values += values

    def sql(self, *more: str) -> str:
        """The WHERE clause, with `more` conditions before the others; empty without any."""
        clauses = [*more, *self.clauses]
        return f" WHERE {' AND '.join(clauses)}" if clauses else ""


def folded(text: str | None) -> str | None:
    """The text without differences of upper and lower case: `fold` in the SQL made here."""
    return None if text is None else text.casefold()


def made(names: Names, request: Request) -> Filter:
    """What is asked for, as SQL.

    Raises:
        UsageError: if a column is unknown or a condition makes no sense.
    """
    chosen = Filter()
    if request.experiment is not None:
        chosen.add("e.experiment = ?", request.experiment)
    if request.status is not None:
        chosen.add("e.shown = ?", request.status)
    for tag in request.tags:
        _add_tag(chosen, tag, "=")
    if not request.where:
        return chosen
    from entrenar_research.core.tracking import conditions  # only where there are any

    for text in request.where:
        condition = conditions.parse(text)
        column = names.resolve(condition.name)
        if column.home != "entries" or column.kind == "number":
            chosen.columns.append(column)
        _add(chosen, column, condition)
    return chosen


def _add(chosen: Filter, column: Column, condition: Condition) -> None:
    if column.name == "tag":
        _add_tag(chosen, condition.value, condition.operator, condition)
        return
    clause, values = _comparison(column, condition)
    if column.home == "entries":
        chosen.add(clause, *values)
    else:
        chosen.looks_elsewhere = True
        chosen.add(
            f"EXISTS (SELECT 1 FROM {column.home} WHERE run = e.id AND key = ? AND {clause})", column.key, *values
        )


def _add_tag(chosen: Filter, tag: str, operator: str, condition: Condition | None = None) -> None:
    if operator in ("=", "!="):
        sign = ">" if operator == "=" else "="
        chosen.add(f"instr(char(10) || e.tags, char(10) || ? || char(10)) {sign} 0", tag)
    elif operator in ("~", "!~"):
        chosen.add(f"instr(fold(e.tags), ?) {'>' if operator == '~' else '='} 0", tag.casefold())
    elif condition is not None:
        raise UsageError(f"--where {condition.text!r}: a tag is there or not: expected =, !=, ~ or !~")


def _comparison(column: Column, condition: Condition) -> tuple[str, list[Any]]:
    """The condition as SQL over `column.sql`. A run without a value never fits, whatever the operator."""
    place, operator = column.sql, condition.operator
    if operator in ("~", "!~"):
        text = column.text or place
        return f"instr(fold({text}), ?) {'>' if operator == '~' else '='} 0", [condition.value.casefold()]
    if column.kind == "time":
        moment = _moment(condition)
        return f"substr({place}, 1, {len(moment)}) {operator} ?", [moment]
    if column.kind == "text":
        return f"{place} {operator} ?", [condition.value]
    number = condition.number
    if column.name == "took" and number is None:
        number = _seconds(condition)
    if column.kind == "either":
        return _parameter(column, operator, condition)
    if number is None:
        found = f"{column.name} is a number; found {condition.value!r}"
        raise UsageError(f"--where {condition.text!r}: {found}, expected one such as 0.5")
    return _numeric(column, operator, number)


def _numeric(column: Column, operator: str, number: float) -> tuple[str, list[Any]]:
    place = column.sql
    if math.isnan(number):  # kept as NULL in a row of its own
        if operator not in ("=", "!="):
            return "0", []
        return f"{place} IS {'NOT ' if operator == '!=' else ''}NULL", []
    if operator == "!=":
        also_nan = f"{place} IS NULL OR " if column.home == "metrics" else ""
        return f"({also_nan}{place} != ?)", [number]
    return f"{place} {operator} ?", [number]


def _parameter(column: Column, operator: str, condition: Condition) -> tuple[str, list[Any]]:
    """A parameter is compared as a number where it and the value are, otherwise as text."""
    number = condition.number
    if number is None or math.isnan(number):
        return f"{column.text} {operator} ?", [condition.value]
    numeric = f"number {operator} ?"
    if operator == "=":
        return f"({numeric} OR (number IS NULL AND value = ?))", [number, condition.value]
    if operator == "!=":
        return f"(({numeric}) OR (number IS NULL AND value != ?))", [number, condition.value]
    return numeric, [number]


def _moment(condition: Condition) -> str:
    """A time as far as it is given: `2026-11`, `2026-11-01`, `2026-11-01T12:30`; all times are in UTC."""
    import re  # loaded already by whoever parsed the condition

    text = condition.value.strip().upper().replace(" ", "T").removesuffix("Z")
    pattern = r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])(T([01]\d|2[0-3])(:[0-5]\d(:[0-5]\d(\.\d{1,3})?)?)?)?)?)?"
    if not re.fullmatch(pattern, text, re.ASCII):
        raise UsageError(
            f"--where {condition.text!r}: found {condition.value!r}, expected a date such as 2026-11-01, "
            "or a time such as 2026-11-01T12:30 (UTC)"
        )
    return text


def _seconds(condition: Condition) -> float | None:
    """`90s`, `5min`, `2h`, `3d` in seconds."""
    for unit, length in (("min", 60.0), ("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0)):
        number = condition.value.removesuffix(unit).strip()
        if number != condition.value and number.replace(".", "", 1).isdecimal():
            return float(number) * length
    return None
