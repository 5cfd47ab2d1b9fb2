"""Going through an iterable while it is predicted how long that will still take."""

from __future__ import annotations

import time

from entrenar_research.client import eta

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

_LOGGED_AT = (0.25, 0.5, 0.75)


class Tracked:
    """What `run.track` returns: iterate over it. `prediction` is the present one, None before the first step's end.

    A step is the time from one item to the next, the loop's body included. When the iterable is exhausted, what was
    predicted after a quarter, a half and three quarters is written down with what it took; after a `break` nothing is.
    """

    def __init__(self, iterable: Iterable[Any], total: int | None, say: Callable[[dict[str, Any]], None]) -> None:
        if total is None and hasattr(iterable, "__len__"):
            total = len(iterable)  # type: ignore[arg-type]
        self._iterable, self._total, self._say = iterable, total, say
        self.prediction: eta.Prediction | None = None

    def __len__(self) -> int:
        if self._total is None:
            raise TypeError("the number of steps is not known")
        return self._total

    def __iter__(self) -> Iterator[Any]:
        total = self._total
        wanted = sorted({round(part * total) for part in _LOGGED_AT} - {0, total}) if total else []
        made: list[tuple[float, int, eta.Prediction]] = []
        known, clock = eta.Eta(total), time.perf_counter
        before = clock()
        for item in self._iterable:
            yield item
            now = clock()
            self.prediction = known.update(now - before)
            before = now
            if wanted and known.done == wanted[0]:
                made.append((now, time.time_ns(), self.prediction))
                del wanted[0]
        for then, moment, prediction in made:
            self._say(eta.note(prediction, before - then, moment))
