"""Where runs come from: the graph of runs and their parents, what happened before what, and logical time.

What happened before is decided by ancestry alone. A Lamport time (L. Lamport, "Time, clocks, and the ordering of
events in a distributed system", 1978) never contradicts it: a parent's is always smaller. The converse does not
hold: of two numbers nothing follows about runs that are not ancestors of each other. Those are concurrent,
whatever their numbers and whatever any clock said.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from entrenar_research.models.tracking import Lineage, Parent

Order = Literal["before", "after", "same", "concurrent"]
Choice = Literal["same", "ours", "theirs", "concurrent"]
_CHOICES: dict[Order, Choice] = {"before": "theirs", "after": "ours", "same": "same", "concurrent": "concurrent"}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the lineage of `run`: a cycle, a parent that is not there, or a number that is not its own."""

    kind: Literal["cycle", "missing", "lamport"]
    run: str
    detail: str


class Dag:
    """Runs and where they come from.

    `parents` has, for each run that is known, what its record says. A parent that is not among them is kept as an
    unknown run: it is somewhere else, or was removed. The graph is expected to have no cycles and is usable where
    it has: the runs of a cycle, and those that come from it, have no logical time.
    """

    def __init__(self, parents: Mapping[str, Sequence[Parent]]) -> None:
        self.links: dict[str, tuple[Parent, ...]] = {run: tuple(parents[run]) for run in sorted(parents)}
        named = {link.run for links in self.links.values() for link in links}
        self.unknown: tuple[str, ...] = tuple(sorted(named - self.links.keys()))
        self.links.update(dict.fromkeys(self.unknown, ()))
        self.parents: dict[str, tuple[str, ...]] = {
            run: tuple(dict.fromkeys(link.run for link in links)) for run, links in self.links.items()
        }
        children: dict[str, list[str]] = {run: [] for run in self.links}
        for run in sorted(self.links):
            for parent in self.parents[run]:
                children[parent].append(run)
        self.children: dict[str, tuple[str, ...]] = {run: tuple(found) for run, found in children.items()}
        self._sorted = self._in_order()
        self.times = self._times()

    def __contains__(self, run: str) -> bool:
        return run in self.links

    def order(self) -> tuple[str, ...]:
        """Every run, parents before children, otherwise by id; those in or behind a cycle come last."""
        inside = set(self._sorted)
        return (*self._sorted, *sorted(run for run in self.links if run not in inside))

    def ancestors(self, run: str) -> frozenset[str]:
        """Every run that `run` comes from. It is among them itself if it is in a cycle."""
        return _reached(run, self.parents)

    def descendants(self, run: str) -> frozenset[str]:
        """Every run that comes from `run`. It is among them itself if it is in a cycle."""
        return _reached(run, self.children)

    def relation(self, one: str, other: str) -> Order:
        """How `one` stands to `other`, by ancestry; runs of the same cycle have no order and are concurrent."""
        if one == other:
            return "same"
        above, below = one in self.ancestors(other), other in self.ancestors(one)
        if above == below:
            return "concurrent"
        return "before" if above else "after"

    def happened_before(self, one: str, other: str) -> bool:
        """Whether `other` comes from `one`, directly or not."""
        return self.relation(one, other) == "before"

    def resolve(self, ours: str, theirs: str) -> Choice:
        """Which of two runs counts: the one that comes from the other, neither if they are concurrent."""
        return _CHOICES[self.relation(ours, theirs)]

    def cycles(self) -> tuple[tuple[str, ...], ...]:
        """A cycle through each knot of runs that come from themselves: from parent to child, the first once more.

        Each is as short as possible and begins with the smallest id that it can begin with.
        """
        rest = self._knotted()
        found = []
        for run in sorted(rest):
            path = _way_back(run, self.children, rest) if run in rest else None
            if path is not None:
                found.append(path)
                rest -= self.ancestors(run) & self.descendants(run)
        return tuple(found)

    def narrowed(self, runs: Iterable[str]) -> Dag:
        """The part of the graph that has these runs alone. Their times stay those that they have in the whole."""
        wanted = {run for run in runs if run in self.links}
        known = wanted.difference(self.unknown)
        part = Dag({run: [link for link in self.links[run] if link.run in wanted] for run in known})
        part.times = {run: self.times[run] for run in part.links if run in self.times}
        return part

    def _in_order(self) -> tuple[str, ...]:
        """Kahn's algorithm with a heap: the runs that are neither in nor behind a cycle."""
        waiting = {run: len(parents) for run, parents in self.parents.items()}
        ready = [run for run, count in waiting.items() if not count]
        heapq.heapify(ready)
        done = []
        while ready:
            run = heapq.heappop(ready)
            done.append(run)
            for child in self.children[run]:
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(ready, child)
        return tuple(done)

    def _times(self) -> dict[str, int]:
        """The Lamport time of every run that has one. Of an unknown run, the greatest that a child of it states."""
        stated = dict.fromkeys(self.unknown, 0)
        for links in self.links.values():
            for link in links:
                if link.run in stated:
                    stated[link.run] = max(stated[link.run], link.lamport or 0)
        times: dict[str, int] = {}
        for run in self._sorted:
            above = [times[parent] for parent in self.parents[run]]
            times[run] = 1 + max(above) if above else stated.get(run, 0)
        return times

    def _knotted(self) -> set[str]:
        """The runs that are in a cycle or between two: what remains when all others are taken away from both ends."""
        rest = set(self.links) - set(self._sorted)
        ends = [run for run in rest if not any(child in rest for child in self.children[run])]
        while ends:
            run = ends.pop()
            rest.discard(run)
            for parent in self.parents[run]:
                if parent in rest and not any(child in rest for child in self.children[parent]):
                    ends.append(parent)
        return rest


