"""A graph of runs as lines of text: a row for each run, children above parents, rails between them as `git log` has.

Pure layout: which characters stand to the left of which run. What is written beside a run is the view's.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from entrenar_research.core.lineage.graph import Dag

NODE = "○"
CHOSEN = "●"
UNKNOWN = "◌"
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_SHAPES = {
    0: " ",
    _UP: "╵",
    _DOWN: "╷",
    _UP | _DOWN: "│",
    _LEFT | _RIGHT: "─",
    _UP | _RIGHT: "╰",
    _UP | _LEFT: "╯",
    _DOWN | _RIGHT: "╭",
    _DOWN | _LEFT: "╮",
    _UP | _DOWN | _RIGHT: "├",
    _UP | _DOWN | _LEFT: "┤",
    _UP | _LEFT | _RIGHT: "┴",
    _DOWN | _LEFT | _RIGHT: "┬",
    _UP | _DOWN | _LEFT | _RIGHT: "┼",
}
PLAIN = str.maketrans("○●◌│─╰╯╭╮├┤┴┬┼╵╷", "o*?|-`'..+++++||")
"""The same rails for a terminal that has ASCII alone."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What stands left of a run: its own line, the line below where rails part or meet (None if none do).

    `rail` goes on beside further text below the run. `above` are parents that are drawn further up: there is a cycle.
    """

    run: str
    line: str
    joint: str | None
    rail: str
    above: tuple[str, ...] = ()


class _Rails:
    """The columns: each is free (None), or leads down to the run that it has."""

    def __init__(self) -> None:
        self.columns: list[str | None] = []

    def place(self, run: str) -> int:
        """The column that leads to `run`, or a free one."""
        if run in self.columns:
            return self.columns.index(run)
        if None not in self.columns:
            self.columns.append(None)
        return self.columns.index(None)

    def text(self, special: dict[int, str] | None = None) -> str:
        """One line: the columns as they are, with `special` characters in some."""
        marks = ["│" if column is not None else " " for column in self.columns]
        for column, mark in (special or {}).items():
            marks[column] = mark
        return " ".join(marks).rstrip()

    def branch(self, column: int, parents: Sequence[str]) -> str | None:
        """Leads the column of a run on to its parents; the line that shows it, if it takes one."""
        before = list(self.columns)
        before[column] = "here"
        self.columns[column] = None
        targets = []
        for parent in parents:
            target = column if parent not in self.columns and self.columns[column] is None else self.place(parent)
            self.columns[target] = parent
            targets.append(target)
        straight = all(target == column for target in targets)
        line = None if straight else self._joint(before, column, targets)
        while self.columns and self.columns[-1] is None:
            self.columns.pop()
        return line

    def _joint(self, before: list[str | None], column: int, targets: Sequence[int]) -> str:
        first, last = min(column, *targets), max(column, *targets)
        marks = ""
        for index, now in enumerate(self.columns):
            shape = _UP if index < len(before) and before[index] is not None else 0
            shape |= _DOWN if now is not None else 0
            if index == column or index in targets:
                shape |= (_LEFT if index > first else 0) | (_RIGHT if index < last else 0)
            elif first < index < last and not shape:
                shape = _LEFT | _RIGHT
            marks += _SHAPES[shape] + ("─" if first <= index < last else " ")
        return marks.rstrip()


def rows(dag: Dag, chosen: str | None = None) -> tuple[Row, ...]:
    """A row for each run, children before parents; `chosen` gets a mark of its own."""
    rails = _Rails()
    drawn: set[str] = set()
    found = []
    for run in _downwards(dag):
        column = rails.place(run)
        mark = CHOSEN if run == chosen else UNKNOWN if run in dag.unknown else NODE
        line = rails.text({column: mark})
        drawn.add(run)
        parents = [parent for parent in dag.parents[run] if parent not in drawn]
        joint = rails.branch(column, parents)
        found.append(
            Row(
                run=run,
                line=line,
                joint=joint,
                rail=rails.text(),
                above=tuple(parent for parent in dag.parents[run] if parent in drawn),
            )
        )
    return tuple(found)


def _downwards(dag: Dag) -> list[str]:
    """Children before parents; a line of descent is followed to its end before the next begins."""
    behind = set(dag.links) - dag.times.keys()
    waiting = {run: sum(child not in behind for child in dag.children[run]) for run in dag.times}
    order = sorted(behind, reverse=True)
    ready = sorted(run for run, count in waiting.items() if not count)
    while ready:
        run = ready.pop()
        order.append(run)
        for parent in reversed(dag.parents[run]):
            waiting[parent] -= 1
            if not waiting[parent]:
                ready.append(parent)
    return order
