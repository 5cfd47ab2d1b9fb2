"""The lineage as one SVG file that needs nothing else: a column for each Lamport time, a box for each run.

Names come from other people's files: everything written is escaped, and what XML 1.0 cannot hold is made visible.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterator, Sequence

import msgspec

from entrenar_research.actions.runs.lineage import Family
from entrenar_research.core.lineage.layers import Key, Layout, layout
from entrenar_research.models.tracking import Parent, Relationship
from entrenar_research.views.lineage_words import FROM, KINDS, clean
from entrenar_research.views.terminal.screen import width

_LETTER = 7.25
"""The width of a letter of the monospaced 12 px font, with some room for fonts that are wider."""
_BOX, _PITCH, _GAP = 44.0, 68.0, 110.0
_MARGIN, _AXIS, _LEGEND = 24.0, 34.0, 22.0
_NARROWEST, _WIDEST = 18, 44
_SPREAD = 9.0
_ROLE, _ROLE_LETTER = 14, 6.1
_LINES: dict[Relationship, tuple[str, str]] = {
    "fine_tuned_from": ("#0072b2", ""),
    "distilled_from": ("#d55e00", "7 4"),
    "ensemble_member": ("#009e73", "2 4"),
    "hyperparameter_search": ("#9c5a8e", "9 3 2 3"),
    "data_augmentation": ("#7a6a00", "4 2"),
    "initialization": ("#333333", "12 4"),
}
"""Colours that are told apart by everybody (Okabe and Ito, 2008), and dashes besides."""
_STATUS = {"completed": "#2e7d32", "failed": "#b3261e", "lost": "#c77700", "cancelled": "#8a6d00", "running": "#1565c0"}
_STYLE = (
    "text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace}"
    ".quiet{font-size:11px;fill:#555}.axis{font:11px sans-serif;fill:#777}.legend{font:12px sans-serif}"
    ".role{font-size:10px}"
    ".line{fill:none;stroke-width:1.6}"
)


class _Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """Where things are, in pixels: the left edge of each layer and the width of its boxes."""

    family: Family
    layout: Layout
    lefts: tuple[float, ...]
    widths: tuple[float, ...]
    layer_of: dict[str, int]
    chosen: str | None

    def middle(self, key: Key) -> float:
        return _MARGIN + _AXIS + self.layout.heights[key] * _PITCH + _BOX / 2


def draw(family: Family, chosen: str | None = None) -> str:
    """The SVG document of a family; the box of `chosen` has a thick border."""
    drawing = _measured(family, chosen)
    used = {link.relationship for links in family.dag.links.values() for link in links}
    kinds = [kind for kind in FROM if kind in used]
    bottom = _MARGIN + _AXIS + max(drawing.layout.rows, 1) * _PITCH
    high = bottom + (_LEGEND * len(kinds) + _MARGIN if kinds else 0)
    wide = max(drawing.lefts[-1] + drawing.widths[-1] + _MARGIN, 340) if drawing.lefts else 340
    count = len(family.dag.links)
    size = f'width="{wide:.0f}" height="{high:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {wide:.0f} {high:.0f}" role="img">',
        f"<title>Lineage of {count} run{'' if count == 1 else 's'}</title>",
        f"<style>{_STYLE}</style>",
        "<defs>" + "".join(_arrow(kind) for kind in kinds) + "</defs>",
        f'<rect {size} fill="#fff"/>',
        *_axis(drawing),
        *_links(drawing),
        *(_box(drawing, run) for layer in drawing.layout.layers for run in layer),
        *_legend(kinds, bottom + _MARGIN / 2),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _measured(family: Family, chosen: str | None) -> _Drawing:
    placed = layout(family.dag)
    widths = []
    for layer in placed.layers:
        longest = max((width(line) for run in layer for line in _said(family, run)), default=0)
        widths.append(min(max(longest, _NARROWEST), _WIDEST) * _LETTER + 26)
    lefts = [_MARGIN]
    for box in widths[:-1]:
        lefts.append(lefts[-1] + box + _GAP)
    layer_of = {run: index for index, layer in enumerate(placed.layers) for run in layer}
    return _Drawing(
        family=family,
        layout=placed,
        lefts=tuple(lefts[: len(widths)]),
        widths=tuple(widths),
        layer_of=layer_of,
        chosen=chosen,
    )


def _said(family: Family, run: str) -> tuple[str, str]:
    """The two lines in the box of a run."""
    member = family.members.get(run)
    if member is None:
        return family.names[run], "not in this study"
    started = member.started[:16].replace("T", " ")
    return family.names[run], f"{member.status}  {started}".rstrip()


def _box(drawing: _Drawing, run: str) -> str:
    member = drawing.family.members.get(run)
    layer = drawing.layer_of[run]
    left, top = drawing.lefts[layer], drawing.middle(run) - _BOX / 2
    title, below = (_text(_shortened(line)) for line in _said(drawing.family, run))
    colour = _STATUS.get(member.status, "#555555") if member else "#999999"
    border = 'stroke="#1a1a1a" stroke-width="2.4"' if run == drawing.chosen else 'stroke="#9a9a9a"'
    dashes = "" if member else ' stroke-dasharray="5 4"'
    return (
        f"<g><title>{_text(run)}</title>"
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{drawing.widths[layer]:.1f}" height="{_BOX:.0f}" rx="5" '
        f'fill="#fbfbfb" {border}{dashes}/>'
        f'<rect x="{left + 6:.1f}" y="{top + 7:.1f}" width="4" height="{_BOX - 14:.0f}" rx="2" fill="{colour}"/>'
        f'<text x="{left + 17:.1f}" y="{top + 18:.1f}">{title}</text>'
        f'<text class="quiet" x="{left + 17:.1f}" y="{top + 35:.1f}">{below}</text></g>'
    )


def _axis(drawing: _Drawing) -> Iterator[str]:
    for index, layer in enumerate(drawing.layout.layers):
        time = drawing.family.dag.times.get(layer[0])
        words = "in a cycle" if time is None else f"Lamport time {time}"
        yield f'<text class="axis" x="{drawing.lefts[index]:.1f}" y="{_MARGIN + 6:.1f}">{words}</text>'


def _links(drawing: _Drawing) -> Iterator[str]:
    """Every line, then every role above all lines. Ends lie in the order in which their lines come and go."""
    dag, heights, bends = drawing.family.dag, drawing.layout.heights, drawing.layout.bends
    leaving: dict[str, list[tuple[float, str, int]]] = {run: [] for run in dag.links}
    arriving: dict[str, list[tuple[float, int]]] = {run: [] for run in dag.links}
    for child, links in dag.links.items():
        for number, link in enumerate(links):
            between = bends[link.run, child]
            leaving[link.run].append((heights[between[0] if between else child], child, number))
            arriving[child].append((heights[between[-1] if between else link.run], number))
    for run in dag.links:
        leaving[run].sort()
        arriving[run].sort()
    roles = []
    for child, links in dag.links.items():
        for place, (_, number) in enumerate(arriving[child]):
            link = links[number]
            first = bends[link.run, child][:1] or (child,)
            start = leaving[link.run].index((heights[first[0]], child, number))
            points = _points(drawing, link, child, _spread(start, len(leaving[link.run])), _spread(place, len(links)))
            yield _line(link, points)
            if link.role:
                roles.append(_role(link.role, _LINES[link.relationship][0], points))
    yield from roles


def _line(link: Parent, points: Sequence[tuple[float, float]]) -> str:
    colour, dashes = _LINES[link.relationship]
    pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<path class="line" d="{_curve(points)}" stroke="{colour}"{pattern} marker-end="url(#{link.relationship})"/>'
    )


def _role(role: str, colour: str, points: Sequence[tuple[float, float]]) -> str:
    """The part of a parent, in the middle of the last stretch of its line."""
    (x0, y0), (x1, y1) = points[-2:]
    words = _shortened(role, _ROLE)
    room = width(words) * _ROLE_LETTER + 6
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return (
        f'<rect x="{x - room / 2:.1f}" y="{y - 7:.1f}" width="{room:.1f}" height="14" rx="3" fill="#fff"/>'
        f'<text class="role" x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" fill="{colour}">{_text(words)}</text>'
    )


def _spread(place: int, count: int) -> float:
    """How far from the middle the line number `place` of `count` ends."""
    return (place - (count - 1) / 2) * min(_SPREAD, (_BOX - 12) / max(count - 1, 1))


def _points(drawing: _Drawing, link: Parent, child: str, start: float, end: float) -> list[tuple[float, float]]:
    """From the right edge of the parent's box, straight through each layer that is passed, to the child's left edge."""
    source, target = drawing.layer_of[link.run], drawing.layer_of[child]
    points = [(drawing.lefts[source] + drawing.widths[source], drawing.middle(link.run) + start)]
    for bend in drawing.layout.bends[link.run, child]:
        left = drawing.lefts[bend[2]]
        points += [(left, drawing.middle(bend)), (left + drawing.widths[bend[2]], drawing.middle(bend))]
    return [*points, (drawing.lefts[target] - 2, drawing.middle(child) + end)]


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A path that is level at every point."""
    path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        half = max(abs(x1 - x0) / 2, _GAP / 2)
        path += f"C{x0 + half:.1f} {y0:.1f} {x1 - half:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
    return path


def _arrow(kind: Relationship) -> str:
    return (
        f'<marker id="{kind}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 1L10 5L0 9z" fill="{_LINES[kind][0]}"/></marker>'
    )


def _legend(kinds: Sequence[Relationship], top: float) -> Iterator[str]:
    for number, kind in enumerate(kinds):
        y = top + _LEGEND * number
        colour, dashes = _LINES[kind]
        pattern = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield (
            f'<path class="line" d="M{_MARGIN} {y:.1f}h44" stroke="{colour}"{pattern} marker-end="url(#{kind})"/>'
            f'<text class="legend" x="{_MARGIN + 54:.1f}" y="{y + 4:.1f}">{KINDS[kind]}</text>'
        )


def _shortened(text: str, room: int = _WIDEST) -> str:
    """The text without its middle where it is too long for a box."""
    if width(text) <= room:
        return text
    half = room // 2 - 1
    while width(text[:half]) + width(text[-half:]) > room - 1:
        half -= 1
    return f"{text[:half]}…{text[-half:]}"


def _text(text: str) -> str:
    return html.escape(clean(text))
