"""What viewers are given: every call once, on the track of its thread, at its time, with what it was asked and said."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.exports import chrome, flamegraph, table, tracks
from entrenar_research.core.traces.exports.located import Located, located
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import DocumentedSpan
from entrenar_research.models.source import SourceDocument, SourceLocation, SourceRun
from tests.unit.traces.exported import CALLS, DOCUMENT, EPOCH, OTHER, SPANS, STEP


def events(phase: str, category: str | None = None) -> list[dict[str, Any]]:
    found = json.loads(chrome.export(DOCUMENT))["traceEvents"]
    return [event for event in found if event["ph"] == phase and category in (None, event.get("cat"))]


def test_chrome_has_every_call_on_its_thread() -> None:
    found = [(event["pid"], event["tid"], event["name"], event["ts"], event["dur"]) for event in events("X", "syscall")]
    assert sorted(found) == sorted(
        [
            (10, 10, "execve", 0.0, 1.5),
            (10, 10, "openat", 2.0, 1.001),
            (10, 10, "read", 4.0, 1.0),  # cut where the next one begins
            (10, 10, "read", 5.0, 0.5),
            (10, 11, "futex", 4.5, 3.0),
            (12, 12, "execve", 6.0, 0.4),
        ]
    )
    instants = [(event["name"], event["tid"], event["ts"], event["s"]) for event in events("i")]
    ended = [("exited with 0", 12, 7.5, "t"), ("killed by SIGKILL", 10, 10.0, "t")]
    assert instants == [("exit_group", 12, 7.0, "t"), *ended]


def test_chrome_tells_what_was_asked_and_said() -> None:
    told = {event["name"]: event["args"] for event in events("X", "syscall")}
    assert told["openat"] == {
        "arguments": 'AT_FDCWD, "/nowhere", O_RDONLY', "result": "-1", "error": "ENOENT", "span": EPOCH,
    }  # fmt: skip
    assert told["futex"] == {"arguments": "0x1, FUTEX_WAIT_PRIVATE, 0, NULL", "result": "0", "span": STEP}


def test_chrome_names_processes_and_threads() -> None:
    names = [event for event in events("M") if "sort" not in event["name"]]
    named = [(event["name"], event["pid"], event["tid"], event["args"]["name"]) for event in names]
    assert named == [
        ("process_name", 10, 10, "python3"),
        ("process_name", 12, 12, "ls"),
        ("thread_name", 10, 10, "python3"),
        ("thread_name", 10, 11, "thread"),
        ("thread_name", 12, 12, "ls"),
        ("thread_name", 10, 13, "spans"),
        ("thread_name", 10, 14, "spans"),
    ]
    about = json.loads(chrome.export(DOCUMENT))
    assert about["otherData"]["command"] == ["python3", "train.py"]
    assert about["displayTimeUnit"] == "ns"


def test_chrome_draws_spans_on_tracks_of_their_own() -> None:
    found = [(event["name"], event["tid"], event["ts"], event["dur"]) for event in events("X", "span")]
    assert found == [("epoch; one", 13, 1.0, 8.0), ("step", 13, 3.0, 5.0), ("step", 14, 5.0, 5.0)]
    told = {event["args"]["id"]: event["args"] for event in events("X", "span")}
    assert told[EPOCH]["attributes"] == {"index": 3, "rate": 0.5, "last": True, "who": "x", "deep": {"a": 1}}
    assert told[STEP] == {"id": STEP, "attributes": {}, "failed": True}
    assert told[OTHER] == {"id": OTHER, "attributes": {}, "unfinished": True}


def test_chrome_has_the_required_fields_of_every_phase() -> None:
    for event in json.loads(chrome.export(DOCUMENT))["traceEvents"]:
        assert {"name", "ph", "pid", "tid", "args"} <= event.keys()
        assert event["ph"] in "XiM"
        if event["ph"] != "M":
            assert {"ts", "cat"} <= event.keys()


spans = st.lists(
    st.tuples(st.integers(0, 50), st.none() | st.integers(0, 50), st.none() | st.integers(0, 9), st.integers(1, 2)),
    max_size=10,
)


@given(spans)
def test_lanes_hold_every_span_once_and_nest(rows: list[tuple[int, int | None, int | None, int]]) -> None:
    made = [
        DocumentedSpan(f"{place:016x}", None if above is None else f"{above:016x}", "s", "{}", process, began,
                       None if length is None else began + length, False)
        for place, (began, length, above, process) in enumerate(rows)
    ]  # fmt: skip
    found = tracks.lanes(made, 120)
    assert Counter(span for lane in found for span in lane.spans) == Counter(made)
    for lane in found:
        assert {span.process for span in lane.spans} == {lane.process}
        for place, span in enumerate(lane.spans):
            for other in lane.spans[place + 1 :]:
                assert span.began <= other.began
                apart = tracks.span_end(span, 120) <= other.began
                assert apart or tracks.span_end(other, 120) <= tracks.span_end(span, 120)


@pytest.mark.parametrize("text", ["[1]", "no json", "3"])
def test_attributes_that_are_none_are_told_as_they_are(text: str) -> None:
    assert tracks.attributes(msgspec.structs.replace(SPANS[0], attributes=text)) == {"attributes": text}


def test_a_span_lies_below_its_parent_and_no_other() -> None:
    above, stranger = SPANS[0], msgspec.structs.replace(SPANS[1], parent=None)
    assert [lane.spans for lane in tracks.lanes([above, stranger], 9_000)] == [(above,), (stranger,)]
    after = msgspec.structs.replace(stranger, began=above.ended or 0, ended=9_500)
    assert [lane.spans for lane in tracks.lanes([above, after], 9_500)] == [(above, after)]


@given(st.lists(st.tuples(st.integers(0, 100), st.none() | st.integers(0, 40)), min_size=1, max_size=20))
def test_calls_of_a_thread_never_overlap(rows: list[tuple[int, int | None]]) -> None:
    calls = tuple(msgspec.structs.replace(CALLS[0], began=began, took=took) for began, took in rows)
    drawn = tracks.tracks(msgspec.structs.replace(DOCUMENT, calls=calls, spans=(), ends=())).slices[10]
    assert sorted(item.place for item in drawn) == list(range(len(rows)))
    for before, after in pairwise(drawn):
        assert before.call.began + (before.length or 0) <= after.call.began
    assert all(item.length is None or item.length <= (item.call.took or 0) for item in drawn)


def test_folded_stacks_weigh_microseconds() -> None:
    assert flamegraph.export(DOCUMENT).splitlines() == [
        "ls;execve 0",
        "ls;exit_group 0",
        "python3;epoch: one;openat 1",
        "python3;epoch: one;step;futex 3",
        "python3;epoch: one;step;read 2",  # 2.0 and 0.5 us: as long as they took, not as they are drawn
        "python3;execve 2",
    ]
    for line in flamegraph.export(DOCUMENT).splitlines():
        assert re.fullmatch(r"[^;]+(;[^;]+)* \d+", line)


def test_folded_stacks_need_durations() -> None:
    untimed = msgspec.structs.replace(DOCUMENT, calls=tuple(msgspec.structs.replace(call, took=None) for call in CALLS))
    with pytest.raises(IntegrityError, match="the 7 calls of this trace have no durations"):
        flamegraph.export(untimed)


def test_folded_stacks_survive_spans_that_are_their_own_ancestors() -> None:
    circle = tuple(msgspec.structs.replace(span, parent=STEP if span.id == EPOCH else EPOCH) for span in SPANS)
    text = flamegraph.export(msgspec.structs.replace(DOCUMENT, spans=circle))
    assert "python3;epoch: one;step;read 2\n" in text


SOURCE = SourceDocument(
    schema=1, trace_id=DOCUMENT.trace_id, recorded=7, correlated=3, marks=2, stacks=0, unreadable=0,
    locations=(
        SourceLocation("$STUDY/train.py", 12, "load", None),
        SourceLocation("$PYTHON/lib/json.py", 3, "dump", 0),
    ),
    calls=(SourceRun(1, 1, 1, "audit", None), SourceRun(2, 2, 0, "opened at", None)),
)  # fmt: skip


def test_folded_stacks_have_the_source_where_it_is_known() -> None:
    text = flamegraph.export(DOCUMENT, located(SOURCE, DOCUMENT, "x_source.json"))
    assert "python3;epoch: one;load ($STUDY/train.py:12);dump ($PYTHON/lib/json.py:3);openat 1\n" in text
    assert "python3;epoch: one;step;load ($STUDY/train.py:12) (opened here);read 2\n" in text


def test_the_source_of_another_trace_is_refused() -> None:
    assert located(SOURCE, DOCUMENT, "x")[1] == Located(SOURCE.locations[1], SOURCE.locations[0], exact=True)
    with pytest.raises(IntegrityError, match=r"x_source\.json is of another trace: 8 calls"):
        located(msgspec.structs.replace(SOURCE, recorded=8), DOCUMENT, "x_source.json")


def test_the_table_says_what_the_document_says() -> None:
    rows = list(csv.reader(io.StringIO(table.export(DOCUMENT))))
    assert tuple(rows[0]) == table.COLUMNS
    assert rows[1:] == [["" if item is None else str(item) for item in msgspec.structs.astuple(call)] for call in CALLS]
