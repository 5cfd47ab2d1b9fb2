"""A set of addresses as disjoint ranges, with the number of addresses in it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right


class Intervals:
    """Half-open ranges `[start, end)`; adding and removing takes time that hardly grows with their number."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self.total = 0

    def add(self, start: int, end: int) -> None:
        """Adds a range; what was there already counts once."""
        if start >= end:
            return
        first, last = bisect_left(self._ends, start), bisect_right(self._starts, end)
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
            self.total -= sum(self._ends[i] - self._starts[i] for i in range(first, last))
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        self.total += end - start

    def remove(self, start: int, end: int) -> list[tuple[int, int]]:
        """Removes a range; the parts of it that were there, in order."""
        first, last = bisect_right(self._ends, start), bisect_left(self._starts, end)
        if start >= end or first >= last:
            return []
        taken = [(max(start, self._starts[i]), min(end, self._ends[i])) for i in range(first, last)]
        edges = [(self._starts[first], start), (end, self._ends[last - 1])]
        left = [(low, high) for low, high in edges if low < high]
        self._starts[first:last] = [low for low, _ in left]
        self._ends[first:last] = [high for _, high in left]
        self.total -= sum(high - low for low, high in taken)
        return taken
