"""A run as a script sees it, and the directory that it leaves."""

from __future__ import annotations

import datetime
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import entrenar_research as er
from entrenar_research.client import ending, liveness, places, reading, surroundings
from entrenar_research.client.handle import Run
from entrenar_research.errors import NotAStudyError, ResearchError, StorageError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Relationship
from entrenar_research.store import run_files
from entrenar_research.store.yaml_text import Document


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A study to start runs in, with an environment that names none."""
    for name in (surroundings.STUDY, surroundings.RUN, surroundings.PARENT):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "study.yaml").write_text("title: A study\n")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep" / "er")
    yield tmp_path
    while (run := ending.current()) is not None:
        run.finish()


def record(run: Run) -> RunRecord:
    assert run.directory is not None
    return Document((run.directory / "run.yaml").read_text(encoding="utf-8"), "run.yaml").convert(RunRecord)


def log(run: Run) -> reading.Log:
    assert run.directory is not None
    (path,) = (run.directory / "events").iterdir()
    return reading.read(path)


def test_the_whole_of_a_run(study: Path) -> None:
    (study / "c.png").write_bytes(b"png")
    with er.start_run("lora-rank", params={"rank": 16, "targets": ("q", "v")}, tags=["first"]) as run:
        begun = record(run)
        run.log_metrics({"loss": 0.5, "acc": 0.25}, step=1)
        run.log_params({"alpha": 32})
        run.add_tag("second")
        run.add_tag("second")
        run.add_warning("the scheduler was restarted")
        run.add_parent("20260101T000000000Z-base-aaaa", "initialization")
        where = run.log_artifact(study / "c.png")
    assert (begun.status, begun.ended, begun.tags, begun.params) == (
        "running",
        None,
        ("first",),
        {"rank": 16, "targets": ["q", "v"]},
    )
    assert begun.holder is not None
    assert (begun.holder.machine, begun.holder.process) == (liveness.machine(), os.getpid())
    done = record(run)
    assert (done.status, done.runner, done.experiment, done.id) == ("completed", "script", "lora-rank", run.id)
    assert done.tool == f"entrenar-research {er.__version__}"
    assert done.params == {"rank": 16, "targets": ["q", "v"], "alpha": 32}
    assert (done.tags, done.warnings) == (("first", "second"), ("the scheduler was restarted",))
    assert done.duration is not None
    assert done.duration > 0
    assert done.ended is not None
    assert begun.started <= done.ended
    assert done.holder is None
    assert done.trace_id == run.trace_id
    assert done.telemetry is not None
    assert (done.telemetry.points, done.telemetry.spans, done.telemetry.processes) == (2, 1, 1)
    assert [(item.path, item.size, item.kind) for item in done.artifacts] == [("artifacts/c.png", 3, "file")]
    assert done.lineage is not None
    assert done.lineage.parents[0].relationship == "initialization"
    assert where == "artifacts/c.png"
    assert run.directory == study / "runs" / run.id
    kinds = [note["kind"] for note in log(run).notes]
    assert kinds == ["param", "param", "tag", "param", "tag", "warning", "parent", "artifact", "end"]
    assert sorted(path.name for path in run.directory.iterdir()) == ["artifacts", "events", "run.yaml"]


def test_a_closed_log_is_no_longer_than_what_is_in_it(study: Path) -> None:
    with er.start_run("a") as run:
        run.log_metric("x", 1)
        assert run.directory is not None
        (path,) = (run.directory / "events").iterdir()
        assert path.stat().st_size == 1 << 20
    assert path.stat().st_size < 1 << 10
    assert not liveness.alive(run.directory)


def test_the_id_follows_the_rule_of_the_commands() -> None:
    now = datetime.datetime(2026, 1, 2, 3, 4, 5, 6789, tzinfo=datetime.UTC)
    nanoseconds = int(now.timestamp() * 1e9)
    ours, theirs = places.new_id("a-b", nanoseconds), run_files.new_id("a-b", now)
    assert ours[:-4] == theirs[:-4]
    form = re.compile(r"\d{8}T\d{9}Z-a-b-[0-9a-hj-km-np-tv-z]{4}")
    assert form.fullmatch(ours)
    assert form.fullmatch(theirs)
    assert places.moment(nanoseconds) == "2026-01-02T03:04:05.006Z"


def test_a_clock_that_jumps_back(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(["aaaa", "aaaa", "aaaa", "bbbb", "cccc", "dddd"])
    monkeypatch.setattr("entrenar_research.client.event_log.random_name", lambda: next(names))
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    first = er.start_run("a")
    first.log_metric("x", 1)
    monkeypatch.setattr(time, "time_ns", lambda: now - 10**12)
    first.log_metric("x", 2)
    first.finish()
    monkeypatch.setattr(time, "time_ns", lambda: now)
    second = er.start_run("a")
    second.finish()
    assert first.id.endswith("aaaa")
    assert second.id.endswith("bbbb")
    done = record(first)
    assert done.duration is not None
    assert done.duration >= 0
    assert done.ended is not None
    assert done.ended >= done.started
    assert log(first).points("x") == [(0, 1.0), (1, 2.0)]


@pytest.mark.parametrize("name", ["", "-a", "a b", "ä", "a" * 65, "a/b", "../a", 5])
def test_names_of_experiments(study: Path, name: Any) -> None:
    with pytest.raises(UsageError, match="experiment name"):
        er.start_run(name)
    assert not (study / "runs").exists()


def test_the_default_name_is_that_of_the_script(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/x/_train mödel.py", raising=False)
    with er.start_run() as run:
        assert run.experiment == "train-m-del"
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    with er.start_run() as run:
        assert run.experiment == "script"


def test_there_has_to_be_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotAStudyError, match=r"there is no study\.yaml here or in a directory above") as caught:
        er.start_run("a")
    assert "entrenar-research init" in (caught.value.hint or "")
    with pytest.raises(NotAStudyError, match=r"not a study: there is no study\.yaml$"):
        er.start_run("a", study=tmp_path)


def test_a_study_can_be_given(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    with er.start_run("a", study=study) as run:
        assert run.directory == study / "runs" / run.id


@pytest.mark.parametrize(
    "wrong",
    [
        {"params": {"a": object()}},
        {"params": {"a": {1: 2}}},
        {"tags": ["a\n"]},
        {"tags": [5]},
        {"parents": ["run"]},
        {"parents": [("run", "child_of")]},
        {"parents": [("run", "distilled_from", "")]},
        {"parents": [{"run": "x", "relationship": "distilled_from", "part": "x"}]},
    ],
)
def test_nothing_is_made_of_a_wrong_start(study: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        er.start_run("a", **wrong)
    assert caught.value.hint
    assert not (study / "runs").exists()
    assert ending.current() is None


def test_relationships_are_those_of_the_record() -> None:
    from typing import get_args

    from entrenar_research.client import lineage

    assert get_args(Relationship) == lineage.RELATIONSHIPS


def test_where_the_file_system_refuses_nothing_is_left(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(places, "write_record", refuse)
        with pytest.raises(StorageError, match=r"cannot write the record of run .*: No space left") as caught:
            er.start_run("a")
    assert caught.value.hint == "free some space, then start again"
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", refuse)
        with pytest.raises(StorageError, match="cannot make the log of run"):
            er.start_run("a")
    assert not list((study / "runs").iterdir())
    assert ending.current() is None
    assert surroundings.RUN not in os.environ
    assert surroundings.PARENT not in os.environ


class Trouble(ValueError):
    def __str__(self) -> str:
        return "the learning rate is too high"


def test_an_exception_makes_it_failed(study: Path) -> None:
    def train() -> None:
        run.log_metric("x", 1)
        raise Trouble

    with pytest.raises(Trouble), er.start_run("a") as run, run.span("epoch"):
        train()
    done = record(run)
    assert done.status == "failed"
    assert done.failure == f"{__name__}.Trouble: the learning rate is too high"
    found = log(run)
    (note,) = [note for note in found.notes if note["kind"] == "failure"]
    assert note["exception"] == f"{__name__}.Trouble"
    assert note["bases"] == ["ValueError", "Exception", "BaseException"]
    assert note["message"] == "the learning rate is too high"
    assert note["stack"].startswith("Traceback (most recent call last):\n")
    assert note["stack"].endswith(f"{__name__}.Trouble: the learning rate is too high\n")
    assert 'File "test_run.py", line' in note["stack"]
    assert found.notes[-1] == {"kind": "end", "status": "failed"}
    assert [(span.name, span.failed) for span in found.spans] == [("a", True), ("epoch", True)]


def test_an_os_error_keeps_its_number(study: Path) -> None:
    with pytest.raises(FileNotFoundError), er.start_run("a") as run:
        (study / "absent").read_text()
    (note,) = [note for note in log(run).notes if note["kind"] == "failure"]
    assert (note["exception"], note["errno"]) == ("FileNotFoundError", 2)
    assert note["message"] == "[Errno 2] No such file or directory: 'absent'"
    assert str(study) not in note["stack"]


def test_ctrl_c_makes_it_cancelled(study: Path) -> None:
    with pytest.raises(KeyboardInterrupt), er.start_run("a") as run:
        raise KeyboardInterrupt
    assert (record(run).status, record(run).failure) == ("cancelled", "interrupted")


@pytest.mark.parametrize(
    ("code", "status", "failure"),
    [
        (0, "completed", None),
        (None, "completed", None),
        (3, "failed", "the script ended with exit status 3"),
        ("no data", "failed", "the script ended with exit status 1"),
    ],
)
def test_leaving_within_the_block(study: Path, code: Any, status: str, failure: str | None) -> None:
    with pytest.raises(SystemExit), er.start_run("a") as run:
        sys.exit(code)
    assert (record(run).status, record(run).failure) == (status, failure)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_exceptions_that_are_hard_to_write_down(study: Path) -> None:
    def endless(depth: int) -> int:
        return endless(depth + 1) + 1

    with pytest.raises(RecursionError), er.start_run("a") as run:
        endless(0)
    assert len(log(run).notes[-2]["stack"]) < 40_000
    with pytest.raises(Unspeakable), er.start_run("a") as run:
        raise Unspeakable
    assert "its message could not be had: RuntimeError" in str(record(run).failure)
    with pytest.raises(ValueError, match="lone"), er.start_run("a") as run:
        raise ValueError("lone \ud800")
    assert record(run).failure == "ValueError: lone \\ud800"
    cause = ValueError("first")
    with pytest.raises(KeyError), er.start_run("a") as run:
        raise KeyError("second") from cause
    assert "ValueError: first" in log(run).notes[-2]["stack"]


def test_a_run_ends_once(study: Path) -> None:
    run = er.start_run("a")
    with pytest.raises(UsageError, match="not 'lost'"):
        run.finish("lost")
    run.finish("cancelled")
    run.finish("completed")
    run.fail(ValueError("late"))
    assert record(run).status == "cancelled"
    for late in (
        lambda: run.log_metric("x", 1),
        lambda: run.add_tag("x"),
        lambda: run.log_params({"a": 1}),
        lambda: run.span("x").__enter__(),
    ):
        with pytest.raises(UsageError, match="has ended: nothing can be logged to it"):
            late()
    assert ending.current() is None


def test_hooks_are_taken_out_again(study: Path) -> None:
    before = sys.excepthook, sys.exit
    one, other = er.start_run("a"), er.start_run("b")
    assert sys.excepthook is not before[0]
    one.finish()
    assert sys.exit is not before[1]
    other.finish()
    assert (sys.excepthook, sys.exit) == before


# --- spans, and what child processes are told -----------------------------------------------------------------------


def test_spans_nest_and_are_told_to_children(study: Path) -> None:
    assert surroundings.PARENT not in os.environ
    with er.start_run("a") as run:
        root = os.environ["TRACEPARENT"]
        assert root == f"00-{run.trace_id}-{run.span_id}-01"
        with run.span("epoch", index=1, rate=0.5) as epoch:
            assert os.environ["TRACEPARENT"] == f"00-{run.trace_id}-{epoch.id}-01"
            with run.span("step") as step:
                run.log_metric("loss", 1.0)
                assert run.span_id == step.id
            assert os.environ["TRACEPARENT"] == f"00-{run.trace_id}-{epoch.id}-01"
        assert os.environ["TRACEPARENT"] == root
        assert os.environ["ENTRENAR_STUDY"] == str(study)
        assert os.environ["ENTRENAR_RUN"] == f"runs/{run.id}"
    assert not {"TRACEPARENT", "ENTRENAR_RUN", "ENTRENAR_STUDY"} & os.environ.keys()
    spans = {span.name: span for span in log(run).spans}
    assert (spans["a"].parent, spans["epoch"].parent, spans["step"].parent) == (None, spans["a"].id, spans["epoch"].id)
    assert spans["epoch"].attributes == {"index": 1, "rate": 0.5}
    assert log(run).trace == run.trace_id
    assert log(run).key_spans == dict.fromkeys(log(run).keys, spans["step"].ref)


TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("given", "honoured"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", True),
        (f" 00-{TRACE}-{SPAN}-01 ", True),
        (f"01-{TRACE}-{SPAN}-01-later", True),
        (f"00-{TRACE}-{SPAN}-01-later", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}", False),
        ("", False),
        ("rubbish", False),
    ],
)
def test_a_trace_that_comes_from_outside(
    study: Path, monkeypatch: pytest.MonkeyPatch, given: str, honoured: bool
) -> None:
    monkeypatch.setenv("TRACEPARENT", given)
    with er.start_run("a") as run:
        pass
    assert (run.trace_id == TRACE) is honoured
    assert log(run).spans[0].parent == (SPAN if honoured else None)
    assert record(run).trace_id == run.trace_id
    assert os.environ["TRACEPARENT"] == given


def test_two_runs_at_once_end_in_any_order(study: Path) -> None:
    one = er.start_run("one")
    other = er.start_run("other")
    assert er.current_run() is other
    one.log_metric("x", 1)
    other.log_metric("x", 2)
    assert os.environ["ENTRENAR_RUN"] == f"runs/{other.id}"
    one.finish()
    assert os.environ["ENTRENAR_RUN"] == f"runs/{other.id}"
    other.finish()
    assert not {"TRACEPARENT", "ENTRENAR_RUN", "ENTRENAR_STUDY"} & os.environ.keys()
    assert (log(one).values, log(other).values) == ([1.0], [2.0])
    inner = er.start_run("inner")
    with er.start_run("innermost"):
        pass
    assert os.environ["ENTRENAR_RUN"] == f"runs/{inner.id}"
    inner.finish()


def test_the_environment_does_not_grow_without_end(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "_EXPORTS", 5)
    with er.start_run("a") as run:
        for _ in range(4):
            with run.span("step"):
                pass
        last = os.environ["TRACEPARENT"]
        with run.span("step"):
            assert os.environ["TRACEPARENT"] == last
    assert "TRACEPARENT" not in os.environ


def test_a_span_has_a_name(study: Path) -> None:
    with er.start_run("a") as run:
        for name, attributes in (("", {}), ("a\n", {}), ("a", {"x": object()})):
            with pytest.raises(UsageError):
                run.span(name, **attributes)
        assert run.span("unused").id is None


# --- the run of another process -------------------------------------------------------------------------------------


def test_a_run_of_the_tool_is_attached_to(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = study / "runs" / "20260101T000000000Z-line-aaaa"
    directory.mkdir(parents=True)
    (directory / "run.yaml").write_text("as it was\n")
    monkeypatch.setenv("ENTRENAR_STUDY", str(study))
    monkeypatch.setenv("ENTRENAR_RUN", f"runs/{directory.name}")
    monkeypatch.setenv("TRACEPARENT", f"00-{TRACE}-{SPAN}-01")
    monkeypatch.chdir("/")
    with er.start_run("other-name", params={"a": 1}) as run:
        assert (run.id, run.experiment, run.directory) == (directory.name, "line", directory)
        assert er.current_run() is run
        run.log_metric("x", 1)
        run.log_artifact(b"bytes", "a.bin")
        assert liveness.alive(directory)
    assert (directory / "run.yaml").read_text() == "as it was\n"
    assert (directory / "artifacts" / "a.bin").read_bytes() == b"bytes"
    assert [note["kind"] for note in log(run).notes] == ["param", "artifact", "end"]
    assert (log(run).trace, log(run).spans[0].parent) == (TRACE, SPAN)
    assert os.environ["ENTRENAR_RUN"] == f"runs/{directory.name}"
    again = er.current_run()
    assert again is er.current_run()
    assert again.id == run.id
    again.finish()


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"ENTRENAR_RUN": "runs/a"}, "ENTRENAR_STUDY is not set"),
        ({"ENTRENAR_RUN": "runs/a", "ENTRENAR_STUDY": "."}, "there is no such run"),
        ({"ENTRENAR_RUN": "runs/closed", "ENTRENAR_STUDY": "{study}"}, "the run runs/closed is closed"),
    ],
)
def test_a_run_that_takes_nothing(
    study: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str
) -> None:
    (study / "runs" / "closed").mkdir(parents=True)
    (study / "runs" / "closed" / "SHA256SUMS").write_text("")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(study=study))
    for start in (er.start_run, er.current_run):
        with pytest.raises(UsageError) as caught:
            start()
        assert said in caught.value.message
        assert caught.value.hint == "unset ENTRENAR_RUN to start a run of its own"


def test_without_a_run_there_is_none(study: Path) -> None:
    with pytest.raises(UsageError, match="there is no run") as caught:
        er.current_run()
    assert "start_run" in (caught.value.hint or "")


# --- artifacts ------------------------------------------------------------------------------------------------------


def test_artifacts(study: Path) -> None:
    with er.start_run("a") as run:
        assert run.directory is not None
        (study / "a.txt").write_text("one")
        run.log_artifact(str(study / "a.txt"), "texts/b.txt")
        (study / "a.txt").write_text("two!")
        run.log_artifact(study / "a.txt", "texts/b.txt")
        run.log_artifact(b"", "empty")
    assert [(item.path, item.size) for item in record(run).artifacts] == [
        ("artifacts/empty", 0),
        ("artifacts/texts/b.txt", 4),
    ]
    assert (run.directory / "artifacts" / "texts" / "b.txt").read_text() == "two!"


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [
        ("absent", None, "artifact absent: expected a file, found nothing"),
        (".", None, "artifact .: expected a file, found a directory"),
        (5, None, "an artifact is int, expected the path of a file"),
        (b"x", None, "the name of an artifact is None"),
        (b"x", "", "the name of an artifact is empty"),
        (b"x", "../x", "expected a relative path without `..`"),
        (b"x", "/x", "expected a relative path"),
        (b"x", "a//b", "expected a relative path"),
        (b"x", "a\\b", "expected a relative path"),
    ],
)
def test_wrong_artifacts(study: Path, source: Any, name: Any, said: str) -> None:
    with er.start_run("a") as run:
        with pytest.raises(UsageError) as caught:
            run.log_artifact(source, name)
        assert said in caught.value.message
    assert record(run).artifacts == ()


def test_errors_are_of_one_tree() -> None:
    assert issubclass(UsageError, ResearchError)


def test_many_runs_leave_no_descriptors_open(study: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = descriptors()
    for _ in range(20):
        with er.start_run("a") as run, run.span("b"):
            run.log_metric("x", 1)
    assert descriptors() == before
