from __future__ import annotations

import html.parser
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Any

import pytest

from entrenar_research.core.tracking.curves import Curve, Panel
from entrenar_research.models.run import RunRecord
from entrenar_research.views import plot_page, plots

matplotlib = pytest.importorskip("matplotlib")
SVG = "{http://www.w3.org/2000/svg}"
BLUE = "#0072b2"


def panel(*values: Sequence[float], metric: str = "loss", smooth: bool = False) -> Panel:
    curves = tuple(Curve(run=str(at), metric=metric, xs=list(range(len(ys))), ys=ys) for at, ys in enumerate(values))
    names = tuple(f"run{at}, rate={at}" for at in range(len(values)))
    return Panel(metric=metric, names=names, curves=curves, smooth=curves if smooth else ())


def paths(svg: bytes, colour: str) -> list[str]:
    """What the lines of a colour are drawn of, without those of the legend."""
    found = []
    for path in ET.fromstring(svg).iter(f"{SVG}path"):  # noqa: S314 - our own
        if colour in path.get("style", "").lower() and path.get("clip-path"):
            found.append(path.get("d", ""))
    return found


def words(svg: bytes) -> set[str]:
    parts = ET.fromstring(svg).iter(f"{SVG}text")  # noqa: S314 - our own
    return {"".join(text.itertext()).strip() for text in parts}


def test_the_same_curves_give_the_same_bytes() -> None:
    one, other = (plots.svg([panel([1, 2, 3]), panel([4, 5], metric="b")], mark="ours") for _ in range(2))
    assert one == other
    assert b"dc:date" not in one
    assert b"ours" in one[:4096]
    assert plots.png([panel([1, 2])], mark="ours") == plots.png([panel([1, 2])], mark="ours")
    assert b"ours" in plots.png([panel([1, 2])], mark="ours")[:4096]


def test_axes_and_curves_have_names() -> None:
    found = words(plots.svg([panel([1, 2], [2, 1], metric="loss"), panel([1, 2], metric="損失 $x_1$ <b>")], mark="m"))
    assert {"step", "loss", "損失 $x_1$ <b>", "run0, rate=0", "run1, rate=1"} <= found


def test_nan_is_a_gap_and_a_single_point_is_seen() -> None:
    svg = plots.svg([panel([1.0, 2.0, math.nan, 3.0, 4.0, math.inf, 5.0])], mark="m")
    (line,) = [path for path in paths(svg, BLUE) if path]
    assert line.count("M") == 3  # two lines and a point, which has a dot
    assert svg.count(b"<use") > plots.svg([panel([1.0, 2.0, math.nan, 3.0, 4.0])], mark="m").count(b"<use")
    alone = plots.svg([panel([7.0])], mark="m")
    assert b"<use" in alone.partition(b"line2d")[2]


def test_no_spike_of_a_million_points_is_lost() -> None:
    values = [0.0] * 1_000_000
    values[777_777] = 1.0
    svg = plots.svg([panel(values)], mark="m")
    assert len(svg) < 1_000_000
    (line,) = [path for path in paths(svg, BLUE) if path]
    heights = [float(y) for y in re.findall(r"[ML] \S+ (\S+)", line)]
    assert max(heights) - min(heights) > 150  # of some 200 points: from the bottom of the axes to the top


def test_below_zero_there_is_no_logarithm() -> None:
    svg = plots.svg([panel([10.0, 0.0, -1.0, 100.0, 1000.0])], mark="m", log=True)
    assert words(svg) >= {"step", "loss"}


def test_many_curves_have_different_looks_and_a_short_legend() -> None:
    found = words(plots.svg([panel(*[[float(at), at + 1.0] for at in range(14)])], mark="m"))
    assert "run11, rate=11 (and 2 more)" in found
    assert "run13, rate=13" not in found
    svg = plots.svg([panel(*[[float(at), at + 1.0] for at in range(7)])], mark="m")
    lines = re.findall(rb'clip-path="[^"]*" style="([^"]*stroke-width: 1.4[^"]*)"', svg)
    assert len(lines) == len(set(lines)) == 7


def test_points_stay_visible_behind_their_mean() -> None:
    assert len([path for path in paths(plots.svg([panel([1, 2], smooth=True)], mark="m"), BLUE) if path]) == 2


class Page(html.parser.HTMLParser):
    """Collects what a page is made of."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())


def test_the_page_stands_alone_and_takes_names_for_text() -> None:
    given: Any = {"tool": "t", "runner": "script", "experiment": "e", "started": "2026-01-01T00:00:00Z"}
    runs = [
        RunRecord(
            id="0",
            params={"<i>": "<script>alert(1)</script>", "same": 1},
            metrics={"loss": math.nan},
            status="completed",
            **given,
        ),
        RunRecord(id="1", params={"<i>": "b", "same": 1}, status="completed", **given),
    ]
    picture = plots.svg([panel([1, 2], [3, 4], metric="</svg><script>")], mark="m", ink="currentColor")
    text = plot_page.page("<b>a</b> & b", picture, runs, ["loss"], "m").decode()
    page = Page(text)
    assert not [tag for tag, _ in page.tags if tag in ("script", "link", "img", "iframe", "object", "b", "i")]
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name in ("src", "href", "xlink:href"):
                assert (value or "").startswith("#"), (tag, value)
    assert "url(http" not in text
    assert "@import" not in text
    assert "<b>a</b> & b" in page.texts
    assert "<script>alert(1)</script>" in page.texts
    assert "NaN" in page.texts
    assert "same" not in page.texts
    assert "color-scheme: light dark" in text
    assert "currentColor" in text
    assert "#010203" not in text
