"""Tables, lines and progress: boxes and colour on a terminal, plain text in a pipe."""

from __future__ import annotations

import contextlib
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

STYLES = {
    "good": "green",
    "bad": "bold red",
    "doubt": "yellow",
    "quiet": "dim",
    "strong": "bold",
}


class Screen:
    """Where a command draws. `lively` is true on a terminal that may show colour and movement."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.terminal = self.stream.isatty()
        plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
        self.lively = self.terminal and not plain

    def _console(self) -> Any:
        from rich.console import Console  # costs 60 ms, needed only on a terminal

        colours: Any = "auto" if self.lively else None
        return Console(file=self.stream, color_system=colours, highlight=False, markup=False, soft_wrap=False)

    def line(self, text: str = "", style: str | None = None) -> None:
        """One line of text; `style` is one of good, bad, doubt, quiet, strong."""
        if self.lively and style is not None:
            self._console().print(text, style=STYLES[style], soft_wrap=True)
        else:
            self.stream.write(f"{text}\n")
            self.stream.flush()

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, title: str | None = None,
              styles: Sequence[str | None] = (), right: Sequence[int] = ()) -> None:  # fmt: skip
        """A table; `styles` has one style a row, `right` the columns of numbers."""
        if not self.terminal:
            self._plain_table(columns, rows, title, right)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
        for index, column in enumerate(columns):
            table.add_column(column, justify="right" if index in right else "left", overflow="fold")
        for index, row in enumerate(rows):
            style = styles[index] if index < len(styles) else None
            table.add_row(*(Text(cell) for cell in row), style=STYLES[style] if style else None)
        self._console().print(table)

    def _plain_table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None, right: Sequence[int]
    ) -> None:
        if title:
            self.stream.write(f"{title}\n")
        lines = [list(columns), *(list(row) for row in rows)]
        widths = [max(width(line[index]) for line in lines) for index in range(len(columns))]
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
            yield lambda done, total: bar.update(task, completed=done, total=total)


def width(text: str) -> int:
    """The columns that a text takes on a terminal: wide characters two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


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
