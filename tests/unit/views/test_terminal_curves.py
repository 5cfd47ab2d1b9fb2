from __future__ import annotations

import io
import math
import re

import pytest

from entrenar_research.core.tracking.curves import Curve
from entrenar_research.views.terminal import curves as view
from entrenar_research.views.terminal.screen import Screen


class Terminal(io.StringIO):
    """A terminal that shows colour."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def curve(*ys: float, run: str = "a") -> Curve:
    return Curve(run=run, metric="loss", xs=list(range(len(ys))), ys=list(ys))


def drawn(stream: io.StringIO, *curves: Curve, log: bool = False) -> list[str]:
    view.draw(Screen(stream), "loss", curves, [item.run for item in curves], across="step", log=log)
    return stream.getvalue().splitlines()


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_in_a_pipe_a_curve_is_a_line_of_blocks() -> None:
    lines = drawn(io.StringIO(), curve(*range(32), run="up"), curve(*range(31, -1, -1), run="down"))
    assert lines == [
        "loss",
        "  up    ▁▁▁▁▂▂▂▂▃▃▃▃▄▄▄▄▅▅▅▅▆▆▆▆▇▇▇▇████  0 -> 31",
        "  down  ████▇▇▇▇▆▆▆▆▅▅▅▅▄▄▄▄▃▃▃▃▂▂▂▂▁▁▁▁  31 -> 0",
    ]


def test_gaps_and_special_values() -> None:
    lines = drawn(io.StringIO(), curve(*[math.nan] * 16, *[1.0] * 15, math.inf), curve(0.0, run="b"))
    assert lines[1] == f"  a  {' ' * 16}{'█' * 15}   NaN -> inf"
    assert lines[2] == f"  b  ▁{' ' * 31}  0 -> 0"
    assert "no value is a finite number" in drawn(io.StringIO(), curve(math.nan))[1]
    assert "finite and above zero" in drawn(io.StringIO(), curve(-1.0, 0.0), log=True)[1]


def test_on_a_terminal_curves_lie_over_each_other() -> None:
    lines = drawn(Terminal(), curve(*range(100), run="up"), curve(*range(99, -1, -1), run="down"))
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    chart = plain[1:11]
    assert chart[0].startswith("  99┤")
    assert chart[-1].startswith("   0┤")
    assert all(len(line) <= 60 for line in plain)
    dots = [{index for index, letter in enumerate(line) if "\u2801" <= letter <= "\u28ff"} for line in chart]
    assert all(dots)
    assert min(dots[0]) == min(dots[-1]) == 5  # both ends of both curves are at the left...
    assert max(dots[0]) == max(dots[-1])  # ...and at the right
    assert "\x1b[36m" in "".join(lines)
    assert "\x1b[33m" in "".join(lines)
    assert plain[12].split() == ["0", "step", "99"]
    assert plain[13].split() == ["━━", "up", "━━", "down"]


def test_one_point_and_flat_curves() -> None:
    for ys in ([5.0], [5.0, 5.0], [1e308, -1e308]):
        assert sum("\u2801" <= letter <= "\u28ff" for line in drawn(Terminal(), curve(*ys)) for letter in line) >= 1


def test_without_unicode_there_are_other_blocks() -> None:
    class Old(io.StringIO):
        encoding = "ascii"

    lines = drawn(Old(), curve(*range(32)))
    assert lines[1].isascii()
    assert lines[1].split()[1][0] == "_"
    assert lines[1].split()[1][-1] == "#"


def test_a_name_cannot_command_the_terminal() -> None:
    stream = io.StringIO()
    view.draw(Screen(stream), "lo\x1b[2Jss\n", [curve(1.0)], ["na\x1bme\n"], across="step", log=False)
    assert "\x1b" not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2
