"""Metrics in short: how many points, the last of them, the lowest and the highest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from entrenar_research.models.tracking import Series


class Summary:
    """Grows from the points of one process after another."""

    def __init__(self) -> None:
        self._found: dict[str, Series] = {}
        self._latest: dict[str, int] = {}

    def add(
        self,
        names: Mapping[int, str],
        refs: Sequence[int],
        steps: Sequence[int],
        values: Sequence[float],
        times: Sequence[int],
    ) -> None:
        """Adds the points of a process in the order logged; `names` says which metric each of `refs` is.

        Of several processes, the last point of a metric is the one with the latest time.
        """
        places: defaultdict[str, list[int]] = defaultdict(list)
        if len(set(names.values())) == 1:  # one metric alone: no need to sort its points out
            places[next(iter(names.values()))] = list(range(len(refs)))
        else:
            lists = {ref: places[name] for ref, name in names.items()}
            for index, ref in enumerate(refs):
                lists[ref].append(index)
        for name, indices in places.items():
            if indices:
                last = indices[-1]
                chosen = values if len(indices) == len(values) else [values[index] for index in indices]
                self._merge(name, of_values(chosen, last_step=steps[last]), times[last])

    def _merge(self, name: str, series: Series, time: int) -> None:
        known = self._found.get(name)
        if known is None:
            self._found[name], self._latest[name] = series, time
            return
        newest = series if time >= self._latest[name] else known
        self._latest[name] = max(time, self._latest[name])
        self._found[name] = Series(
            points=known.points + series.points,
            last=newest.last,
            last_step=newest.last_step,
            lowest=_extreme(min, known.lowest, series.lowest),
            highest=_extreme(max, known.highest, series.highest),
        )

    def series(self) -> dict[str, Series]:
        """Every metric in short, by name."""
        return dict(sorted(self._found.items()))


def of_values(values: Sequence[float], *, last_step: int) -> Series:
    """One metric in short; `values` (one at least) are in the order logged."""
    lowest: float | None = min(values)
    highest: float | None = max(values)
    if math.isnan(values[0]):  # the one place where NaN wins a comparison
        numbers = [value for value in values if not math.isnan(value)]
        lowest, highest = (min(numbers), max(numbers)) if numbers else (None, None)
    return Series(points=len(values), last=values[-1], last_step=last_step, lowest=lowest, highest=highest)


def _extreme(choose: Callable[..., float], *bounds: float | None) -> float | None:
    return choose((bound for bound in bounds if bound is not None), default=None)
