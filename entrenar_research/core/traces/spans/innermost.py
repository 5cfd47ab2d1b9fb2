"""How much of some stretches of time lies in which span: in the innermost one at each moment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from entrenar_research.models.documented import DocumentedSpan

Stretch = tuple[int, int, int]


def innermost(spans: Sequence[DocumentedSpan], stretches: Sequence[Stretch]) -> dict[str, int]:
    """Nanoseconds by span name; `stretches` are (process, began, ended), in order and free of overlaps.

    Of the spans that a process has open, the innermost is the one that began last.
    """
    found: defaultdict[str, int] = defaultdict(int)
    for process in sorted({span.process for span in spans}):
        own = [(began, ended) for number, began, ended in stretches if number == process]
        pieces = _pieces([span for span in spans if span.process == process])
        place = 0
        for began, ended, name in pieces:
            while place < len(own) and own[place][1] <= began:
                place += 1
            index = place
            while index < len(own) and own[index][0] < ended:
                found[name] += min(ended, own[index][1]) - max(began, own[index][0])
                index += 1
    return dict(sorted(found.items()))


def _pieces(spans: Sequence[DocumentedSpan]) -> list[tuple[int, int, str]]:
    """The spans of one process as disjoint pieces (from, to, name), in order. One that never ended is left out."""
    whole = sorted(
        (span for span in spans if span.ended is not None), key=lambda span: (span.began, -(span.ended or 0))
    )
    pieces: list[tuple[int, int, str]] = []
    opened: list[DocumentedSpan] = []
    at = 0
    for span in whole:
        at = _close(opened, pieces, at, span.began)
        opened.append(span)
    if whole:
        _close(opened, pieces, at, max(span.ended or 0 for span in whole))
    return pieces


def _close(opened: list[DocumentedSpan], pieces: list[tuple[int, int, str]], at: int, until: int) -> int:
    """Goes on to `until` and ends what has ended by then; the new place."""
    while opened and at < until:
        top = opened[-1]
        ended = top.ended or 0
        if ended > at:
            stop = min(ended, until)
            pieces.append((max(at, top.began), stop, top.name))
            at = stop
        if ended <= at:
            opened.pop()
    return until
