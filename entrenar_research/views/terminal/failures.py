"""Drawing failures: Pareto's table of many, and one with everything that is known of it."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence

from entrenar_research.actions.runs.failing import Distribution, Explained
from entrenar_research.core.failures.pareto import Bar
from entrenar_research.views.terminal.screen import Screen, counted

_BAR = 20
_WIDE = 100
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_CSV = ("code", "category", "occurrences", "percent", "cumulative_percent", "last_run", "remediation")
_RELATED = 5
_ADVICE = 5


def draw_distribution(screen: Screen, found: Distribution, subject: str) -> None:
    """The table, the most frequent first, and below it what can be done about the vital few."""
    if not found.rows:
        screen.line(f"{subject}: {counted(found.runs, 'run')}, none failed{_cancelled(found)}", "good")
        return
    share = 100 * found.failed / found.runs
    screen.line(f"{subject}: {found.failed} of {counted(found.runs, 'run')} failed ({share:.1f} %){_cancelled(found)}")
    columns = ["category", "runs", "percent", "cumulative", "last run"]
    if found.by == "code":
        columns.insert(0, "code")
    wide = not screen.terminal or shutil.get_terminal_size().columns >= _WIDE
    rows = [_cells(bar, with_code=found.by == "code", whole=wide) for bar in found.rows]
    place = len(columns) - 1
    if screen.terminal and wide:
        columns.insert(place, "")
        rows = [[*row[:-1], _bar(bar.percent), row[-1]] for row, bar in zip(rows, found.rows, strict=True)]
    styles = ["bad" if bar.vital else "quiet" for bar in found.rows]
    screen.table(columns, rows, styles=styles, right=tuple(range(place - 3, place)))
    advised = [
        [f"  {bar.code or bar.category}", bar.remediation] for bar in found.rows if bar.vital and bar.remediation
    ]
    if advised:
        screen.line("what to do", "strong")
        screen.fields(advised[:_ADVICE])


def _cells(bar: Bar, *, with_code: bool, whole: bool) -> list[str]:
    """The cells of a row; where it is narrow, the last run without its time: that is enough to name it."""
    run = bar.last_run if whole else bar.last_run.partition("Z-")[2] or bar.last_run
    cells = [bar.category, str(bar.occurrences), f"{bar.percent:.1f}", f"{bar.cumulative:.1f}", run]
    return [bar.code, *cells] if with_code else cells


def _bar(percent: float) -> str:
    eighths = max(1, round(percent / 100 * _BAR * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _cancelled(found: Distribution) -> str:
    return f"; {found.cancelled} more cancelled" if found.cancelled else ""


def write_csv(screen: Screen, rows: Sequence[Bar]) -> None:
    """The table as CSV (RFC 4180) with a line of names."""
    writer = csv.writer(screen.stream, lineterminator="\n")
    writer.writerow(_CSV)
    for bar in rows:
        writer.writerow(
            [bar.code, bar.category, bar.occurrences, bar.percent, bar.cumulative, bar.last_run, bar.remediation or ""]
        )


def draw_failure(screen: Screen, found: Explained) -> None:
    """One failure: what happened, what to do, what it rests on, where, and which other runs it resembles."""
    failure = found.failure_context
    screen.line(f"{found.run}  {found.status}: {failure.code} ({failure.category})", "bad")
    fields = [["what happened", failure.diagnostic], ["what to do", failure.remediation or ""]]
    fields += [["evidence" if index == 0 else "", words] for index, words in enumerate(failure.evidence)]
    screen.fields([row for row in fields if row[1]])
    if failure.stack:
        screen.line("stack", "strong")
        for line in failure.stack.splitlines():
            screen.line(f"  {line}")
    if found.related_runs:
        others = len(found.related_runs)
        screen.line(f"{counted(others, 'other run')} failed with {failure.code}; newest first:")
        for run in found.related_runs[:_RELATED]:
            screen.line(f"  {run}")
        if others > _RELATED:
            screen.line(f"  and {others - _RELATED} more")
    if found.similar_failures:
        rows = [[f"{item.similarity:.2f}", item.run, item.experiment, item.code] for item in found.similar_failures]
        screen.table(["similarity of stacks", "run", "experiment", "code"], rows, right=(0,))
