"""Drawing a run that is under way: a block that is drawn again and again on a terminal, lines elsewhere."""

from __future__ import annotations

import datetime
import os
import time
from collections import deque
from collections.abc import Sequence

from entrenar_research.models.run import RunRecord
from entrenar_research.store.logged.following import News, Point
from entrenar_research.views.terminal.listing import STATUSES
from entrenar_research.views.terminal.record import STYLES, drawn, number
from entrenar_research.views.terminal.screen import Screen, counted, seconds
from entrenar_research.views.terminal.tables import flat
from entrenar_research.views.terminal.widths import cut, width

_KEPT = 4000
_RATE_NS = 30_000_000_000
_CHROME = 4


class Watch:
    """Shows what is new of a run, as it comes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._series: dict[str, deque[Point]] = {}
        self._counts: dict[str, int] = {}
        self._left: tuple[float, float] | None = None
        self._warnings: list[str] = []
        self._height = 0
        self._first = True

    def show(self, news: News) -> None:
        """Shows it; the first time in short, for the points may be very many."""
        for point in news.points:
            self._series.setdefault(point.key, deque(maxlen=_KEPT)).append(point)
            self._counts[point.key] = self._counts.get(point.key, 0) + 1
        for note in news.notes:
            if note.get("kind") == "eta" and isinstance(note.get("predicted"), int | float):
                self._left = float(note["predicted"]), time.time()
            if note.get("kind") == "warning":
                self._warnings.append(str(note.get("text")))
        if self._screen.lively:
            self._redraw(news)
        elif self._first:
            self._begin(news)
        else:
            self._continue(news)
        self._first = False

    def end(self, news: News) -> None:
        """The last words: how it ended."""
        record = news.record
        took = "" if record.duration is None else f" after {seconds(record.duration)}"
        self._screen.line(f"{record.id} {news.status}{took}", STYLES.get(news.status))
        if record.failure and news.status == "failed":
            self._screen.line(record.failure, "bad")
        if news.status == "lost":
            self._screen.line("hint: `entrenar-research runs recover` seals what it has logged", "quiet")

    # --- lines

    def _begin(self, news: News) -> None:
        self._screen.line(f"{news.record.id} {news.status}, started {news.record.started}")
        for key, points in sorted(self._series.items()):
            last = points[-1]
            so_far = counted(self._counts[key], "point")
            self._screen.line(f"{_moment(last.time)}  step {last.step}  {key} {number(last.value)}  ({so_far} so far)")
        for words in self._warnings:
            self._screen.line(f"warning: {words}")

    def _continue(self, news: News) -> None:
        for point in news.points:
            self._screen.line(f"{_moment(point.time)}  step {point.step}  {point.key} {number(point.value)}")
        for note in news.notes:
            if note.get("kind") == "warning":
                self._screen.line(f"warning: {note.get('text')}")

    # --- a block

    def _redraw(self, news: News) -> None:
        size = os.get_terminal_size(self._screen.stream.fileno())
        lines = [cut(line, size.columns - 1) for line in self._block(news, size.lines - _CHROME)]
        over = f"\x1b[{self._height}F\x1b[J" if self._height else ""
        self._screen.stream.write(over + "".join(f"{line}\n" for line in lines))
        self._screen.stream.flush()
        self._height = len(lines)

    def _block(self, news: News, room: int) -> list[str]:
        record = news.record
        lines = [flat(f"{record.experiment}  {record.id}  {STATUSES.get(news.status, (news.status,))[0]}")]
        keys = sorted(self._series)
        names = {key: flat(key) for key in keys}
        margin = max((width(name) for name in names.values()), default=0)
        shown = keys[: max(1, room - len(self._warnings[-2:]))]
        for key in shown:
            points = self._series[key]
            curve = drawn(self._screen, ([point.step for point in points], [point.value for point in points]))
            padding = " " * (margin - width(names[key]))
            last = points[-1]
            lines.append(f"  {names[key]}{padding}  {curve}  {number(last.value)}  step {last.step}".rstrip())
        if len(keys) > len(shown):
            lines.append(f"  and {len(keys) - len(shown)} metrics more")
        lines += [flat(f"  warning: {words}") for words in self._warnings[-2:]]
        lines.append(f"  {'  '.join(self._pace(record))}")
        return lines

    def _pace(self, record: RunRecord) -> list[str]:
        words = [counted(sum(self._counts.values()), "point")]
        rate = self._rate()
        if rate is not None:
            words.append(f"{rate:.3g} steps/s")
        if self._left is not None:
            predicted, when = self._left
            words.append(f"about {seconds(max(0.0, predicted - (time.time() - when)))} left")
        started = _parsed(record.started)
        if started is not None and record.duration is None:
            words.append(f"{seconds(max(0.0, time.time() - started))} so far")
        return words

    def _rate(self) -> float | None:
        """Steps a second of the metric that goes on fastest, over the last half minute."""
        rates = [rate for points in self._series.values() if (rate := _slope(points)) is not None]
        return max(rates, default=None)


def _slope(points: Sequence[Point]) -> float | None:
    last = points[-1]
    first = next(point for point in points if last.time - point.time <= _RATE_NS)
    elapsed = (last.time - first.time) / 1e9
    return (last.step - first.step) / elapsed if elapsed > 0 and last.step > first.step else None


def _moment(time_ns: int) -> str:
    moment = datetime.datetime.fromtimestamp(time_ns / 1e9, datetime.UTC)
    return f"{moment.isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"


def _parsed(text: str) -> float | None:
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
