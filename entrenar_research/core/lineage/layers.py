"""Where the runs of a graph stand in a drawing: a column for each Lamport time, few crossings, straight lines.

The layered method of K. Sugiyama, S. Tagawa and M. Toda ("Methods for visual understanding of hierarchical system
structures", 1981): layers by the longest way from a root (which is the Lamport time), order within a layer by
barycentres, then places as near to the neighbours as the order allows (least squares, by pooling adjacent violators).
"""

from __future__ import annotations

import itertools
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence

import msgspec

from entrenar_research.core.lineage.graph import Dag

Key = str | tuple[str, str, int]
"""A run, or the bend in layer n of the line from one run to another."""
_SWEEPS = 8
_BENDS = 20_000
"""More bends than these take long and make nothing clearer: such a graph gets straight lines."""
_RUN_ROOM, _BEND_ROOM = 1.0, 0.5


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Layers from left to right, and the height of each run and each bend in rows, 0 at the top.

    `bends` has, by parent and child, the bends of a line that passes other layers.
    """

    layers: tuple[tuple[str, ...], ...]
    heights: dict[Key, float]
    bends: dict[tuple[str, str], tuple[tuple[str, str, int], ...]]

    @property
    def rows(self) -> float:
        """How many rows the drawing is high."""
        return max((self.heights[run] for layer in self.layers for run in layer), default=-1.0) + 1


def layout(dag: Dag) -> Layout:
    """Places every run of the graph. Those in or behind a cycle, which have no time, stand in a last layer."""
    last = max(dag.times.values(), default=-1) + 1
    layer_of = {run: dag.times.get(run, last) for run in dag.links}
    used = sorted(set(layer_of.values()))
    layer_of = {run: used.index(layer) for run, layer in layer_of.items()}
    layers: list[list[Key]] = [[] for _ in used]
    for run in dag.order():
        layers[layer_of[run]].append(run)
    before: dict[Key, list[Key]] = {run: [] for run in dag.links}
    bends = _lines(dag, layer_of, layers, before)
    after: dict[Key, list[Key]] = {key: [] for layer in layers for key in layer}
    for key, sources in before.items():
        for source in sources:
            after[source].append(key)
    ordered = _with_few_crossings(layers, before, after)
    heights = _heights(ordered, before, after)
    runs = tuple(tuple(key for key in layer if isinstance(key, str)) for layer in ordered)
    return Layout(layers=runs, heights=heights, bends=bends)


def _lines(
    dag: Dag, layer_of: Mapping[str, int], layers: list[list[Key]], before: dict[Key, list[Key]]
) -> dict[tuple[str, str], tuple[tuple[str, str, int], ...]]:
    """Puts a bend into each layer that a line passes, and notes what each run and bend is joined to on its left."""
    pairs = [(parent, run) for run in dag.order() for parent in dag.parents[run]]
    passed = {pair: range(layer_of[pair[0]] + 1, layer_of[pair[1]]) for pair in pairs}
    if sum(map(len, passed.values())) > _BENDS:
        passed = dict.fromkeys(pairs, range(0))
    found = {}
    for (parent, run), between in passed.items():
        bends = tuple((parent, run, layer) for layer in between)
        left: Key = parent
        for bend in bends:
            layers[bend[2]].append(bend)
            before[bend] = [left]
            left = bend
        if layer_of[parent] < layer_of[run]:
            before[run].append(left)
        found[parent, run] = bends
    return found


def _with_few_crossings(
    layers: list[list[Key]], before: Mapping[Key, Sequence[Key]], after: Mapping[Key, Sequence[Key]]
) -> list[list[Key]]:
    """The best order that sweeps to and fro have come upon."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers, after)
    present = [list(layer) for layer in layers]
    for _ in range(_SWEEPS):
        if not fewest:
            break
        for near, order in ((before, range(1, len(present))), (after, range(len(present) - 2, -1, -1))):
            for index in order:
                other = present[index - 1 if near is before else index + 1]
                _by_barycentre(present[index], other, near)
        found = _crossings(present, after)
        if found < fewest:
            best, fewest = [list(layer) for layer in present], found
    return best


def _by_barycentre(layer: list[Key], other: Sequence[Key], near: Mapping[Key, Sequence[Key]]) -> None:
    places = {key: place for place, key in enumerate(other)}
    weights: dict[Key, float] = {}
    for place, key in enumerate(layer):
        joined = [places[item] for item in near[key] if item in places]
        weights[key] = sum(joined) / len(joined) if joined else float(place)
    layer.sort(key=lambda key: weights[key])


def _crossings(layers: Sequence[Sequence[Key]], after: Mapping[Key, Sequence[Key]]) -> int:
    """How many pairs of lines between neighbouring layers cross."""
    total = 0
    for left, right in itertools.pairwise(layers):
        places = {key: place for place, key in enumerate(right)}
        seen: list[int] = []
        for key in left:
            ends = sorted(places[item] for item in after[key] if item in places)
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total


def _heights(
    layers: Sequence[Sequence[Key]], before: Mapping[Key, Sequence[Key]], after: Mapping[Key, Sequence[Key]]
) -> dict[Key, float]:
    heights: dict[Key, float] = {}
    for layer in layers:
        heights.update(zip(layer, _apart([0.0] * len(layer), layer), strict=True))
    for sweep in range(2 * _SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for key in layer:
                joined = [heights[item] for item in (*before[key], *after[key])]
                wanted.append(sum(joined) / len(joined) if joined else heights[key])
            heights.update(zip(layer, _apart(wanted, layer), strict=True))
    top = min((height for key, height in heights.items() if isinstance(key, str)), default=0.0)
    return {key: height - top for key, height in heights.items()}


def _apart(wanted: Sequence[float], layer: Sequence[Key]) -> list[float]:
    """The heights nearest to the wanted ones that keep the order and leave each its room."""
    offsets = [0.0]
    for one, other in itertools.pairwise(layer):
        room = _RUN_ROOM if isinstance(one, str) and isinstance(other, str) else (_RUN_ROOM + _BEND_ROOM) / 2
        offsets.append(offsets[-1] + (room if isinstance(one, str) or isinstance(other, str) else _BEND_ROOM))
    pools: list[tuple[float, int]] = []
    for value, offset in zip(wanted, offsets[: len(wanted)], strict=True):
        mean, count = value - offset, 1
        while pools and pools[-1][0] > mean:
            above, size = pools.pop()
            mean, count = (mean * count + above * size) / (count + size), count + size
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(flat, offsets[: len(flat)], strict=True)]
