"""Spaces: what is wrong with them, their grids, and what the samplers make of them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from entrenar_research.core.sweeps import space as sweep_space
from entrenar_research.models.sweep import (
    Budget,
    Choice,
    Condition,
    Dimension,
    Hyperband,
    Objective,
    Real,
    Space,
    Strategy,
    Sweep,
    SweepDeclaration,
    Whole,
)
from entrenar_research.store.sweeps import sampling

NUMBERS = st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6)
SCALARS = st.one_of(st.text(max_size=4), st.integers(-99, 99), st.booleans(), st.none(), NUMBERS)
VALUES = st.lists(st.one_of(SCALARS, st.lists(st.integers(0, 9), max_size=2)), min_size=1, max_size=5)


@st.composite
def wholes(draw: st.DrawFn) -> Whole:
    log = draw(st.booleans())
    low = draw(st.integers(1 if log else -1000, 1000))
    high = low + draw(st.integers(0, 1000))
    return Whole(low=low, high=high, log=log, step=1 if log else draw(st.integers(1, 50)))


@st.composite
def reals(draw: st.DrawFn) -> Real:
    kind = draw(st.sampled_from(["plain", "log", "step"]))
    low = draw(st.floats(1e-6, 1e3) if kind == "log" else NUMBERS)
    high = low + draw(st.floats(0, 1e4))
    if kind != "step":
        return Real(low=low, high=high, log=kind == "log")
    low, step = round(low / 1000, 3), draw(st.sampled_from([0.001, 0.01, 0.1, 0.25, 0.3, 1.0, 7.5]))
    return Real(
        low=low, high=round(low + draw(st.integers(0, 60)) * step + draw(st.floats(0, 0.9)) * step, 6), step=step
    )


def choices(values: list[Any]) -> Choice:
    seen: list[Any] = []
    for value in values:
        if value not in seen:  # 1 and true are one value to Optuna
            seen.append(value)
    return Choice(values=tuple(seen))


DIMENSIONS = st.one_of(wholes(), reals(), VALUES.map(choices))


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Sound spaces: some parameters depend on another one with values that can be listed."""
    found: Space = {}
    for name in draw(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=5, unique=True)):
        dimension: Dimension = draw(DIMENSIONS)
        owners = [key for key, item in found.items() if isinstance(item, Choice | Whole)]
        conditional: bool = draw(st.booleans())
        if owners and conditional:
            owner = found[key := draw(st.sampled_from(owners))]
            listed = list(itertools.islice(sweep_space.listed(owner), 5))
            wanted = tuple(draw(st.lists(st.sampled_from(listed), min_size=1, max_size=3)))
            dimension = _with(dimension, Condition(param=key, values=wanted))
        found[name] = dimension
    return dict(sorted(found.items()))


def _with(dimension: Dimension, when: Condition) -> Dimension:
    import msgspec

    return msgspec.structs.replace(dimension, when=when)


def sweep_of(space: Space, strategy: Strategy = "random") -> Sweep:
    declaration = SweepDeclaration(
        objective=Objective(metric="y"), strategy=strategy, space=dict(space), budget=Budget(trials=9)
    )
    return Sweep(name="s", declaration=declaration, space=sweep_space.ordered(space), goal="minimize")


def is_point(space: Space, params: dict[str, Any]) -> bool:
    """Whether these are the parameters of a point: said once more, in other words than the code has it."""
    for name, item in space.items():
        when = item.when
        searched = when is None or (when.param in params and _among(params[when.param], when.values))
        if searched != (name in params) or (searched and not _holds(item, params[name])):
            return False
    return params.keys() <= space.keys()


def _among(value: Any, values: Iterable[Any]) -> bool:
    return json.dumps(value) in map(json.dumps, values)


def _holds(item: Dimension, value: Any) -> bool:
    if isinstance(item, Choice):
        return _among(value, item.values)
    if isinstance(item, Whole):
        return type(value) is int and item.low <= value <= item.high and (value - item.low) % item.step == 0
    steps = (value - item.low) / item.step if item.step is not None else 0
    return type(value) is float and item.low <= value <= item.high and math.isclose(steps, round(steps), abs_tol=1e-6)


