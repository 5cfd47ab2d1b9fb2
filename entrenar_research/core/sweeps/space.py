"""The space of a sweep: what is wrong with one, which parameters are searched when, and the points of its grid."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from entrenar_research.core.sweeps import suggest
from entrenar_research.models.sweep import Choice, Condition, Dimension, Real, Space, Whole

LARGEST_GRID = 100_000
_BITS = 64
_FINEST = 10_000_000
Fault = tuple[list[str | int], str]
"""Where in the space (keys, from the parameter's name on), and in words what was found and what was expected."""


def normal(space: Mapping[str, list[Any] | Dimension]) -> Space:
    """The space with every list as a choice."""
    return {
        name: Choice(values=tuple(item)) if isinstance(item, list) else item for name, item in sorted(space.items())
    }


def faults(space: Space) -> Iterator[Fault]:
    """Everything that is wrong with a space by itself."""
    if not space:
        yield [], "it is empty; expected at least one parameter to search"
    for name, dimension in space.items():
        for where, words in _dimension_faults(dimension):
            yield [name, *where], words
        if dimension.when is not None:
            yield from (([name, "when", *where], words) for where, words in _condition_faults(space, name, dimension))
    circle = _circle(space)
    if circle:
        yield [circle[0], "when"], f"the conditions go round in a circle: {' -> '.join([*circle, circle[0]])}"


def _dimension_faults(dimension: Dimension) -> Iterator[Fault]:
    if isinstance(dimension, Choice):
        yield from _choice_faults(dimension)
        return
    low, high, step = dimension.low, dimension.high, dimension.step
    for key, value in (("low", low), ("high", high)):
        if not math.isfinite(value) or (isinstance(value, int) and value.bit_length() >= _BITS):
            yield [key], f"found {value}, expected a finite number of {_BITS} bits"
            return
    if low > high:
        yield ["low"], f"low is {low:g} and high {high:g}; expected low to be the smaller one"
    if step is not None and not 0 < step < math.inf:
        yield ["step"], f"found {step:g}, expected a number greater than zero"
    elif isinstance(dimension, Real) and step is not None and max(abs(low), abs(high)) > _FINEST * step:
        yield ["step"], f"found {step:g}, too small a step for numbers as large as {max(abs(low), abs(high)):g}"
    if dimension.log and low <= 0:
        yield ["low"], f"low is {low:g}; on a logarithmic scale (log: true) expected a number greater than zero"
    if dimension.log and step not in (None, 1):
        yield ["step"], "a logarithmic scale (log: true) has no step; leave one of them out"


def _choice_faults(dimension: Choice) -> Iterator[Fault]:
    if not dimension.values:
        yield ["values"], "it is empty; expected at least one value"
    for index, value in enumerate(dimension.values):
        if not _plain(value):
            expected = "expected text, a finite number, true, false, null, or a list of such"
            yield ["values", index], f"found {json.dumps(value, default=str)}, {expected}"
        elif value in dimension.values[:index]:
            other = dimension.values[dimension.values.index(value)]
            same = "stands there twice" if repr(other) == repr(value) else f"is the same as {other!r}"
            yield ["values", index], f"{value!r} {same}; expected each value once"


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return all(_plain(item) for item in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value.bit_length() < _BITS
    return value is None or isinstance(value, str | bool) or (isinstance(value, float) and math.isfinite(value))


def _condition_faults(space: Space, name: str, dimension: Dimension) -> Iterator[Fault]:
    condition = dimension.when
    if condition is None:
        return
    owner = space.get(condition.param)
    if owner is None:
        known = [item for item in space if item != name]
        error = suggest.unknown("parameter", condition.param, known, remedy="the space has no other parameter")
        yield ["param"], f"{error.message} in the space; {error.hint}"
    elif isinstance(owner, Real):
        yield ["param"], f"{condition.param} is a float; expected a choice or an int, whose values can be listed"
    elif not condition.values:
        yield ["is"], "it is empty; expected at least one value"
    for index, value in enumerate(condition.values if isinstance(owner, Choice | Whole) else ()):
        if isinstance(owner, Choice) and not _among(value, owner.values):
            listed = suggest.listed([json.dumps(item) for item in owner.values])
            yield ["is", index], f"{condition.param} is never {json.dumps(value, default=str)}; it is one of {listed}"
        if isinstance(owner, Whole) and value not in whole_numbers(owner):
            words = f"{owner.low} to {owner.high}" + (f" in steps of {owner.step}" if owner.step > 1 else "")
            yield ["is", index], f"{condition.param} is never {json.dumps(value, default=str)}; it goes from {words}"


def _among(value: Any, values: Sequence[Any]) -> bool:
    """Membership that tells 1 from true."""
    return any(value == item and isinstance(value, bool) == isinstance(item, bool) for item in values)


def _circle(space: Space) -> list[str]:
    """The parameters of a circle of conditions, if there is one."""
    for name in space:
        way, here = [name], _owner(space, name)
        while here in space and here not in way:
            way.append(here)
            here = _owner(space, here)
        if here == name:
            return way
    return []


def _owner(space: Space, name: str) -> str:
    condition = space[name].when
    return condition.param if condition is not None else ""


def ordered(space: Space) -> Space:
    """The space with every parameter after the one that its condition names; without faults."""
    left, found = dict(space), Space()
    while left:
        for name in list(left):
            if _owner(space, name) not in left:
                found[name] = left.pop(name)
    return found


def active(condition: Condition | None, chosen: Mapping[str, Any]) -> bool:
    """Whether a parameter is searched, with what was chosen for those before it."""
    if condition is None:
        return True
    return condition.param in chosen and _among(chosen[condition.param], condition.values)


def whole_numbers(dimension: Whole) -> range:
    """Every value that a whole number of the space can have."""
    return range(dimension.low, dimension.high + 1, dimension.step)


def real_numbers(dimension: Real) -> Sequence[float]:
    """Every value of a float with a step (or just one value), as a person would write them: 0.3, not 0.1 + 0.2."""
    if dimension.step is None:
        return (dimension.low,)
    low, step = Decimal(str(dimension.low)), Decimal(str(dimension.step))
    count = int((Decimal(str(dimension.high)) - low) // step) + 1
    return _Steps(low, step, count)


class _Steps(Sequence[float]):
    """low, low + step, ...: `count` of them, each calculated in decimal."""

    def __init__(self, low: Decimal, step: Decimal, count: int) -> None:
        self._low, self._step, self._count = low, step, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        return float(self._low + self._step * (index % self._count))

    def __contains__(self, value: object) -> bool:
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            return False
        place = round((Decimal(str(value)) - self._low) / self._step)
        return 0 <= place < self._count and self[place] == value


def grid_faults(space: Space) -> Iterator[Fault]:
    """Why there is no grid over a space that is sound otherwise."""
    endless = False
    for name, dimension in space.items():
        if isinstance(dimension, Real) and dimension.step is None and dimension.low < dimension.high:
            endless = True
            words = "a grid over a float needs a `step`, or list the values: {type: choice, values: [...]}"
            yield [name], words
    if not endless and grid_size(space) > LARGEST_GRID:
        yield [], f"its grid has more than {LARGEST_GRID} points; take larger steps, or another strategy"


def grid_size(space: Space) -> int:
    """How many points the grid has; more than `LARGEST_GRID` are not counted to the end."""
    count = 0
    for _ in points(space):
        count += 1
        if count > LARGEST_GRID:
            break
    return count


def points(space: Space) -> Iterator[dict[str, Any]]:
    """Every point of the grid once, the last parameter changing first; without the parameters not searched there."""
    yield from _points(list(ordered(space).items()), {})


def _points(left: list[tuple[str, Dimension]], chosen: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if not left:
        yield dict(chosen)
        return
    (name, dimension), rest = left[0], left[1:]
    if not active(dimension.when, chosen):
        yield from _points(rest, chosen)
        return
    for value in listed(dimension):
        yield from _points(rest, {**chosen, name: value})


def listed(dimension: Dimension) -> Sequence[Any]:
    """Every value of a dimension that has a number of them."""
    if isinstance(dimension, Choice):
        return dimension.values
    return whole_numbers(dimension) if isinstance(dimension, Whole) else real_numbers(dimension)


def seed_of(seed: int, slot: int) -> int:
    """The seed (32 bits) of one trial: it depends on nothing but the sweep's seed and how many trials came before."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{slot}".encode()).digest()[:4], "big")
