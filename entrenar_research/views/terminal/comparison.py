"""Runs side by side in the terminal."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any

from entrenar_research.core.tracking.comparison import Comparison, MetricRow, Row
from entrenar_research.core.tracking.curves import Curve, shortest
from entrenar_research.views.terminal import curves as chart
from entrenar_research.views.terminal.answers import shown
from entrenar_research.views.terminal.screen import Screen, counted, seconds, size

_CHARTS = 4
_LONGEST = 60
_STYLES = {"better": "good", "worse": "doubt", "same": None, "": None}


def draw(screen: Screen, told: Comparison, curves: Sequence[Sequence[Curve]], *, everything: bool) -> None:
    """What differs, and every metric; with `everything` also what is the same, and every curve."""
    drawing = _Drawing(screen, [_letter(index) for index in range(len(told.runs))], everything=everything)
    drawing.head(told)
    drawing.rows("parameters", told.parameters, _fact)
    drawing.rows("code", told.code, _digest)
    for line in told.diffstat:
        screen.line(f"  {line.strip()}", "quiet")
    drawing.rows("inputs", told.inputs, _digest)
    if not told.recipe and all(row.same for row in (*told.parameters, *told.code, *told.inputs)):
        screen.line("\nsame recipe", "good")
    drawing.metrics(told.metrics)
    drawing.curves(told.runs, curves)
    drawing.rows("environment", told.environment, _fact)
    drawing.rows("outputs", told.outputs, _digest)
    if told.identical is None:
        screen.line("\nresults: not every run has one", "quiet")
    else:
        words, style = ("identical", "good") if told.identical else ("different", "doubt")
        screen.line(f"\nresults: {words}", style)


def _letter(index: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    before, last = divmod(index, 26)
    return (_letter(before - 1) if before else "") + string.ascii_uppercase[last]


class _Drawing:
    """Draws the parts of a comparison of runs that are called by `letters`."""

    def __init__(self, screen: Screen, letters: Sequence[str], *, everything: bool) -> None:
        self._screen = screen
        self._letters = letters
        self._everything = everything

    def head(self, told: Comparison) -> None:
        """Which runs, and when, how long, how they ended."""
        for letter, run_id in zip(self._letters, told.runs, strict=True):
            self._screen.line(f"{letter}  {run_id}", "strong")
        self.rows("run", told.about, _fact)

    def rows(self, title: str, rows: Sequence[Row], words: Callable[[str, Any], str]) -> None:
        """One section: what differs, or everything; nothing at all if there is nothing."""
        chosen = [row for row in rows if self._everything or not row.same]
        if not chosen:
            return
        self._screen.line()
        cells = [[row.name, *(words(row.name, value) for value in row.values)] for row in chosen]
        styles = ["doubt" if self._everything and not row.same else None for row in chosen]
        columns = zip(*(row.values for row in chosen), strict=True)
        right = [index for index, values in enumerate(columns, 1) if all(map(_is_number, values))]
        self._screen.table([title, *self._letters], cells, styles=styles, right=right)

    def metrics(self, rows: Sequence[MetricRow]) -> None:
        """Every metric; of two runs the change, of more which is best."""
        if not rows:
            return
        self._screen.line()
        pair = len(self._letters) == 2
        cells = [[_metric_name(row), *_metric_values(row, marked=not pair), *_metric_words(row)] for row in rows]
        change = "change" if pair else f"{self._letters[0]} to {self._letters[-1]}"
        headings = ["metric", *self._letters, change, "", "goal"]
        keep = [at for at in range(len(headings)) if at < len(headings) - 3 or any(row[at] for row in cells)]
        self._screen.table(
            [headings[at] for at in keep],
            [[row[at] for at in keep] for row in cells],
            styles=[_STYLES[row.outcome] for row in rows],
            styled=len(self._letters) + 1,
            right=range(1, len(self._letters) + 2),
        )
        if not pair and any(row.best for row in rows):
            self._screen.line("* best for the goal", "quiet")

    def curves(self, runs: Sequence[str], groups: Sequence[Sequence[Curve]]) -> None:
        """The curves that runs have in common, metric by metric."""
        names = shortest(runs)
        titles = {run_id: f"{letter} {names[run_id]}" for run_id, letter in zip(runs, self._letters, strict=True)}
        drawn = groups if self._everything else groups[:_CHARTS]
        for group in drawn:
            self._screen.line()
            labels = [titles[item.run] for item in group]
            chart.draw(self._screen, group[0].metric, group, labels, across="step", log=False)
        if len(groups) > len(drawn):
            rest = counted(len(groups) - len(drawn), "more metric has curves", "more metrics have curves")
            self._screen.line(f"{rest}: `--all` draws them", "quiet")


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _fact(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "duration":
        return seconds(value)
    if name in ("peak memory", "memory"):
        return size(value)
    text = str(value)[:12] if name == "commit" else shown(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def _digest(_: str, value: Any) -> str:
    return "-" if value is None else str(value).removeprefix("sha256:")[:12]


def _metric_name(row: MetricRow) -> str:
    return row.name if row.of == "value" else f"{row.name}, {row.of}"


def _metric_values(row: MetricRow, *, marked: bool) -> list[str]:
    words = ["-" if value is None else shown(value) for value in row.values]
    return [f"{word}{'*' if at in row.best else ' '}" if marked else word for at, word in enumerate(words)]


def _metric_words(row: MetricRow) -> tuple[str, str, str]:
    change = "" if row.difference is None else "same" if row.difference == 0 else f"{row.difference:+.6g}"
    outcome = "" if row.outcome == "same" else row.outcome
    return change, outcome, "" if row.goal == "none" else row.goal
