"""Drawing many runs: a table in a box, aligned text, JSON, CSV. Loads no library before it is needed."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence

from entrenar_research.store.catalogue.columns import Column
from entrenar_research.store.catalogue.search import Listing
from entrenar_research.views.terminal.screen import Screen, counted, seconds
from entrenar_research.views.terminal.tables import Table
from entrenar_research.views.terminal.widths import cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# status: mark and word in a box, style
STATUSES = {
    "completed": ("✓ OK", "good"),
    "failed": ("✗ FAIL", "bad"),
    "lost": ("✗ LOST", "bad"),
    "damaged": ("✗ DAMAGED", "bad"),
    "recovered": ("↺ RECOVERED", "doubt"),
    "cancelled": ("■ CANCELLED", "doubt"),
    "running": ("▶ RUNNING", None),
    "pending": ("… PENDING", "quiet"),
}
_SHORT = 12
_NAMED = 3
_DIGESTS = ("recipe", "result", "commit", "trace")


def draw_text(screen: Screen, listing: Listing) -> None:
    """Aligned text, as wide as it is."""
    rows = [_plain(listing, index) for index in range(len(listing.ids))]
    table = Table(_headings(listing.columns), rows, right=_numbers(listing))
    screen.stream.write("".join(f"{line}\n" for line in table.aligned()))


def draw_table(screen: Screen, listing: Listing, columns: int | None) -> None:
    """A box, with a mark for each status; `columns` is the width of the terminal, None if there is none."""
    drawn = (screen.stream.encoding or "").lower().replace("-", "").startswith("utf")
    rows = [_boxed(listing, index, drawn=drawn) for index in range(len(listing.ids))]
    names = [column.name for column in listing.columns]
    place = names.index("status") if "status" in names else -1
    styles = [STATUSES.get(row[place], ("", None))[1] for row in listing.rows] if place >= 0 else []
    table = Table(
        _headings(listing.columns), rows, right=_numbers(listing), styles=styles, styled=place,
        whole=[index for index, name in enumerate(names) if name in ("run", "status")],
    )  # fmt: skip
    lines, left_out = table.boxed(columns or 1_000_000, colour=screen.lively, drawn=drawn)
    screen.stream.write("".join(f"{line}\n" for line in lines))
    if left_out:
        words = f"no room for {', '.join(left_out)}; --columns chooses"
        screen.line(cut(words, columns or len(words)), "quiet")


def draw_count(screen: Screen, listing: Listing) -> None:
    """How many runs are shown, if a limit kept some back."""
    if listing.total is None:
        screen.line(f"the first {len(listing.ids)}; there are more", "quiet")
    elif listing.total > len(listing.ids):
        screen.line(f"{len(listing.ids)} of {listing.total:,} runs", "quiet")


def write_json(screen: Screen, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """A list of objects with these columns for keys. What JSON has no number for is text: NaN, Infinity, -Infinity."""
    names = [column.name for column in columns]
    _write_json(screen, [dict(zip(names, map(_listed, columns, row), strict=True)) for row in rows])


def write_runs_json(screen: Screen, runs: Iterable[tuple[str, dict[str, Any], str]]) -> None:
    """A list with an object for each run: what the catalogue has of it, its parameters and metrics (last values)."""
    import json  # needed here only

    found = []
    for run_id, entry, document in runs:
        record = json.loads(document)
        series = record.get("series") or {}
        metrics = {name: series[name].get("last") for name in series} | dict(record.get("metrics") or {})
        found.append({
            "id": run_id, "experiment": entry["experiment"], "status": entry["shown"], "started": entry["started"],
            "ended": entry["ended"], "duration": entry["duration"], "runner": entry["runner"],
            "exit_status": entry["exit_status"], "failure": entry["failure"], "seed": entry["seed"],
            "tags": entry["tags"].splitlines(), "sweep": entry["sweep"], "trial": entry["trial"],
            "recipe": entry["recipe"], "result": entry["result"], "commit": entry["code_commit"],
            "sealed": bool(entry["sealed"]), "recovered": entry["recovered"], "imported": entry["imported"],
            "points": entry["points"], "lost_points": entry["lost_points"], "warnings": entry["warnings"],
            "damage": entry["damage"], "params": record.get("params") or {}, "metrics": metrics,
        })  # fmt: skip
    _write_json(screen, found)


def _write_json(screen: Screen, value: list[dict[str, Any]]) -> None:
    import json

    screen.stream.write(json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n")


def write_csv(screen: Screen, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """CSV as RFC 4180 has it: a line of names, lines that end in CR LF, quotes where they are needed."""
    import csv  # needed here only

    writer = csv.writer(screen.stream)
    writer.writerow([column.name for column in columns])
    for row in rows:
        writer.writerow([_exact(column, value) for column, value in zip(columns, row, strict=True)])


def draw_notes(screen: Screen, listing: Listing, cut_off: int, unsealed: int) -> None:
    """What a person should know beside the list: records that cannot be read, runs that were cut off."""
    damaged = [run_id for run_id in listing.damage if run_id not in listing.newer]
    for run_ids in (damaged, list(listing.newer)):
        for run_id in run_ids[:_NAMED]:
            words = listing.damage[run_id]
            screen.line(f"warning: {words if run_id in words else f'{run_id}: {words}'}", "doubt")
        if len(run_ids) > _NAMED:
            screen.line(f"warning: the same of {len(run_ids) - _NAMED} more", "doubt")
    if cut_off:
        verb = "was" if cut_off == 1 else "were"
        screen.line(f"{counted(cut_off, 'run')} {verb} cut off: `entrenar-research runs recover`", "doubt")
    if unsealed:
        words = "run has ended and is" if unsealed == 1 else "runs have ended and are"
        screen.line(f"{unsealed} {words} not sealed yet: `entrenar-research runs recover`", "quiet")


def terminal_columns(screen: Screen) -> int | None:
    """The width of the terminal that the screen is, None if it is none."""
    if not screen.terminal:
        return None
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(screen.stream.fileno()).columns or 80
    except OSError:
        return 80


def _headings(columns: Sequence[Column]) -> list[str]:
    """Names without `metrics.` and `params.` where that is clear."""
    short = [column.name.partition(".")[2] if column.home != "entries" else column.name for column in columns]
    return [name if short.count(name) == 1 else column.name for name, column in zip(short, columns, strict=True)]


def _numbers(listing: Listing) -> list[int]:
    """The columns of numbers; one of parameters is, if all of its values are."""
    return [
        index
        for index, column in enumerate(listing.columns)
        if column.kind == "number"
        or (column.kind == "either" and not any(isinstance(row[index], str) for row in listing.rows))
    ]


def _plain(listing: Listing, index: int) -> list[str]:
    cells = [_cell(column, value) for column, value in zip(listing.columns, listing.rows[index], strict=True)]
    schema = listing.newer.get(listing.ids[index])
    if schema is not None:
        cells = [
            f"{cell} (schema {schema})" if column.name == "status" else cell
            for column, cell in zip(listing.columns, cells, strict=True)
        ]
    return cells


def _boxed(listing: Listing, index: int, *, drawn: bool) -> list[str]:
    cells = _plain(listing, index)
    for place, column in enumerate(listing.columns):
        value = listing.rows[index][place]
        if column.name == "status" and value in STATUSES:
            words = STATUSES[value][0]
            cells[place] = (words if drawn else words[2:]) + cells[place].removeprefix(value)
        elif column.kind == "time" and value:
            cells[place] = value.partition(".")[0].removesuffix("Z").replace("T", " ")
        elif column.name in _DIGESTS:
            cells[place] = cells[place].removeprefix("sha256:")[:_SHORT]
    return cells


def _cell(column: Column, value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if column.name == "took":
        return seconds(value)
    if column.name == "tag":
        return ", ".join(str(value).splitlines())
    if isinstance(value, float):
        return f"{value:.6g}" if math.isfinite(value) else _without_number(value)
    return str(value)


def _exact(column: Column, value: Any) -> str:
    """A value as programs read it: all digits of a number."""
    if column.name == "tag":
        return ", ".join(str(value or "").splitlines())
    if isinstance(value, float) and not math.isfinite(value):
        return _without_number(value)
    return "" if value is None else str(value)


def _listed(column: Column, value: Any) -> Any:
    if column.name == "tag":
        return str(value or "").splitlines()
    if isinstance(value, float) and not math.isfinite(value):
        return _without_number(value)
    return value


def _without_number(value: float) -> str:
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