@given(space=spaces(), slot=st.integers(0, 50), strategy=st.sampled_from(["random", "tpe"]))
@settings(max_examples=150)
def test_what_is_sampled_is_a_point_of_the_space_and_the_same_each_time(
    space: Space, slot: int, strategy: Strategy
) -> None:
    assert list(sweep_space.faults(space)) == []
    sweep = sweep_of(space, strategy)
    params = sampling.chosen(sweep, slot, [])
    assert is_point(space, params), params
    assert sampling.chosen(sweep, slot, []) == params


@given(dimension=DIMENSIONS)
def test_a_distribution_holds_what_the_dimension_does(dimension: Dimension) -> None:
    space: Any = sampling.distribution(dimension)
    if isinstance(dimension, Choice):
        assert [sampling.value_of(dimension, item) for item in space.choices] == list(dimension.values)
        return
    assert (space.low, space.log) == (dimension.low, dimension.log)
    assert space.high <= dimension.high
    listed = isinstance(dimension, Whole) or dimension.step is not None
    for value in itertools.islice(sweep_space.listed(dimension), 100) if listed else (dimension.low, dimension.high):
        assert space._contains(space.to_internal_repr(value)), value
        assert sampling.value_of(dimension, value) == value


@given(space=spaces())
def test_a_grid_has_every_point_once(space: Space) -> None:
    assume(not any(isinstance(item, Real) and item.step is None for item in space.values()))
    assume(sweep_space.grid_size(space) <= 2000)
    points = list(sweep_space.points(space))
    assert len(points) == sweep_space.grid_size(space)
    assert len({json.dumps(point, sort_keys=True) for point in points}) == len(points)
    assert all(is_point(space, point) for point in points)


def test_decimal_steps_are_what_people_write() -> None:
    values = sweep_space.real_numbers(Real(low=0.0, high=0.35, step=0.1))
    assert list(values) == [0.0, 0.1, 0.2, 0.3]
    assert (values[-1], values[1:3]) == (0.3, [0.1, 0.2])


def test_the_grid_in_its_order() -> None:
    space = sweep_space.normal({"b": [True, False], "a": Whole(low=1, high=3, step=2)})
    assert [tuple(point.values()) for point in sweep_space.points(space)] == [
        (1, True), (1, False), (3, True), (3, False),
    ]  # fmt: skip


def test_conditions_of_conditions() -> None:
    space: Space = {
        "a": Choice(values=("x", "y"), when=Condition(param="b", values=(1,))),
        "b": Whole(low=1, high=2),
        "c": Choice(values=(True,), when=Condition(param="a", values=("y",))),
    }
    assert list(sweep_space.ordered(space)) == ["b", "a", "c"]
    assert list(sweep_space.points(space)) == [{"b": 1, "a": "x"}, {"b": 1, "a": "y", "c": True}, {"b": 2}]


def test_one_is_not_true() -> None:
    assert not sweep_space.active(Condition(param="a", values=(1,)), {"a": True})
    assert sweep_space.active(Condition(param="a", values=(1,)), {"a": 1})
    assert not sweep_space.active(Condition(param="a", values=(1,)), {})


