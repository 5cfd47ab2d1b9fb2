"""Tables of thousands of rows, drawn quickly: in boxes for a terminal, aligned for a pipe. No library is imported."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from entrenar_research.views.terminal.widths import cut, visible, width

# Corners, crossings and lines: top, middle, bottom; then the vertical line and the ellipsis.
_DRAWN = ("┌─┬┐", "├─┼┤", "└─┴┘", "│", "…")
_TYPED = ("+-++", "+-++", "+-++", "|", "...")
_LEAST = 10
_ALWAYS = 2
_COLOURS = {"good": "\x1b[32m", "bad": "\x1b[1;31m", "doubt": "\x1b[33m", "quiet": "\x1b[2m", "strong": "\x1b[1m"}
_PLAIN = "\x1b[0m"


class Table:
    """Headings and rows of text. `right` are the columns of numbers, `whole` those that are never cut.

    `styles` has a style (`good`, `bad`, `doubt`, `quiet`) or None for each row, for its column `styled`.
    """

    def __init__(
        self, headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = (),
        whole: Collection[int] = (), styles: Sequence[str | None] = (), styled: int = -1,
    ) -> None:  # fmt: skip
        self.headings = [flat(heading) for heading in headings]
        self.rows = [[flat(cell) for cell in row] for row in rows]
        self.right = right
        self.whole = whole
        self.styles = styles
        self.styled = styled

    def aligned(self) -> Iterator[str]:
        """The lines of the table without rules, as wide as it is."""
        widths = self._widths()
        for line in (self.headings, *self.rows):
            cells = [self._cell(index, cell, widths[index]) for index, cell in enumerate(line)]
            yield "  ".join(cells).rstrip()

    def boxed(self, columns: int, *, colour: bool, drawn: bool = True) -> tuple[list[str], list[str]]:
        """The lines of the table in a box no wider than `columns`, and the headings for which there was no room.

        Long cells are cut, then columns left out, from the right; two always stay. Not `drawn`: ASCII only.
        """
        top, middle, bottom, bar, ellipsis = _DRAWN if drawn else _TYPED
        widths = self._fitted(columns)
        shown = len(widths)
        lines = [_rule(top, widths), self._line(self.headings[:shown], widths, bar, ellipsis), _rule(middle, widths)]
        styles = [*self.styles, *([None] * (len(self.rows) - len(self.styles)))]
        for row, style in zip(self.rows, styles, strict=True):
            look = _COLOURS.get(style or "", "") if colour else ""
            lines.append(self._line(row[:shown], widths, bar, ellipsis, look))
        return [*lines, _rule(bottom, widths)], self.headings[shown:]

    def _widths(self) -> list[int]:
        return [max(map(width, column)) for column in zip(self.headings, *self.rows, strict=True)]

    def _fitted(self, columns: int) -> list[int]:
        widths = self._widths()
        while True:
            excess = sum(widths) + 3 * len(widths) + 1 - columns
            while excess > 0:
                cuttable = [index for index in range(len(widths)) if self._may_shrink(index, widths[index])]
                if not cuttable:
                    break
                widest = max(cuttable, key=lambda index: widths[index])
                widths[widest] -= 1
                excess -= 1
            if excess <= 0 or len(widths) <= _ALWAYS:
                return widths
            widths = self._widths()[: len(widths) - 1]

    def _may_shrink(self, index: int, wide: int) -> bool:
        return index not in self.whole and index not in self.right and wide > _LEAST

    def _line(self, cells: Sequence[str], widths: Sequence[int], bar: str, ellipsis: str, look: str = "") -> str:
        parts = []
        for index, (cell, wide) in enumerate(zip(cells, widths, strict=True)):
            text = self._cell(index, cut(cell, wide, ellipsis), wide)
            parts.append(f"{look}{text}{_PLAIN}" if look and index == self.styled else text)
        return f"{bar} {f' {bar} '.join(parts)} {bar}"

    def _cell(self, index: int, text: str, wide: int) -> str:
        padding = " " * (wide - (len(text) if text.isascii() else width(text)))
        return padding + text if index in self.right else text + padding


def flat(text: str) -> str:
    """The text on one line, with what would command the terminal made visible."""
    if text.isprintable():
        return text
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _rule(kind: str, widths: Sequence[int]) -> str:
    left, line, crossing, right = tuple(kind)
    return left + crossing.join(line * (wide + 2) for wide in widths) + right
