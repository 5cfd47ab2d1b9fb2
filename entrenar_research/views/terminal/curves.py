"""Curves in the terminal: a chart of Braille dots in colour, or one line of blocks for each curve."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence

from entrenar_research.core.tracking.curves import Curve, thinned
from entrenar_research.views.terminal.screen import Screen
from entrenar_research.views.terminal.tables import flat
from entrenar_research.views.terminal.widths import width

_COLOURS = ("\x1b[36m", "\x1b[33m", "\x1b[35m", "\x1b[32m", "\x1b[34m", "\x1b[31m")
_SEVERAL = "\x1b[1m"
_PLAIN = "\x1b[0m"
# The bits of the eight dots of a Braille pattern, two columns of four (Unicode, block U+2800).
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BLOCKS = "▁▂▃▄▅▆▇█"
_TYPED = "_.-=+*%#"
_SPARKS = 32
_HEIGHT = 10
_WIDEST = 100
_LEAST = 24

Points = tuple[Sequence[float], Sequence[float]]


def draw(screen: Screen, title: str, curves: Sequence[Curve], names: Sequence[str], *, across: str, log: bool) -> None:
    """Curves of one metric over each other on a terminal that shows colour, below each other elsewhere.

    `names` are those of the curves, `across` is what the x axis shows; with `log` the y axis is logarithmic.
    """
    screen.line(f"{flat(title)} (logarithmic)" if log else flat(title), "strong")
    scaled = [(curve.xs, [_logarithm(y) for y in curve.ys] if log else curve.ys) for curve in curves]
    heights = [y for _, ys in scaled for y in ys if math.isfinite(y)]
    if not heights:
        words = "finite and above zero" if log else "a finite number"
        screen.line(f"  nothing that could be drawn: no value is {words}", "doubt")
        return
    low, high = min(heights), max(heights)
    if not screen.lively or not _unicode(screen):
        _draw_sparks(screen, scaled, names, (low, high), log=log)
        return
    labels = [_label(high, log=log), _label(low, log=log)]
    margin = max(map(len, labels))
    columns = max(min(shutil.get_terminal_size().columns - margin - 4, _WIDEST), _LEAST)
    lines = _chart(scaled, columns, (low, high))
    for index, line in enumerate(lines):
        label = labels[0] if index == 0 else labels[1] if index == len(lines) - 1 else ""
        screen.stream.write(f"  {label:>{margin}}{'┤' if label else '│'}{line}\n")
    first, last = _span(scaled)
    left, right = f"{first:g}", f"{across} {last:g}"
    screen.stream.write(f"  {'':>{margin}}└{'─' * columns}\n")
    screen.stream.write(f"  {'':>{margin}} {left}{right:>{columns - len(left)}}\n")
    for line in _legend(names, columns):
        screen.stream.write(f"  {'':>{margin}} {line}\n")
    screen.stream.flush()


def _legend(names: Sequence[str], columns: int) -> list[str]:
    """The names with their colours, as many on a line as there is room for."""
    lines, used = [""], 0
    for index, name in enumerate(map(flat, names)):
        if used and used + width(name) + 3 > columns:
            lines, used = [*lines, ""], 0
        lines[-1] += f"{'   ' if used else ''}{_COLOURS[index % len(_COLOURS)]}━━{_PLAIN} {name}"
        used += width(name) + 6
    return lines


def _unicode(screen: Screen) -> bool:
    return (getattr(screen.stream, "encoding", None) or "utf-8").lower().replace("-", "") == "utf8"


def _logarithm(y: float) -> float:
    return math.log10(y) if 0 < y < math.inf else math.nan


def _label(y: float, *, log: bool) -> str:
    return f"{10**y:.4g}" if log else f"{y:.4g}"


def _span(curves: Sequence[Points]) -> tuple[float, float]:
    ends = [x for xs, _ in curves if len(xs) for x in (xs[0], xs[-1])]
    return min(ends), max(ends)


def _draw_sparks(
    screen: Screen, curves: Sequence[Points], names: Sequence[str], bounds: tuple[float, float], *, log: bool
) -> None:
    shown = [flat(name) for name in names]
    margin = max(map(width, shown))
    for name, (xs, ys) in zip(shown, curves, strict=True):
        text = sparkline(xs, ys, bounds, _span(curves), blocks=_BLOCKS if _unicode(screen) else _TYPED)
        ends = f"{_ended(ys, 0, log=log)} -> {_ended(ys, -1, log=log)}" if len(ys) else "no points"
        screen.line(f"  {name}{' ' * (margin - width(name))}  {text}  {ends}".rstrip())


def _ended(ys: Sequence[float], at: int, *, log: bool) -> str:
    return _label(ys[at], log=log) if math.isfinite(ys[at]) else "NaN" if math.isnan(ys[at]) else f"{ys[at]:g}"


def sparkline(
    xs: Sequence[float], ys: Sequence[float], bounds: tuple[float, float], span: tuple[float, float],
    blocks: str = _BLOCKS,
) -> str:  # fmt: skip
    """A curve in one line: the mean of the finite values in each part of `span`, a blank where there is none."""
    first, last = span
    parts: list[list[float]] = [[] for _ in range(_SPARKS)]
    for x, y in zip(xs, ys, strict=True):
        if math.isfinite(y):
            parts[_place(x, first, last, _SPARKS)].append(y)
    means = [math.fsum(part) / len(part) if part else None for part in parts]
    return "".join(" " if mean is None else blocks[_place(mean, *bounds, len(blocks))] for mean in means)


def _place(value: float, low: float, high: float, count: int) -> int:
    """In which of `count` equal parts of the interval a value lies; in the middle one if the interval is a point."""
    if high <= low:
        return count // 2
    share = (value / 2 - low / 2) / (high / 2 - low / 2)  # halves: the difference of two large numbers may overflow
    return min(int(share * count), count - 1)


def _chart(curves: Sequence[Points], columns: int, bounds: tuple[float, float]) -> list[str]:
    dots: dict[tuple[int, int], int] = {}
    owners: dict[tuple[int, int], set[int]] = {}
    first, last = _span(curves)
    for owner, (xs, ys) in enumerate(curves):
        before: tuple[int, int] | None = None
        for x, y in zip(*thinned(xs, ys, 2 * columns), strict=True) if len(xs) else ():
            if not math.isfinite(y):
                before = None
                continue
            here = _place(x, first, last, 2 * columns), 4 * _HEIGHT - 1 - _place(y, *bounds, 4 * _HEIGHT)
            for across, down in _line(before or here, here):
                cell = across // 2, down // 4
                dots[cell] = dots.get(cell, 0) | _DOTS[across % 2][down % 4]
                owners.setdefault(cell, set()).add(owner)
            before = here
    return ["".join(_cell(dots, owners, (x, y)) for x in range(columns)) for y in range(_HEIGHT)]


def _cell(dots: dict[tuple[int, int], int], owners: dict[tuple[int, int], set[int]], place: tuple[int, int]) -> str:
    if place not in dots:
        return " "
    several = len(owners[place]) > 1
    colour = _SEVERAL if several else _COLOURS[next(iter(owners[place])) % len(_COLOURS)]
    return f"{colour}{chr(0x2800 + dots[place])}{_PLAIN}"


def _line(one: tuple[int, int], other: tuple[int, int]) -> list[tuple[int, int]]:
    """The dots from one to the other."""
    steps = max(abs(other[0] - one[0]), abs(other[1] - one[1])) or 1
    return [
        (one[0] + round((other[0] - one[0]) * at / steps), one[1] + round((other[1] - one[1]) * at / steps))
        for at in range(steps + 1)
    ]
