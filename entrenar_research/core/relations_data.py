"""Changing the rows of a table as a metamorphic relation says, the same way each time."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from typing import Final

from entrenar_research.errors import UsageError
from entrenar_research.models.relations import InputChange

_NEWLINE: Final = "\n"


def changed(text: str, change: InputChange) -> str:
    """The table with the change made; rows that stay keep their text.

    Raises:
        UsageError: if there are no rows, a column is not there, or a cell that is to be computed with is no number.
    """
    lines = text.splitlines()
    header = _is_header(lines[:1]) if change.header is None else change.header
    head, rows = (lines[:1], lines[1:]) if header else ([], lines)
    if not rows:
        raise UsageError(f"{change.file}: there are no rows to change")
    if change.permute is not None:
        rows = [rows[place] for place in _order(len(rows), change.permute)]
    elif change.keep is not None:
        kept = max(1, round(change.keep * len(rows)))
        rows = [rows[place] for place in sorted(_order(len(rows), change.seed)[:kept])]
    else:
        rows = _computed(change, head, rows)
    return _NEWLINE.join([*head, *rows]) + _NEWLINE


def table(text: str) -> list[list[str]]:
    """The rows of a table in CSV."""
    return list(csv.reader(io.StringIO(text, newline="")))


def _is_header(lines: Sequence[str]) -> bool:
    cells = next(csv.reader(lines), [])
    return bool(cells) and not any(_number(cell) is not None for cell in cells)


def _order(count: int, seed: int) -> list[int]:
    """The places of `count` rows in an order that depends on the seed alone, never the order they are in."""

    def key(place: int) -> bytes:
        return hashlib.sha256(f"{seed}:{place}".encode()).digest()

    order = sorted(range(count), key=key)
    return [*order[1:], order[0]] if order == list(range(count)) else order


def _computed(change: InputChange, head: Sequence[str], rows: Sequence[str]) -> list[str]:
    names = next(csv.reader(head), []) if head else []
    places = [_place(change, column, names) for column in change.columns]
    found = []
    for number, cells in enumerate(csv.reader(rows), len(head) + 1):
        for place in places or range(len(cells)):
            value = _number(cells[place]) if place < len(cells) else None
            if value is not None:
                cells[place] = _computed_number(change, value)
            elif places:
                raise UsageError(f"{change.file}, line {number}: no number in column {place} (from 0)")
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(cells)
        found.append(line.getvalue())
    return found


def _place(change: InputChange, column: int | str, names: Sequence[str]) -> int:
    if isinstance(column, int):
        return column
    if column not in names:
        known = ", ".join(names) or "the table has no names"
        raise UsageError(f"{change.file}: there is no column {column!r} ({known})")
    return list(names).index(column)


def _computed_number(change: InputChange, value: float) -> str:
    if change.negate:
        value = -value
    elif change.scale is not None:
        value *= change.scale
    else:
        value += change.shift or 0.0
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
