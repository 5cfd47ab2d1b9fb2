"""Places in a drawing: layers by Lamport time, room between boxes, lines straight through the layers they pass."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given

from entrenar_research.core.lineage.layers import Layout, layout
from tests.unit.core.test_lineage import dags, graph, graphs


def roomy(placed: Layout) -> None:
    for layer in placed.layers:
        heights = sorted(placed.heights[run] for run in layer)
        assert all(below - above >= 1 - 1e-6 for above, below in itertools.pairwise(heights))


@given(dags())
def test_a_layer_for_each_lamport_time(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    placed = layout(dag)
    assert sorted(run for layer in placed.layers for run in layer) == sorted(parents)
    for time_, layer in enumerate(placed.layers):
        assert {dag.times[run] for run in layer} == {time_}
    roomy(placed)
    assert min((placed.heights[run] for run in parents), default=0) == 0
    assert layout(graph(parents)) == placed


@given(dags())
def test_a_line_has_a_bend_in_each_layer_that_it_passes(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    placed = layout(dag)
    for run, above in dag.parents.items():
        for parent in above:
            bends = placed.bends[parent, run]
            assert [bend[2] for bend in bends] == list(range(dag.times[parent] + 1, dag.times[run]))
            assert all(bend in placed.heights for bend in bends)


@given(graphs())
def test_cycles_are_placed_as_well(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    placed = layout(dag)
    assert sorted(run for layer in placed.layers for run in layer) == sorted(dag.links)
    roomy(placed)


def test_lines_that_need_not_cross_do_not() -> None:
    placed = layout(graph({"a": [], "b": [], "c": [], "x": ["c"], "y": ["b"], "z": ["a"]}))
    assert [placed.heights[run] for run in "abc"] == [placed.heights[run] for run in "zyx"]


def test_a_line_of_descent_is_straight() -> None:
    placed = layout(graph({"a": [], "b": ["a"], "c": ["b", "a"], "d": ["c"]}))
    assert placed.heights["a"] == pytest.approx(placed.heights["d"], abs=0.5)


def test_a_graph_with_too_many_bends_gets_straight_lines() -> None:
    parents = {f"{number:05}": [f"{number - 1:05}", "00000"] if number else [] for number in range(300)}
    placed = layout(graph(parents))
    assert len(placed.layers) == 300
    assert not any(placed.bends.values())
