"""Tables, lines and progress: rules and colour on a terminal, plain text in a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence

from entrenar_research.views.terminal.widths import visible, width

TYPE_CHECKING = False
if TYPE_CHECKING:  # `runs list` imports this module, and is quick
    from typing import Any, TextIO

__all__ = ["STYLES", "Screen", "counted", "seconds", "size", "visible", "width"]

STYLES = {
    "good": "green",
    "bad": "bold red",
    "doubt": "yellow",
    "quiet": "dim",
    "strong": "bold",
}
_NARROW = 80


class Screen:
    """Where a command draws. `lively` is true on a terminal that may show colour and movement."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        dumb = os.environ.get("TERM") == "dumb"
        self.terminal = self.stream.isatty() and not dumb
        self.lively = self.terminal and not os.environ.get("NO_COLOR")
        self._bar: Any = None

    def _console(self) -> Any:
        from rich.console import Console  # costs 60 ms, needed only on a terminal

        colours: Any = "auto" if self.lively else None
        return Console(file=self.stream, color_system=colours, highlight=False, markup=False, emoji=False)

    def line(self, text: str = "", style: str | None = None) -> None:
        """One line of text; `style` is one of good, bad, doubt, quiet, strong."""
        text = visible(text)
        if self.lively and style is not None:
            self._console().print(text, style=STYLES[style], soft_wrap=True)
        else:
            self.stream.write(f"{text}\n")
            self.stream.flush()

    def json(self, value: Any) -> None:
        """A value as one line of JSON."""
        import msgspec  # costs 15 ms

        self.stream.write(msgspec.json.encode(value).decode() + "\n")
        self.stream.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None,
              styles: Sequence[str | None] = (), styled: int = 0, right: Sequence[int] = ()) -> None:  # fmt: skip
        """A table. `styles` has one style a row, for its column `styled`; `right` are the columns of numbers.

        A terminal too narrow for it gets the last column below the others.
        """
        cells = [[visible(cell) for cell in row] for row in rows]
        if title:
            self.line(title, "strong")
        if not self.terminal:
            self._write_aligned([list(columns), *cells], right)
            return
        console = self._console()
        natural = sum(_widths([list(columns), *cells])) + 2 * len(columns)
        looks = [STYLES[style] if style else "" for style in (*styles, *([None] * (len(rows) - len(styles))))]
        if console.width < min(natural, _NARROW):
            _print_stacked(console, cells, looks, styled)
        else:
            _print_table(console, columns, cells, looks, styled, right)

    def fields(self, rows: Sequence[Sequence[str]]) -> None:
        """Names and values, one pair a line."""
        cells = [[visible(cell) for cell in row] for row in rows]
        if not self.terminal:
            self._write_aligned(cells, ())
            return
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in cells:
            table.add_row(Text(name, style=STYLES["quiet"]), Text(value))
        self._console().print(table)

    def _write_aligned(self, lines: Sequence[Sequence[str]], right: Sequence[int]) -> None:
        widths = _widths(lines)
        for line in lines:
            cells = []
            for index, cell in enumerate(line):
                padding = " " * (widths[index] - width(cell))
                cells.append(padding + cell if index in right else cell + padding)
            self.stream.write("  ".join(cells).rstrip() + "\n")
        self.stream.flush()

    @contextlib.contextmanager
    def progress(self, description: str) -> Iterator[Callable[[int, int], None]]:
        """A progress bar on a lively terminal, nothing elsewhere; yields `update(done, total)`."""
        if not self.lively:
            yield lambda done, total: None
            return
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=self._console(), transient=True,
        )  # fmt: skip
        with bar:
            task = bar.add_task(description, total=None)
            self._bar = bar
            try:
                yield lambda done, total: bar.update(task, completed=done, total=total)
            finally:
                self._bar = None

    @contextlib.contextmanager
    def redrawn(self) -> Iterator[Callable[[Callable[[int, int], Sequence[tuple[str, str | None]]]], None]]:
        """Lines on a lively terminal that are drawn over and over, and go at the end.

        Yields `show(draw)`; `draw` is given columns and rows, and makes the lines with their styles.
        """
        from rich.live import Live  # costs 60 ms, needed only on a terminal
        from rich.text import Text

        console = self._console()
        with Live(console=console, transient=True, auto_refresh=False) as display:

            def show(draw: Callable[[int, int], Sequence[tuple[str, str | None]]]) -> None:
                lines = [Text(line, STYLES.get(style or "", "")) for line, style in draw(console.width, console.height)]
                display.update(Text("\n").join(lines), refresh=True)

            yield show

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Takes the progress bar away while a person is asked something."""
        if self._bar is None:
            yield
            return
        self._bar.stop()
        try:
            yield
        finally:
            self._bar.start()


def _print_table(
    console: Any, columns: Sequence[str], rows: Sequence[Sequence[str]], looks: Sequence[str], styled: int,
    right: Sequence[int],
) -> None:  # fmt: skip
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, padding=(0, 1), show_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index in right else "left", overflow="fold")
    for row, look in zip(rows, looks, strict=True):
        table.add_row(*(Text(cell, style=look if index == styled else "") for index, cell in enumerate(row)))
    console.print(table)


def _print_stacked(console: Any, rows: Sequence[Sequence[str]], looks: Sequence[str], styled: int) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for row, look in zip(rows, looks, strict=True):
        parts = [Text(cell, style=look if index == styled else "") for index, cell in enumerate(row)]
        console.print(Text("  ").join(part for part in parts[:-1] if part.plain), overflow="fold")
        if parts[-1].plain:
            console.print(Padding(parts[-1], (0, 0, 0, 2)), overflow="fold")


def _widths(lines: Sequence[Sequence[str]]) -> list[int]:
    return [max(width(cell) for cell in column) for column in zip(*lines, strict=True)]


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 file`, `2 files`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def size(count: int) -> str:
    """A number of bytes for people: `12.3 MiB`."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    raise AssertionError


def seconds(value: float) -> str:
    """A duration for people: `0.42 s`, `3 min 07 s`, `2 h 05 min`."""
    if value < 60:
        return f"{value:.2f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
