"""Curves of logged metrics: in order, smoothed, thinned so that no spike is lost."""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

import msgspec


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The points of one metric of one run, x ascending. NaN and infinities are gaps."""

    run: str
    metric: str
    xs: Sequence[float]
    ys: Sequence[float]

    @property
    def gaps(self) -> int:
        """How many points are no finite number."""
        return len(self.ys) - sum(map(math.isfinite, self.ys))


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of several runs, to be drawn over each other. `names` are those of the curves.

    `smooth` are the curves smoothed, empty where that was not asked for; `across` is what x is.
    """

    metric: str
    names: tuple[str, ...]
    curves: tuple[Curve, ...]
    smooth: tuple[Curve, ...] = ()
    across: str = "step"


def ordered(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """The points by ascending x; those of the same x stay in the order in which they came."""
    if all(map(operator.le, xs, islice(xs, 1, None))):
        return list(xs), list(ys)
    order = sorted(range(len(xs)), key=xs.__getitem__)
    return [xs[index] for index in order], [ys[index] for index in order]


def smoothed(ys: Sequence[float], weight: float) -> list[float]:
    """The exponential moving average, corrected for its start: s_i / (1 - weight^i), s_i = w s_(i-1) + (1 - w) y_i.

    The correction is that of Adam, https://arxiv.org/abs/1412.6980, section 3. What is not finite stays as it is and
    changes nothing.
    """
    average, left = 0.0, 1.0
    found = []
    for y in ys:
        if math.isfinite(y):
            average = weight * average + (1 - weight) * y
            left *= weight
            found.append(average / (1 - left))
        else:
            found.append(y)
    return found


def thinned(xs: Sequence[float], ys: Sequence[float], columns: int) -> tuple[list[float], list[float]]:
    """At most four points for each of `columns` equal parts of the x axis: first, lowest, highest and last.

    Drawn as a line of that many pixels they look as all points would. A part with nothing but gaps stays a gap.
    `xs` ascend.
    """
    if len(xs) <= 4 * columns or xs[0] == xs[-1]:
        return _few(xs, ys, columns)
    first, wide = xs[0], (xs[-1] - xs[0]) / columns
    chosen: list[int] = []
    begin = 0
    for column in range(1, columns + 1):
        end = len(xs) if column == columns else bisect_left(xs, first + column * wide, begin)
        if end > begin:
            chosen += _extremes(ys, begin, end)
        begin = end
    return [xs[index] for index in chosen], [ys[index] for index in chosen]


def _few(xs: Sequence[float], ys: Sequence[float], columns: int) -> tuple[list[float], list[float]]:
    if len(xs) <= 4 * columns:
        return list(xs), list(ys)
    chosen = _extremes(ys, 0, len(ys))  # all at the same x
    return [xs[index] for index in chosen], [ys[index] for index in chosen]


def _extremes(ys: Sequence[float], begin: int, end: int) -> list[int]:
    """The places of the first, lowest, highest and last finite value of a part, ascending; else of a gap."""
    part = ys[begin:end]
    if not all(map(math.isfinite, part)):
        places = [index for index in range(begin, end) if math.isfinite(ys[index])]
        if not places:
            return [begin]
        return sorted({places[0], places[-1], min(places, key=ys.__getitem__), max(places, key=ys.__getitem__)})
    low, high = begin + part.index(min(part)), begin + part.index(max(part))
    return sorted({begin, low, high, end - 1})


def shortest(ids: Sequence[str]) -> dict[str, str]:
    """A name for each run: as much of the end of its id as tells them apart, from a hyphen on if possible."""
    for parts in range(1, 12):
        names = ["-".join(run_id.rsplit("-", parts)[-parts:]) for run_id in ids]
        if len(set(names)) == len(ids):
            return dict(zip(ids, names, strict=True))
    return {run_id: run_id for run_id in ids}


def differing(params: Sequence[dict[str, object]]) -> list[str]:
    """The parameters (dotted) that are not the same in all runs, sorted."""
    names = sorted({name for one in params for name in one})
    return [name for name in names if len({repr(one.get(name)) for one in params}) > 1]
