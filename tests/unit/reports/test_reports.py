"""Reports of checks: what a reader of JUnit and of Markdown is told, whatever the names and messages hold."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.reports import cases, junit, markdown
from entrenar_research.core.reports.cases import STATES, Case
from entrenar_research.models.equivalence import Axis, Equivalence, Timing
from entrenar_research.models.patterns import PatternFinding
from entrenar_research.models.policy import AssertionResult

EVERY = (
    Case(
        suite="line",
        name="calls",
        state="fail",
        message="10866 calls, 10000 allowed",
        detail="found: 10866",
        seconds=0.5,
    ),
    Case(suite="line", name="memory", state="warn", message="close to the limit", detail="found: 9"),
    Case(suite="line", name="path", state="no data", message="no spans"),
    Case(suite="other", name="off", state="skip", message="switched off"),
    Case(suite="other", name="fine", state="pass"),
)
ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "time", "tests", "failures", "errors", "skipped"},
    "testcase": {"name", "time", "classname"},
    "failure": {"type", "message"},
    "skipped": {"type", "message"},
    "system-out": set(),
}
"""What junit-10.xsd knows, as far as we use it."""


def parsed(document: bytes) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314 - our own


def test_junit_says_how_each_case_came_out() -> None:
    root = parsed(junit.document(EVERY))
    assert root.attrib == {
        "name": "entrenar-research",
        "tests": "5",
        "failures": "1",
        "errors": "0",
        "time": "0.500000",
    }
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures"), suite.get("skipped")) for suite in root] == [
        ("line", "3", "1", "1"),
        ("other", "2", "0", "1"),
    ]
    found = {
        case.get("name"): [(part.tag, part.get("message"), part.text) for part in case]
        for case in root.iter("testcase")
    }
    assert found == {
        "calls": [("failure", "10866 calls, 10000 allowed", "found: 10866")],
        "memory": [("system-out", None, "warning: close to the limit\nfound: 9")],
        "path": [("skipped", "no data: no spans", None)],
        "off": [("skipped", "switched off", None)],
        "fine": [],
    }


@given(
    st.lists(
        st.builds(
            Case,
            suite=st.text(),
            name=st.text(),
            state=st.sampled_from(STATES),
            message=st.text(),
            detail=st.text(),
            seconds=st.none() | st.floats(0, 1e6),
        )
    )
)
def test_junit_is_well_formed_whatever_it_tells(every: list[Case]) -> None:
    root = parsed(junit.document(every))
    assert {(part.tag, name) for part in root.iter() for name in part.attrib} <= {
        (tag, name) for tag, names in ALLOWED.items() for name in names
    }
    assert {part.tag for part in root.iter()} <= ALLOWED.keys()
    assert len(root.findall("testsuite/testcase")) == len(every) == int(root.attrib["tests"])
    failures = list(root.iter("failure"))
    assert len(failures) == sum(case.state == "fail" for case in every) == int(root.attrib["failures"])


def test_junit_shows_what_xml_cannot_hold() -> None:
    case = Case(suite="a\x00b", name="\ud800", state="fail", message="tab\there\nand <there>", detail="\x1b[31m&\r\n")
    found = next(parsed(junit.document([case])).iter("testcase"))
    assert (found.get("classname"), found.get("name")) == ("a\\x00b", "\\xd800")
    assert found[0].get("message") == "tab\there\nand <there>"
    assert found[0].text == "\\x1b[31m&\r\n"


def test_markdown_says_the_verdict_first() -> None:
    lines = markdown.document("Golden traces", EVERY).splitlines()
    assert lines[:3] == ["## Golden traces", "", "**Failed**: 1 pass, 1 warn, 1 fail, 1 skip, 1 no data."]
    assert "| ❌ fail | calls | 10866 calls, 10000 allowed | 0.500 |" in lines
    assert "| ✅ pass | fine |  |" in lines  # nobody measured anything there: no column of seconds
    assert lines.count("<details><summary>fail: calls</summary>") == 1


def test_markdown_verdicts() -> None:
    def verdict(*states: str) -> str:
        every = [case for state in states for case in EVERY if case.state == state]
        return markdown.document("x", every).splitlines()[2]

    assert verdict("pass", "warn") == "**Passed**: 1 pass, 1 warn."
    assert verdict("pass", "no data") == "**Not everything could be checked**: 1 pass, 1 no data."
    assert verdict() == "Nothing was checked."


def test_markdown_keeps_names_from_being_markup() -> None:
    case = Case(
        suite="s", name="a|b <img src=x> [l](u) `c`", state="fail", message="two\nlines", detail="```\n</details>"
    )
    text = markdown.document("*t*", [case])
    assert text.startswith("## \\*t\\*\n")
    row = next(line for line in text.splitlines() if "❌" in line)
    assert row == "| ❌ fail | a\\|b &lt;img src=x&gt; \\[l\\]\\(u\\) \\`c\\` | two lines |"
    assert "````text\n```\n</details>\n````" in text


@given(st.text(), st.text())
def test_markdown_tables_keep_their_columns(name: str, message: str) -> None:
    text = markdown.document("t", [Case(suite="s", name=name, state="pass", message=message)])
    rows = [line for line in text.splitlines() if "✅" in line]
    assert len(rows) == 1
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", rows[0])) == 4


def test_cases_of_assertions_patterns_and_equivalences() -> None:
    failed = AssertionResult(
        name="calls", type="span_count", state="fail", message="too many", actual=10866, limit=10000, unit="calls"
    )
    assert cases.of_assertions("line", [failed]) == (
        Case(
            suite="line",
            name="calls",
            state="fail",
            message="too many",
            detail="type: span_count\nfound: 10866 calls\nlimit: 10000 calls",
        ),
    )
    seen = PatternFinding(
        pattern="TightLoop",
        confidence=0.9,
        severity="critical",
        metric=1.0,
        explanation="loops",
        remediation="batch",
        place="1",
        first=3,
        last=9,
    )
    kinds = (
        seen,
        PatternFinding(
            pattern="TightLoop",
            confidence=0.4,
            severity="warning",
            metric=1.0,
            explanation="loops",
            remediation="batch",
        ),
        PatternFinding(
            pattern="GodProcess",
            confidence=0.0,
            severity="info",
            metric=0.0,
            explanation="one process",
            remediation="",
            applicable=False,
        ),
        PatternFinding(
            pattern="AllocationStorm",
            confidence=0.1,
            severity="info",
            metric=0.1,
            explanation="calm",
            remediation="",
        ),
    )
    assert [case.state for case in cases.of_patterns("line", kinds)] == ["fail", "warn", "skip", "pass"]
    assert cases.of_patterns("line", [seen])[0].detail.splitlines() == [
        "confidence: 0.90",
        "severity: critical",
        "where: 1",
        "calls: 3 to 9",
        "remedy: batch",
    ]
    alike = Equivalence(
        score=0.5,
        verdict="INSUFFICIENT",
        min_confidence=0.9,
        axes=(Axis(name="calls", score=0.5, weight=1, words="one more read"),),
        timing=Timing(),
        divergence="call 3",
    )
    assert cases.of_equivalence("golden", "line", alike) == Case(
        suite="golden",
        name="line",
        state="no data",
        message="score 0.500, 0.900 is asked for: call 3",
        detail="calls: 0.500 (weight 1.00) one more read",
    )
