"""The lineage as SVG, DOT, JSON and text: whole, escaped, and the same every time."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.actions.runs.lineage import Family, Relative, family
from entrenar_research.models.tracking import Lineage, Parent
from entrenar_research.views import lineage_svg, lineage_words
from entrenar_research.views.terminal import lineage as terminal
from entrenar_research.views.terminal.screen import Screen
from tests.unit.core.test_lineage import graphs

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "a<b>&\"'\\]]>\n\x07\ud800\ufffe学習"


def run(name: str, *parents: Parent, status: str = "completed") -> Relative:
    lineage = Lineage(parents=parents) if parents else None
    return Relative(id=name, experiment="e", status=status, started="2026-11-21T08:00:00.000Z", lineage=lineage)


def from_(name: str, relationship: str = "fine_tuned_from", role: str | None = None) -> Parent:
    return msgspec.convert({"run": name, "relationship": relationship, "role": role}, Parent)


BASE, ORACLE = "20261121T080000000Z-base-aaaa", "20261121T080000001Z-oracle-bbbb"
STUDENT = "20261121T080000002Z-student-cccc"


def students() -> Family:
    return family(
        [
            run(BASE),
            run(ORACLE, from_(BASE)),
            run(STUDENT, from_(ORACLE, "distilled_from", "teacher"), from_(BASE, "initialization"), status="lost"),
            run("20261121T080000003Z-other-dddd"),
        ]
    )


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_text(encoding: str) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    terminal.draw(Screen(stream), students().related(), STUDENT)
    picture = f"""\
●    {STUDENT}  lost  Lamport time 2
├─╮    distilled from oracle-bbbb as teacher
│ │    initialised from base-aaaa
○ │  {ORACLE}  completed  Lamport time 1
╰─┤    fine-tuned from base-aaaa
  ○  {BASE}  completed  Lamport time 0
"""
    plain = str.maketrans("●├─╮│○╰┤", "*+-.|o`+")
    assert raw.getvalue().decode() == (picture if encoding == "utf-8" else picture.translate(plain))


def test_what_is_not_drawn_is_still_said() -> None:
    lines = [line for line, _ in terminal.lines(students().around(ORACLE), ORACLE)]
    assert f"○    {STUDENT}  lost  Lamport time 2" in lines
    part = family([run("a"), run("b", from_("a"), from_("c", "ensemble_member")), run("c")]).around("a")
    assert [line for line, _ in terminal.lines(part)] == [
        "○  b  completed  Lamport time 1",
        "│    fine-tuned from a",
        "│    an ensemble with c",
        "○  a  completed  Lamport time 0",
    ]


def test_unknown_runs_and_cycles_say_so() -> None:
    lost = family([run("a", from_("b")), run("b", from_("a")), run("c", from_("gone"))])
    assert [line for line, _ in terminal.lines(lost)] == [
        "○  b  completed  in a cycle",
        "│    fine-tuned from a",
        "○  a  completed  in a cycle",
        "     fine-tuned from b",
        "     a cycle: b is above",
        "○  c  completed  Lamport time 1",
        "│    fine-tuned from gone, which is not in this study",
        "◌  gone  not in this study  Lamport time 0",
    ]


def parsed(text: str) -> ElementTree.Element:
    text.encode("utf-8")
    return ElementTree.fromstring(text)  # noqa: S314 - our own


def test_svg() -> None:
    text = lineage_svg.draw(students().related(), STUDENT)
    root = parsed(text)
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles == ["Lineage of 3 runs", BASE, ORACLE, STUDENT]
    said = [item.text for item in root.iter(f"{SVG}text")]
    for words in ("Lamport time 2", "student-cccc", "teacher", "distilled from", "initialization", "fine tuned from"):
        assert words in said
    assert "ensemble member" not in said
    markers = {item.get("id") for item in root.iter(f"{SVG}marker")}
    lines = [item for item in root.iter(f"{SVG}path") if item.get("class") == "line" and "C" in (item.get("d") or "")]
    assert len(lines) == 3
    assert {re.sub(r"url\(#(.*)\)", r"\1", str(line.get("marker-end"))) for line in lines} == markers
    assert not re.search(r"(href|src|@import|url\((?!#))", text)  # needs no other file
    assert lineage_svg.draw(students().related(), STUDENT) == text


def test_lines_end_at_their_boxes() -> None:
    root = parsed(lineage_svg.draw(students().related()))
    boxes = [
        tuple(float(item.get(key) or 0) for key in ("x", "y", "width", "height"))
        for item in root.iter(f"{SVG}rect")
        if item.get("rx") == "5"
    ]
    wide, high = float(root.get("width") or 0), float(root.get("height") or 0)
    assert all(x >= 0 and y >= 0 and x + width <= wide and y + height <= high for x, y, width, height in boxes)
    for line in root.iter(f"{SVG}path"):
        if line.get("class") != "line" or "C" not in (line.get("d") or ""):
            continue
        numbers = [float(item) for item in re.findall(r"-?[0-9.]+", line.get("d") or "")]
        (x0, y0), (x1, y1) = numbers[:2], numbers[-2:]
        assert any(abs(x + width - x0) < 1 and y < y0 < y + height for x, y, width, height in boxes)
        assert any(abs(x - 2 - x1) < 1 and y < y1 < y + height for x, y, width, height in boxes)


@given(graphs())
def test_every_graph_is_drawn_whole(parents: dict[str, list[str]]) -> None:
    drawn = family([run(name, *(from_(parent) for parent in named)) for name, named in parents.items()])
    root = parsed(lineage_svg.draw(drawn))
    lines = [item for item in root.iter(f"{SVG}path") if item.get("class") == "line" and "C" in (item.get("d") or "")]
    assert len(lines) == sum(map(len, parents.values()))
    assert len([item for item in root.iter(f"{SVG}rect") if item.get("rx") == "5"]) == len(drawn.dag.links)
    assert len(re.findall(" -> ", lineage_words.dot(drawn))) == sum(map(len, parents.values()))
    assert len(lineage_words.plain(drawn)["runs"]) == len(drawn.dag.links)


@given(st.text(min_size=1, max_size=12) | st.just(NASTY))
def test_any_name_is_escaped(name: str) -> None:
    drawn = family([run("child", from_(name, role=name)), run(f"{name}2", from_("child"))])
    root = parsed(lineage_svg.draw(drawn))
    assert len(list(root.iter(f"{SVG}g"))) == 3
    quoted = r'"(?:[^"\\\n]|\\.)*"'
    lines = lineage_words.dot(drawn).splitlines()[3:-1]
    assert all(
        re.fullmatch(rf"  {quoted}(?: -> {quoted})? \[label={quoted}(, style=\"dashed\")?\];", line) for line in lines
    )
    assert all("\n" not in line for line, _ in terminal.lines(drawn))


def test_nothing_to_draw() -> None:
    empty = family([])
    assert parsed(lineage_svg.draw(empty)).get("width") == "340"
    assert list(terminal.lines(empty)) == []
    assert lineage_words.plain(empty) == {"runs": [], "cycles": []}


def test_json() -> None:
    found = msgspec.json.decode(lineage_words.json_text(students().around(STUDENT)))
    assert [(item["id"], item["lamport"], item["known"]) for item in found["runs"]] == [
        (BASE, 0, True),
        (ORACLE, 1, True),
        (STUDENT, 2, True),
    ]
    assert found["runs"][2]["parents"] == [
        {"run": ORACLE, "relationship": "distilled_from", "role": "teacher"},
        {"run": BASE, "relationship": "initialization", "role": None},
    ]
