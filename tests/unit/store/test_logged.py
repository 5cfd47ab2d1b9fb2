"""What is read from event logs and from Parquet: the same, whatever the logs have gone through."""

from __future__ import annotations

import errno
import importlib.util
import math
import shutil
from pathlib import Path

import pytest

from entrenar_research.core.tracking import handover
from entrenar_research.errors import IntegrityError, MissingToolError
from entrenar_research.models.tracking import Artifact, Parent, Series
from entrenar_research.store import sums
from entrenar_research.store.logged import log as logged
from entrenar_research.store.logged import points, series_files
from entrenar_research.store.logged.notes import LoggedEta, LoggedFailure
from tests.event_logs import START, EventLogWriter

SHA = "sha256:" + "ab" * 32


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run directory of two processes; `loss` goes on in the second one, `both` ends in the first."""
    place = tmp_path / "runs" / "20260101T000000000Z-line-abcd"
    one, two = EventLogWriter("10-aaaa"), EventLogWriter("11-bbbb", started=START + 500)
    root = one.begin("line", "1" * 16)
    loss, both = one.key("loss"), one.key("both", root)
    one.points(loss, [0.5, 0.25, math.nan])
    two.time = one.time
    two.points(two.key("both"), [7.0])
    two.points(two.key("loss"), [math.inf, 0.125], first=3)
    one.time = two.time
    one.points(both, [1.0, 2.0])
    one.end(root)
    for log in (one, two):
        log.write(place)
    return place


def seal(run: Path) -> None:
    series_files.write(run, logged.event_logs(run), "ab" * 16)
    shutil.rmtree(run / "events")
    sums.close(run)


def test_series_over_processes(run: Path) -> None:
    found = logged.logged(run)
    assert found.series["loss"] == Series(points=5, last=0.125, last_step=4, lowest=0.125, highest=math.inf)
    assert found.series["both"] == Series(points=3, last=2.0, last_step=1, lowest=1.0, highest=7.0)
    assert (found.telemetry.points, found.telemetry.spans, found.telemetry.processes) == (8, 1, 2)
    assert not found.telemetry.damaged


def test_nan_is_neither_lowest_nor_highest(tmp_path: Path) -> None:
    log = EventLogWriter()
    log.points(log.key("a"), [math.nan, 3.0, 1.0, math.nan])
    log.points(log.key("b"), [math.nan])
    log.write(tmp_path)
    series = logged.logged(tmp_path).series
    assert math.isnan(series["a"].last)
    assert (series["a"].lowest, series["a"].highest, series["a"].points) == (1.0, 3.0, 4)
    assert (series["b"].lowest, series["b"].highest) == (None, None)


def test_parquet_holds_what_the_logs_held(run: Path) -> None:
    keys, series, spans = points.keys(run), points.series(run), points.spans(run)
    before = {key: points.points(run, key) for key in keys}
    seal(run)
    assert points.keys(run) == keys == ("both", "loss")
    assert repr(points.series(run)) == repr(series)
    assert points.spans(run) == spans
    assert spans[0].ended is not None
    for key in keys:
        after = points.points(run, key)
        for name in ("steps", "values", "times"):
            assert repr(list(map(float, getattr(after, name)))) == repr(list(map(float, getattr(before[key], name))))
        assert list(map(int, after.times)) == list(before[key].times)
    assert list(points.points(run, "nothing of the kind").steps) == []


def test_parquet_columns(run: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    seal(run)
    table = parquet.read_table(run / logged.METRICS)
    assert [(field.name, str(field.type)) for field in table.schema] == [
        ("key", "dictionary<values=string, indices=int32, ordered=0>"),
        ("step", "int64"),
        ("value", "double"),
        ("time", "timestamp[ns, tz=UTC]"),
        ("process", "dictionary<values=string, indices=int32, ordered=0>"),
        ("span", "dictionary<values=string, indices=int32, ordered=0>"),
    ]
    assert table["process"].to_pylist() == ["10-aaaa"] * 5 + ["11-bbbb"] * 3
    assert table["span"].to_pylist() == [None, None, None, "1" * 16, "1" * 16, None, None, None]
    spans = parquet.read_table(run / logged.SPANS).drop_columns(["started", "ended"]).to_pylist()
    assert [(row["trace_id"], row["name"], row["parent_id"], row["failed"]) for row in spans] == [
        ("ab" * 16, "line", None, False)
    ]


def test_the_run_itself_is_no_parent(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    log = EventLogWriter()
    log.begin("part", "3" * 16, parent=handover.root_span("runs/one"))
    log.begin("other", "4" * 16, parent="9" * 16)
    log.write(run)
    assert [span.parent for span in points.spans(run)] == [None, "9" * 16]
    seal(run)
    assert [span.parent for span in points.spans(run)] == [None, "9" * 16]


def test_notes(tmp_path: Path) -> None:
    log = EventLogWriter()
    log.note("param", name="rank", value=8)
    log.note("param", name="rank", value=16)
    log.note("tag", value="best")
    log.note("tag", value="best")
    log.note("warning", text="slow", time=1)
    log.note("artifact", path="artifacts/a.png", digest=SHA, size=3, artifact_kind="file")
    log.note("parent", run="r", relationship="distilled_from", role="teacher")
    log.note("eta", predicted=10, actual=12.5, gain=0.5)
    log.note("failure", exception="ValueError", message="no", stack="...")
    log.note("end", status="failed")
    log.write(tmp_path)
    notes = logged.logged(tmp_path).notes
    assert notes.params == {"rank": 16}
    assert (notes.tags, notes.warnings) == (("best",), ("slow",))
    assert notes.artifacts == (Artifact(path="artifacts/a.png", digest=SHA, size=3),)
    assert notes.parents == (Parent(run="r", relationship="distilled_from", role="teacher"),)
    assert notes.etas == (LoggedEta(predicted=10, actual=12.5, gain=0.5),)
    assert notes.failure == LoggedFailure(exception="ValueError", message="no", stack="...")
    assert not notes.damaged


@pytest.mark.parametrize(
    "note",
    [
        {"kind": "param", "value": 1},
        {"kind": "tag", "value": 7},
        {"kind": "artifact", "path": "../run.yaml", "digest": SHA, "size": 1},
        {"kind": "artifact", "path": "/etc/passwd", "digest": SHA, "size": 1},
        {"kind": "artifact", "path": "run.yaml", "digest": SHA, "size": 1},
        {"kind": "artifact", "path": "artifacts/x", "digest": SHA, "size": "many"},
        {"kind": "parent", "run": "r", "relationship": "friend_of"},
        {"kind": "eta", "predicted": "soon"},
        {"kind": "end", "status": "exploded"},
        {"kind": "of a later version"},
    ],
)
def test_a_note_that_makes_no_sense_is_named(tmp_path: Path, note: dict[str, object]) -> None:
    log = EventLogWriter()
    log.note(**note)  # type: ignore[arg-type]
    log.note("tag", value="kept")
    log.write(tmp_path)
    found = logged.logged(tmp_path)
    assert found.notes.tags == ("kept",)
    (words,) = found.telemetry.damaged
    assert words.startswith("events/4711-abcd.events: ")
    assert str(note["kind"]) in words


def test_lost_points_are_told_with_the_reason(tmp_path: Path) -> None:
    log = EventLogWriter()
    log.lost(12, errno.ENOSPC)
    log.write(tmp_path)
    telemetry = logged.logged(tmp_path).telemetry
    assert (telemetry.lost, telemetry.reason) == (12, "No space left on device")


def test_nothing_was_logged(tmp_path: Path) -> None:
    assert logged.logged(tmp_path) == logged.Logged()
    assert points.keys(tmp_path) == ()
    assert points.spans(tmp_path) == ()


@pytest.mark.parametrize("cut", [0, 4, 200, -1, -9, -200])
def test_truncated_parquet_is_named(run: Path, cut: int) -> None:
    seal(run)
    path = run / logged.METRICS
    path.write_bytes(path.read_bytes()[:cut])
    for read in (lambda: points.points(run, "loss"), lambda: points.keys(run)):
        with pytest.raises(IntegrityError) as caught:
            read()
        assert f"runs/{run.name}/metrics.parquet: damaged: " in caught.value.message
        assert caught.value.hint is not None
        assert "git checkout" in caught.value.hint
    assert len(points.spans(run)) == 1


def test_every_flipped_byte_of_parquet_is_refused(run: Path) -> None:
    seal(run)
    path = run / logged.METRICS
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        with pytest.raises(IntegrityError, match=r"metrics\.parquet: damaged: SHA256SUMS has the digest sha256:"):
            points.points(run, "loss")


def test_without_pyarrow_it_says_what_to_install(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seal(run)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else find(name))
    with pytest.raises(MissingToolError) as caught:
        points.points(run, "loss")
    assert caught.value.hint == "pip install 'entrenar-research[query]'"


def test_an_unreadable_log_is_named_and_others_are_read(run: Path) -> None:
    (run / "events" / "12-cccc.events").mkdir()
    found = logged.logged(run)
    assert found.telemetry.points == 8
    assert found.telemetry.damaged == ("events/12-cccc.events: cannot be read: Is a directory",)