@pytest.mark.parametrize(
    ("space", "where", "words"),
    [
        ({}, [], "it is empty"),
        ({"a": Whole(low=3, high=1)}, ["a", "low"], "low is 3 and high 1"),
        ({"a": Real(low=math.nan, high=1)}, ["a", "low"], "found nan, expected a finite number"),
        ({"a": Real(low=0, high=math.inf)}, ["a", "high"], "found inf"),
        ({"a": Whole(low=0, high=2**70)}, ["a", "high"], "expected a finite number of 64 bits"),
        ({"a": Real(low=0, high=1, log=True)}, ["a", "low"], "on a logarithmic scale"),
        ({"a": Whole(low=-4, high=1, log=True)}, ["a", "low"], "low is -4; on a logarithmic scale"),
        ({"a": Real(low=0, high=1, step=0)}, ["a", "step"], "found 0, expected a number greater than zero"),
        ({"a": Real(low=1e6, high=1e6 + 1, step=0.01)}, ["a", "step"], "found 0.01, too small a step for numbers"),
        ({"a": Whole(low=1, high=9, step=2, log=True)}, ["a", "step"], "has no step"),
        ({"a": Choice(values=())}, ["a", "values"], "it is empty"),
        ({"a": Choice(values=(1, True))}, ["a", "values", 1], "True is the same as 1"),
        ({"a": Choice(values=("x", "x"))}, ["a", "values", 1], "'x' stands there twice"),
        ({"a": Choice(values=(math.nan,))}, ["a", "values", 0], "found NaN, expected text, a finite number"),
        ({"a": Choice(values=({"b": 1},))}, ["a", "values", 0], 'found {"b": 1}'),
        ({"a": Choice(values=(1,), when=Condition(param="b", values=(1,)))}, ["a", "when", "param"], "no parameter"),
        (
            {"a": Choice(values=(1,), when=Condition(param="b", values=(9,))), "b": Choice(values=(1, 2))},
            ["a", "when", "is", 0],
            "b is never 9; it is one of 1, 2",
        ),
        (
            {"a": Choice(values=(1,), when=Condition(param="b", values=(4,))), "b": Whole(low=1, high=9, step=2)},
            ["a", "when", "is", 0],
            "b is never 4; it goes from 1 to 9 in steps of 2",
        ),
        (
            {"a": Choice(values=(1,), when=Condition(param="b", values=(0.5,))), "b": Real(low=0, high=1)},
            ["a", "when", "param"],
            "b is a float; expected a choice or an int",
        ),
        (
            {"a": Choice(values=(1,), when=Condition(param="b", values=())), "b": Choice(values=(1, 2))},
            ["a", "when", "is"],
            "it is empty",
        ),
    ],
)  # fmt: skip
def test_faults_are_named_with_their_place(space: Space, where: list[str | int], words: str) -> None:
    found = list(sweep_space.faults(space))
    assert [place for place, _ in found] == [where]
    assert words in found[0][1]


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_conditions_in_a_circle(names: str) -> None:
    space: Space = {
        name: Choice(values=(1,), when=Condition(param=after, values=(1,)))
        for name, after in zip(names, names[1:] + names[0], strict=True)
    }
    (fault,) = sweep_space.faults(space)
    assert fault[0] == ["a", "when"]
    assert fault[1] == f"the conditions go round in a circle: {' -> '.join(names)} -> a"


def test_a_condition_on_itself() -> None:
    space: Space = {"a": Choice(values=(1,), when=Condition(param="a", values=(1,)))}
    assert [words for _, words in sweep_space.faults(space)] == ["the conditions go round in a circle: a -> a"]


def test_a_grid_needs_steps_and_an_end() -> None:
    assert [where for where, _ in sweep_space.grid_faults({"a": Real(low=0, high=1)})] == [["a"]]
    assert list(sweep_space.grid_faults({"a": Real(low=1, high=1)})) == []
    (fault,) = sweep_space.grid_faults({name: Whole(low=1, high=100) for name in "abc"})
    assert fault == ([], "its grid has more than 100000 points; take larger steps, or another strategy")


def test_seeds_differ() -> None:
    seeds = {sweep_space.seed_of(seed, slot) for seed in range(20) for slot in range(50)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert sweep_space.seed_of(0, 0) == 2893166218  # it never changes: sweeps are continued with it


@pytest.mark.parametrize(
    ("pruning", "rungs"),
    [
        (Hyperband(low=1, high=9, factor=3), [1, 3, 9]),
        (Hyperband(low=2, high=20, factor=2), [2, 4, 8, 16]),
        (Hyperband(low=5, high=5), [5]),
        (Hyperband(low=1, high=1000, factor=10), [1, 10, 100, 1000]),
    ],
)
def test_rungs(pruning: Hyperband, rungs: list[int]) -> None:
    found, last = [], None
    for step in range(1500):
        if sampling.is_rung(pruning, step, last):
            found.append(step)
            last = step
    assert found == rungs


def test_a_rung_is_not_missed_between_steps() -> None:
    pruning = Hyperband(low=1, high=100, factor=3)
    assert sampling.is_rung(pruning, 10, 2)
    assert not sampling.is_rung(pruning, 20, 10)
    assert not sampling.is_rung(pruning, 1, 10)
