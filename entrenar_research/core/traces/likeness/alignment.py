"""Laying the lines of two traces beside each other: what both do, what only one does, and where they part first.

Processes are paired first: those that do the same, then those that run the same program, in the order in which they
were made. Between the first threads of a pair the lines are aligned: the longest common subsequence, exact up to
`_EXACT` pairs of lines, of longer ones divided where lines that are unique on both sides agree (patience diff). It is
counted by the pairs of equal lines where these are few (Hunt and Szymanski, "A fast algorithm for computing longest
common subsequences", CACM 20(5), 1977), else bit-parallel (Hyyrö, "Bit-parallel LCS-length computation revisited",
AWOCA 2004). Other threads are compared as a whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from entrenar_research.core.traces.likeness.strands import Strand, Strands, Texts

_EXACT: Final = 1 << 26
_BITS: Final = 1 << 13
_FEW: Final = 4  # pairs of equal lines for each line
_DEEPEST: Final = 12
_WIDTHS: Final = (1, 2, 4, 8, 16, 32, 64)
_CONTEXT: Final = 3
_Pair = tuple[Strand | None, Strand | None]
_Keys = tuple[tuple[Mapping[str, object], Mapping[str, object]], ...]


class Parting(msgspec.Struct, frozen=True, kw_only=True):
    """Where two traces part first: in which process, after which lines, and the next line of each (None: it ends).

    `extra` is whether the found line is one too many, `missing` whether the expected one is gone; where neither is
    the case, both lines are in both traces and only their order is another one. `again` is whether the process does
    the found line in both traces, only more often.
    """

    process: str
    before: tuple[str, ...]
    expected: str | None
    found: str | None
    extra: bool
    missing: bool
    again: bool = False


class Alignment(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of lines: of each trace, in both in the same order, in both in another place or order."""

    expected: int
    found: int
    aligned: int
    elsewhere: int
    parting: Parting | None

    @property
    def score(self) -> float:
        """2 (aligned + elsewhere / 2) / (expected + found), 1 where there are no lines."""
        every = self.expected + self.found
        return (2 * self.aligned + self.elsewhere) / every if every else 1.0


def align(expected: Strands, found: Strands, texts: Texts) -> Alignment:
    """The alignment of two traces whose lines are numbered by the same `texts`."""
    total = Counter[str]()
    parting: Parting | None = None
    for pair in _pairs(expected, found):
        one, other = (strand or _NOBODY for strand in pair)
        total["expected"] += len(one.main) + len(one.others)
        total["found"] += len(other.main) + len(other.others)
        if one.main == other.main and one.others == other.others:
            total["aligned"] += len(one.main) + len(one.others)
            continue
        left, right = Counter(one.others), Counter(other.others)
        together = longest_common(one.main, other.main) + (left & right).total()
        left.update(one.main)
        right.update(other.main)
        total["aligned"] += together
        total["elsewhere"] += (left & right).total() - together
        if parting is None:
            parting = _parting(one, other, left, right, texts)
    return Alignment(
        expected=total["expected"],
        found=total["found"],
        aligned=total["aligned"],
        elsewhere=total["elsewhere"],
        parting=parting,
    )


_NOBODY: Final = Strand("", None, "", [], [], [])


def _pairs(expected: Strands, found: Strands) -> Iterator[_Pair]:
    """The processes of both, paired, parents before their children."""
    one, other = expected.processes, found.processes
    keys: _Keys = (
        (_marks(expected), _marks(found)),
        ({label: item.program for label, item in one.items()}, {label: item.program for label, item in other.items()}),
    )
    roots = [[label for label, item in side.items() if item.parent not in side] for side in (one, other)]
    waiting = deque(_siblings(one, other, roots[0], roots[1], keys))
    while waiting:
        left, right = waiting.popleft()
        yield left, right
        children = _siblings(one, other, left.children if left else [], right.children if right else [], keys)
        waiting.extendleft(reversed(list(children)))