def _reached(start: str, steps: Mapping[str, Sequence[str]]) -> frozenset[str]:
    seen: set[str] = set()
    waiting = list(steps[start])
    while waiting:
        run = waiting.pop()
        if run not in seen:
            seen.add(run)
            waiting += steps[run]
    return frozenset(seen)


def _way_back(start: str, steps: Mapping[str, Sequence[str]], within: set[str]) -> tuple[str, ...] | None:
    """The shortest way from `start` to itself, or None."""
    came: dict[str, str] = {}
    level = [start]
    while level and start not in came:
        following = []
        for run in level:
            for step in steps[run]:
                if step in within and step not in came:
                    came[step] = run
                    following.append(step)
        level = following
    if start not in came:
        return None
    path = [start, came[start]]
    while path[-1] != start:
        path.append(came[path[-1]])
    return tuple(reversed(path))


def faults(dag: Dag, closed: Mapping[str, Lineage]) -> tuple[Fault, ...]:
    """Cycles, parents that are not there, and Lamport times in the records of `closed` runs that are not theirs."""
    found = [
        Fault(kind="cycle", run=cycle[0], detail=f"comes from itself: {' -> '.join(cycle)}") for cycle in dag.cycles()
    ]
    for parent in dag.unknown:
        for child in dag.children[parent]:
            found.append(Fault(kind="missing", run=child, detail=f"its parent {parent} is not in this study"))
    for run in sorted(closed):
        found += [Fault(kind="lamport", run=run, detail=detail) for detail in _misstated(dag, run, closed[run])]
    return tuple(found)


def _misstated(dag: Dag, run: str, lineage: Lineage) -> list[str]:
    """In words, which numbers of a record are not those that follow from the graph."""
    if run not in dag.times:
        return []  # the cycle is named
    words = []
    for link in lineage.parents:
        time = dag.times[link.run]
        if link.lamport is not None and link.lamport != time and link.run not in dag.unknown:
            words.append(f"says that its parent {link.run} has Lamport time {link.lamport}; found {time}")
    if lineage.lamport != dag.times[run]:
        words.append(f"says that its Lamport time is {lineage.lamport}; from its parents follows {dag.times[run]}")
    return words
