"""The graph of runs: ancestry decides what came before; Lamport times never contradict it, and never decide."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.lineage import graph as lineage
from entrenar_research.core.lineage.graph import Dag
from entrenar_research.models.tracking import Lineage, Parent


def link(run: str, lamport: int | None = None, role: str | None = None) -> Parent:
    return Parent(run=run, relationship="fine_tuned_from", role=role, lamport=lamport)


def graph(parents: Mapping[str, Sequence[str]]) -> Dag:
    return Dag({run: [link(parent) for parent in named] for run, named in parents.items()})


@st.composite
def dags(draw: st.DrawFn) -> dict[str, list[str]]:
    """A graph without cycles whose ids say nothing about its order, as with clocks that are wrong."""
    count = draw(st.integers(0, 12))
    names = draw(st.permutations([f"run-{number:02}" for number in range(count)]))
    return {
        name: draw(st.lists(st.sampled_from(names[:index]), max_size=3)) if index else []
        for index, name in enumerate(names)
    }


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """Any graph: cycles, runs that are their own parents, parents that are not there."""
    names = [f"run-{number}" for number in range(draw(st.integers(1, 7)))]
    return {name: draw(st.lists(st.sampled_from([*names, "absent"]), max_size=3)) for name in names}


def reaches(parents: Mapping[str, Sequence[str]], run: str) -> set[str]:
    """Ancestors by repeating one step until nothing is new: slow, and not how it is done."""
    found: set[str] = set()
    while True:
        more = {above for item in {run, *found} for above in parents.get(item, ())} - found
        if not more:
            return found
        found |= more


@given(dags())
def test_lamport_times_agree_with_ancestry_and_the_order_is_a_linear_extension(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    order = dag.order()
    assert sorted(order) == sorted(parents)
    for run, named in parents.items():
        ancestors = reaches(parents, run)
        assert dag.ancestors(run) == ancestors
        for above in ancestors:
            assert dag.times[above] < dag.times[run]
            assert order.index(above) < order.index(run)
            assert dag.happened_before(above, run)
            assert not dag.happened_before(run, above)
            assert run in dag.descendants(above)
        assert dag.times[run] == 1 + max((dag.times[above] for above in named), default=-1)
    assert dag.cycles() == ()


@given(dags())
def test_what_is_no_ancestor_is_concurrent_whatever_the_numbers(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    for one in parents:
        for other in parents:
            unrelated = one not in reaches(parents, other) and other not in reaches(parents, one)
            assert (dag.relation(one, other) == "concurrent") == (unrelated and one != other)
            assert (dag.resolve(one, other) == "concurrent") == (unrelated and one != other)


@given(dags(), st.randoms(use_true_random=False))
def test_the_same_graph_gives_the_same_order_however_it_was_read(parents: dict[str, list[str]], chance: object) -> None:
    items = list(parents.items())
    chance.shuffle(items)  # type: ignore[attr-defined]
    assert graph(dict(items)).order() == graph(parents).order()


@given(graphs())
def test_every_cycle_is_one_and_runs_outside_have_times(parents: dict[str, list[str]]) -> None:
    dag = graph(parents)
    knotted = {run for run in dag.links if run in reaches(parents, run)}
    named: set[str] = set()
    for cycle in dag.cycles():
        assert cycle[0] == cycle[-1] == min(cycle)
        assert len(set(cycle)) == len(cycle) - 1
        for above, below in itertools.pairwise(cycle):
            assert above in dag.parents[below]
        named |= dag.ancestors(cycle[0]) & dag.descendants(cycle[0])
    assert named == knotted
    behind = {run for run in dag.links if run in knotted or reaches(parents, run) & knotted}
    assert set(dag.links) - dag.times.keys() == behind
    assert sorted(dag.order()) == sorted(dag.links)


def test_a_number_that_is_smaller_does_not_come_before() -> None:
    dag = graph({"a": [], "b": ["a"], "x": []})
    assert (dag.times["x"], dag.times["b"]) == (0, 1)
    assert dag.relation("x", "b") == "concurrent"
    assert dag.resolve("x", "b") == "concurrent"
    assert dag.resolve("a", "b") == "theirs"
    assert dag.resolve("b", "a") == "ours"
    assert dag.resolve("a", "a") == "same"


def test_a_cycle_is_named_from_parent_to_child() -> None:
    dag = graph({"c": ["b"], "a": ["c"], "b": ["a"], "d": ["a"], "e": []})
    assert dag.cycles() == (("a", "b", "c", "a"),)
    assert dag.times == {"e": 0}
    assert dag.order() == ("e", "a", "b", "c", "d")
    assert dag.relation("a", "b") == "concurrent"
    assert graph({"a": ["a"]}).cycles() == (("a", "a"),)


def test_a_missing_parent_stays_as_an_unknown_run_with_the_time_its_children_state() -> None:
    dag = Dag({"one": [link("gone", 3)], "two": [link("gone", 5)], "three": [link("never-seen")]})
    assert dag.unknown == ("gone", "never-seen")
    assert dag.times == {"gone": 5, "never-seen": 0, "one": 6, "two": 6, "three": 1}
    assert dag.happened_before("gone", "one")


def test_a_long_line_of_descent() -> None:
    count = 20_000
    dag = graph({f"{number:06}": [f"{number - 1:06}"] if number else [] for number in range(count)})
    assert dag.times[f"{count - 1:06}"] == count - 1
    assert len(dag.ancestors(f"{count - 1:06}")) == count - 1
    ring = graph({f"{number:06}": [f"{(number - 1) % count:06}"] for number in range(count)})
    assert len(ring.cycles()[0]) == count + 1


def test_a_part_keeps_the_times_of_the_whole() -> None:
    part = graph({"a": [], "b": ["a", "x"], "c": ["b"]}).narrowed(["b", "c", "not there"])
    assert part.parents == {"b": (), "c": ("b",)}
    assert part.times == {"b": 1, "c": 2}


def test_the_spec_sample() -> None:
    """Section 29.3: the parents have 38 and 41, so this run has 42."""
    dag = Dag({"this": [link("run-base-model", 38), link("run-dataset-v2", 41)]})
    assert dag.times["this"] == 42
    assert dag.relation("run-base-model", "run-dataset-v2") == "concurrent"  # the numbers do not make it an order


@pytest.mark.parametrize(
    ("stated", "told"),
    [
        (Lineage(parents=(link("a", 0),), lamport=1), []),
        (Lineage(parents=(link("a"),), lamport=1), []),
        (Lineage(parents=(link("a", 0),), lamport=4), ["says that its Lamport time is 4; from its parents follows 1"]),
        (
            Lineage(parents=(link("a", 7),), lamport=8),
            [
                "says that its parent a has Lamport time 7; found 0",
                "says that its Lamport time is 8; from its parents follows 1",
            ],
        ),
    ],
)
def test_wrong_numbers_are_named(stated: Lineage, told: list[str]) -> None:
    dag = Dag({"a": [], "b": stated.parents})
    assert [fault.detail for fault in lineage.faults(dag, {"b": stated})] == told


def test_cycles_and_missing_parents_are_named() -> None:
    dag = graph({"a": ["b"], "b": ["a"], "c": ["gone"]})
    found = lineage.faults(dag, {"a": Lineage(parents=(link("b"),), lamport=9)})
    assert [(fault.kind, fault.run, fault.detail) for fault in found] == [
        ("cycle", "a", "comes from itself: a -> b -> a"),
        ("missing", "c", "its parent gone is not in this study"),
    ]