def _siblings(
    one: dict[str, Strand], other: dict[str, Strand], left: Sequence[str], right: Sequence[str], keys: _Keys
) -> Iterator[_Pair]:
    """Pairs children of the same parent: those with the same mark, then those that run the same program."""
    partner: dict[str, str] = {}
    taken: set[str] = set()
    for of_left, of_right in keys:
        waiting: defaultdict[object, deque[str]] = defaultdict(deque)
        for label in right:
            if label not in taken:
                waiting[of_right[label]].append(label)
        for label in left:
            line = waiting[of_left[label]] if label not in partner else None
            if line:
                partner[label] = line.popleft()
                taken.add(partner[label])
    for label in left:
        yield one[label], other[partner[label]] if label in partner else None
    for label in right:
        if label not in taken:
            yield None, other[label]


def _marks(strands: Strands) -> dict[str, int]:
    """A number for each process: the same for those that, with all their descendants, do the same."""
    found: dict[str, int] = {}
    for label in sorted(strands.processes, key=lambda label: -label.count(".")):
        strand = strands.processes[label]
        own = (tuple(strand.main), tuple(sorted(strand.others)), tuple(found[child] for child in strand.children))
        found[label] = hash(own)
    return found


def _parting(one: Strand, other: Strand, left: Counter[int], right: Counter[int], texts: Texts) -> Parting:
    """Where two strands that differ part first; threads are looked at where the first threads do the same."""
    mine, theirs = one.main, other.main
    if mine == theirs:
        mine = [number for number in one.others if left[number] != right[number]] or sorted(one.others)
        theirs = [number for number in other.others if left[number] != right[number]] or sorted(other.others)
    place = _prefix(mine, theirs)
    wanted = mine[place] if place < len(mine) else None
    seen = theirs[place] if place < len(theirs) else None
    return Parting(
        process=other.label or one.label,
        before=tuple(texts.all[number] for number in mine[max(0, place - _CONTEXT) : place]),
        expected=None if wanted is None else texts.all[wanted],
        found=None if seen is None else texts.all[seen],
        extra=seen is not None and right[seen] > left[seen],
        missing=wanted is not None and left[wanted] > right[wanted],
        again=seen is not None and left[seen] > 0,
    )


def longest_common(one: Sequence[int], other: Sequence[int]) -> int:
    """How long the longest common subsequence is; of very long sequences at least so long."""
    total = 0
    waiting: list[tuple[Sequence[int], Sequence[int], int]] = [(one, other, 0)]
    while waiting:
        left, right, depth = waiting.pop()
        begin = _prefix(left, right)
        end = _suffix(left, right, begin)
        total += begin + end
        left, right = left[begin : len(left) - end], right[begin : len(right) - end]
        here, there = set(left), set(right)
        shared = here & there
        if not shared:
            continue
        if len(shared) < len(here):
            left = [number for number in left if number in shared]
        if len(shared) < len(there):
            right = [number for number in right if number in shared]
        if min(len(left), len(right)) <= _BITS and len(left) * len(right) <= _EXACT:
            total += _exact(left, right)
            continue
        anchors = _anchors(left, right) if depth < _DEEPEST else []
        if anchors:
            total += len(anchors)
        else:
            anchors = _cuts(left, right)
        waiting.extend((*piece, depth + 1) for piece in _pieces(left, right, anchors))
    return total


def _prefix(one: Sequence[int], other: Sequence[int]) -> int:
    shared = min(len(one), len(other))
    if one[:shared] == other[:shared]:
        return shared
    return next(place for place in range(shared) if one[place] != other[place])


def _suffix(one: Sequence[int], other: Sequence[int], begin: int) -> int:
    shared = min(len(one), len(other)) - begin
    return next((place for place in range(shared) if one[-place - 1] != other[-place - 1]), shared)


