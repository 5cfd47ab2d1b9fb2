"""Rails: every line between a run and its parents can be followed by its characters alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given

from entrenar_research.core.lineage import rails
from entrenar_research.core.lineage.graph import Dag
from entrenar_research.models.tracking import Parent
from tests.unit.core.test_lineage import dags, graph, graphs

UP = set("│╵╰╯├┤┴┼")
DOWN = set("│╷╭╮├┤┬┼")
LEFT = set("─╯╮┤┴┬┼")
RIGHT = set("─╰╭├┴┬┼")


def drawn(dag: Dag) -> list[str]:
    return [line for row in rails.rows(dag) for line in (row.line, row.joint) if line is not None]


def ways(lines: list[str], top: int, column: int) -> Iterator[tuple[int, int]]:
    """The marks that a person reaches who leaves a mark downwards and never turns back up.

    A rail that crosses (`─│─`) is passed straight; at a real joint one may turn.
    """

    def at(line: int, place: int) -> str:
        return lines[line][place] if line < len(lines) and 0 <= place < len(lines[line]) else " "

    waiting = [(top + 1, column, "down")]
    seen = set()
    while waiting:
        line, place, going = waiting.pop()
        mark = at(line, place)
        if (line, place, going) in seen:
            continue
        seen.add((line, place, going))
        if going == "down":
            if mark in rails.NODE + rails.UNKNOWN:
                yield line, place
            elif mark in UP:
                waiting += [(line + 1, place, "down")] if mark in DOWN else []
                waiting += [(line, place - 1, "left")] if mark in LEFT else []
                waiting += [(line, place + 1, "right")] if mark in RIGHT else []
            continue
        step = -1 if going == "left" else 1
        if mark in (RIGHT if going == "left" else LEFT):
            waiting += [(line, place + step, going)] if mark in (LEFT if going == "left" else RIGHT) else []
            waiting += [(line + 1, place, "down")] if mark in DOWN else []
        elif mark == "│":
            waiting.append((line, place + step, going))


@given(dags())
def test_every_parent_is_reached_from_its_child(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    lines: list[str] = []
    places: dict[str, tuple[int, int]] = {}
    for row in rails.rows(dag):
        places[row.run] = (len(lines), row.line.index(rails.NODE))
        lines += [line for line in (row.line, row.joint) if line is not None]
    runs = {place: run for run, place in places.items()}
    for run, (line, column) in places.items():
        if dag.parents[run]:
            assert set(dag.parents[run]) <= {runs[place] for place in ways(lines, line, column)}


@given(graphs())
def test_every_run_is_drawn_once_whatever_the_graph(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    rows = rails.rows(dag)
    assert sorted(row.run for row in rows) == sorted(dag.links)
    for row in rows:
        assert sum(row.line.count(mark) for mark in (rails.NODE, rails.UNKNOWN)) == 1
    assert rows[-1].rail == ""
    seen: list[str] = []
    for row in rows:
        seen.append(row.run)
        assert row.above == tuple(parent for parent in dag.parents[row.run] if parent in seen)


@pytest.mark.parametrize(
    ("parents", "picture"),
    [
        ({}, []),
        ({"a": []}, ["○"]),
        ({"a": [], "b": ["a"]}, ["○", "○"]),
        ({"a": [], "b": [], "c": ["a", "b"]}, ["○", "├─╮", "○ │", "  ○"]),
        ({"a": [], "b": ["a"], "c": ["a"]}, ["○", "│ ○", "├─╯", "○"]),
        ({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}, ["○", "├─╮", "○ │", "│ ○", "├─╯", "○"]),
        ({"a": ["b"], "b": ["a"]}, ["○", "○"]),
    ],
)
def test_pictures(parents: dict[str, list[str]], picture: list[str]) -> None:
    assert drawn(graph(parents)) == picture


def test_marks() -> None:
    dag = Dag({"a": [Parent(run="gone", relationship="initialization")]})
    assert [row.line for row in rails.rows(dag, "a")] == ["●", "◌"]


def test_every_rail_has_a_letter_in_ascii() -> None:
    dag = graph({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c", "gone"], "e": ["d", "a"]})
    assert all(line.translate(rails.PLAIN).isascii() for line in drawn(dag))
