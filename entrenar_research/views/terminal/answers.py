"""What SQL found, as a table for people."""

from __future__ import annotations

import itertools
import math
import re
import shutil
from typing import Any

from entrenar_research.core.querying.views import VIEWS
from entrenar_research.store.querying.engine import Answer
from entrenar_research.views.answers import exact
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.views.terminal.tables import Table

_NUMBER = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|DECIMAL\(.*\))$")
_INTEGRAL = 1e15


def draw(screen: Screen, answer: Answer, limit: int, *, boxed: bool) -> bool:
    """The first `limit` rows (0: all); whether there are more."""
    rows = itertools.chain.from_iterable(answer.batches)
    chosen = list(itertools.islice(rows, limit + 1 if limit else None))
    more = bool(limit) and len(chosen) > limit
    chosen = chosen[:limit] if limit else chosen
    if answer.columns == ("explain_key", "explain_value"):
        for _, plan in chosen:
            screen.line(str(plan).rstrip("\n"))
        return more
    right = [index for index, kind in enumerate(answer.types) if _NUMBER.match(kind)]
    cells = [list(map(shown, row)) for row in chosen]
    ids = [index for index, name in enumerate(answer.columns) if name == "run_id"]
    draw_table(screen, Table(answer.columns, cells, right=right, whole=ids), boxed=boxed)
    if not chosen:
        screen.line("no rows", "quiet")
    return more


def draw_table(screen: Screen, table: Table, *, boxed: bool) -> None:
    """A table, in a box as wide as the terminal or aligned; columns without room are named below it."""
    if not boxed:
        for line in table.aligned():
            screen.stream.write(f"{line}\n")
        screen.stream.flush()
        return
    columns = shutil.get_terminal_size().columns if screen.terminal else 1 << 20
    lines, missing = table.boxed(columns, colour=screen.lively)
    screen.stream.write("\n".join(lines) + "\n")
    screen.stream.flush()
    if missing:
        screen.line(f"no room for: {', '.join(missing)} (a wider terminal or `--format json` shows them)", "quiet")


def shown(value: Any) -> str:
    """A value for people: numbers to six digits."""
    if value is None:
        return "NULL"
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < _INTEGRAL else f"{value:.6g}"
    return exact(value)


def draw_schema(screen: Screen) -> None:
    """The views and their columns, a line each."""
    for view in VIEWS:
        screen.line(f"{view.name}: {view.meaning}", "strong")
        wide = max(len(column.name) for column in view.columns)
        kinds = max(len(column.type) for column in view.columns)
        for column in view.columns:
            screen.line(f"  {column.name:<{wide}}  {column.type:<{kinds}}  {column.meaning}")