def _exact(one: Sequence[int], other: Sequence[int]) -> int:
    """By the pairs of places that hold the same line where these are few, else by all places at once."""
    if len(one) > len(other):
        one, other = other, one
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(other):
        places[number].append(place)
    rows = [places[number] for number in one if number in places]
    if sum(map(len, rows)) > _FEW * len(other):
        return _by_bits(one, other)
    ends: list[int] = []  # of what is common so far, by its length, the place in `other` where the first one ends
    last = -1
    for row in rows:
        for place in row if len(row) == 1 else reversed(row):
            if place > last:
                ends.append(place)
            else:
                ends[bisect_left(ends, place)] = place
            last = ends[-1]
    return len(ends)


def _by_bits(one: Sequence[int], other: Sequence[int]) -> int:
    """Bit-parallel: a column of the table of lengths is one number, a bit a line."""
    places: defaultdict[int, int] = defaultdict(int)
    for place, number in enumerate(one):
        places[number] |= 1 << place
    every = (1 << len(one)) - 1
    column = every
    for number in other:
        match = column & places[number]
        column = ((column + match) | (column - match)) & every
    return len(one) - column.bit_count()


def _anchors(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """Places in both, ascending in both, where the same short row of lines stands that is unique in each."""
    import numpy as np  # some 100 ms, for long traces only

    left, right = np.array(one, dtype=np.uint64), np.array(other, dtype=np.uint64)
    factor = 0x9E3779B97F4A7C15
    best: list[tuple[int, int]] = []
    for width in _WIDTHS:
        if min(len(left), len(right)) < 1:
            break
        pairs = [(i, j) for i, j in _unique_pairs(np, left, right) if one[i] == other[j]]
        found = _ascending(pairs)
        if len(found) > len(best):
            best = found
        if len(best) * 1024 >= min(len(one), len(other)):
            break
        # Rows twice as long: a polynomial in the factor, modulo 2**64.
        left, right = (side[:-width] * np.uint64(factor) + side[width:] for side in (left, right))
        factor = factor**2 % 2**64
    return best


def _unique_pairs(np: Any, left: Any, right: Any) -> list[tuple[int, int]]:
    """Places of the numbers that stand once on the left and once on the right, in the order of the left."""
    common = np.intersect1d(_once(np, left), _once(np, right), assume_unique=True)
    if not len(common):
        return []
    first, second = (np.flatnonzero(np.isin(side, common)) for side in (left, right))
    second = second[np.argsort(right[second])][np.argsort(np.argsort(left[first]))]
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _once(np: Any, numbers: Any) -> Any:
    """The numbers that stand once, in ascending order."""
    ordered = np.sort(numbers)
    other = np.concatenate(([True], ordered[1:] != ordered[:-1], [True]))
    return ordered[other[1:] & other[:-1]]


def _ascending(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest row of pairs, ascending on the left already, that ascends on the right (patience sorting)."""
    ends: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for index, (_, place) in enumerate(pairs):
        pile = bisect_left(ends, place)
        before.append(last[pile - 1] if pile else -1)
        if pile == len(ends):
            ends.append(place)
            last.append(index)
        else:
            ends[pile], last[pile] = place, index
    found = []
    index = last[-1] if last else -1
    while index >= 0:
        found.append(pairs[index])
        index = before[index]
    return found[::-1]


def _cuts(one: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """Without anything to hold on to: cuts at the same share of both, in pieces that are compared exactly."""
    parts = -(-max(len(one), len(other)) // _BITS)
    return [(len(one) * part // parts, len(other) * part // parts) for part in range(1, parts)]


def _pieces(
    one: Sequence[int], other: Sequence[int], marks: Sequence[tuple[int, int]]
) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """What lies between the marks."""
    left = right = 0
    for place, opposite in (*marks, (len(one), len(other))):
        if place > left and opposite > right:
            yield one[left:place], other[right:opposite]
        left, right = place + 1, opposite + 1
