"""The lineage on a terminal: a row for each run, children above parents, rails between them as `git log` has."""

from __future__ import annotations

from collections.abc import Iterator

from entrenar_research.actions.runs.lineage import Family
from entrenar_research.core.lineage import rails
from entrenar_research.core.lineage.rails import PLAIN, Row
from entrenar_research.views.lineage_words import clean, origin
from entrenar_research.views.terminal.screen import Screen, width

Line = tuple[str, str | None]
_ALIGNED = 24
"""Up to so many columns of rails, all runs stand below each other; with more, each close to its own rails."""


def lines(family: Family, chosen: str | None = None) -> Iterator[Line]:
    """The drawing line by line, each with its style: the run in bold is `chosen`."""
    rows = rails.rows(family.dag, chosen)
    widest = max((width(line) for row in rows for line in (row.line, row.joint or "")), default=0)
    for row in rows:
        yield from _block(family, row, chosen, widest if widest <= _ALIGNED else 0)


def draw(screen: Screen, family: Family, chosen: str | None = None) -> None:
    """Draws a family; with ASCII rails where the terminal has nothing else."""
    for text, style in lines(family, chosen):
        screen.line(text if _shows(screen, text) else text.translate(PLAIN), style)


def _block(family: Family, row: Row, chosen: str | None, widest: int) -> Iterator[Line]:
    """A run, and below it what it comes from: a line for each parent, beside the rails that lead there."""
    said = [origin(family, link) for link in family.parents(row.run)]
    said += [f"a cycle: {clean(family.names[run])} is above" for run in row.above]
    left = [row.line] + ([row.joint] if row.joint is not None else [])
    left += [row.rail] * (1 + len(said) - len(left))
    room = max(widest, *map(width, left)) + 2
    yield f"{left[0]}{' ' * (room - width(left[0]))}{_title(family, row.run)}", "strong" if row.run == chosen else None
    for rail, words in zip(left[1:], said + [""] * (len(left) - 1 - len(said)), strict=True):
        yield f"{rail}{' ' * (room - width(rail))}  {words}".rstrip(), "quiet"


def _title(family: Family, run: str) -> str:
    member = family.members.get(run)
    time = family.dag.times.get(run)
    words = [clean(run), member.status if member else "not in this study"]
    return "  ".join([*words, "in a cycle" if time is None else f"Lamport time {time}"])


def _shows(screen: Screen, text: str) -> bool:
    try:
        text.encode(getattr(screen.stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return False
    return True
