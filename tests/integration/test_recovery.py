"""`runs recover`: what a crash left open is sealed, whole, whatever happens meanwhile; what lives is left alone."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.actions.running import sealing
from entrenar_research.client import layout, liveness
from entrenar_research.store.logged import log as logged
from entrenar_research.store.logged import points, series_files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World
from tests.event_logs import EventLogWriter
from tests.integration import checking, faults
from tests.integration.open_runs import STUDY, ids, lose, record, recover, three_points

# What was logged is counted in a file that the kernel keeps, as it keeps the log.
TRAINING = '''\
"""Logs without end, and counts what it has logged."""

import mmap
import os
import struct
import sys

import entrenar_research as er

descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o644)
os.ftruncate(descriptor, 8)
counter = mmap.mmap(descriptor, 8)
limit = int(sys.argv[2]) if len(sys.argv) > 2 else 1 << 40
run = er.start_run("alone")
for step in range(limit):
    run.log_metric("loss", 1 / (step + 1), step=step)
    counter[:] = struct.pack("<Q", step + 1)  # in one piece: pack_into writes zeros first
if len(sys.argv) > 3:
    sys.stdin.read()
'''


@pytest.fixture(autouse=True)
def _in_the_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study with nothing but a description and a script."""
    place = tmp_path / "alone"
    place.mkdir()
    (place / "study.yaml").write_text(STUDY)
    (place / "train.py").write_text(TRAINING)
    return place


def started(world: World, study: Path, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "train.py", *words], cwd=study, env=world.environment, stdin=subprocess.PIPE
    )


def counted(counter: Path) -> int:
    """How many points the script has logged for sure."""
    try:
        with counter.open("rb") as stream, mmap.mmap(stream.fileno(), 8, prot=mmap.PROT_READ) as found:
            number: int = struct.unpack("<Q", found)[0]
            return number
    except (OSError, ValueError):
        return 0


@contextlib.contextmanager
def running(world: World, study: Path, counter: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = started(world, study, str(counter), *words)
    try:
        faults.until(lambda: counted(counter) > 0)
        yield process
    finally:
        process.kill()
        process.communicate()


def shown(world: World, study: Path) -> dict[str, str]:
    """What `runs list` says each run is."""
    found = json.loads(world.tool("runs", "list", "--format", "json", cwd=study).stdout)
    return {item["id"]: item["status"] for item in found}


@pytest.mark.slow
def test_no_point_is_lost_in_twenty_kills(world: World, study: Path, tmp_path: Path) -> None:
    chance = random.Random()
    known: dict[str, int] = {}
    for number in range(20):
        counter = tmp_path / f"counter-{number}"
        with running(world, study, counter) as process:
            time.sleep(chance.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            process.wait()
        (run,) = set(ids(study)) - set(known)
        known[run] = counted(counter)
        assert record(study, run)["status"] == "running"
        assert not liveness.alive(study / "runs" / run)
    assert shown(world, study) == dict.fromkeys(known, "lost")
    told = {item["run"]: item for item in recover(world, study)}
    assert shown(world, study) == dict.fromkeys(known, "recovered")
    assert {(item["was"], item["now"]) for item in told.values()} == {("lost", "lost")}
    for run, count in known.items():
        found = points.points(study / "runs" / run, "loss")
        assert count <= len(found.steps) <= count + 1
        assert list(map(int, found.steps)) == list(range(len(found.steps)))
        assert all(value == 1 / (step + 1) for step, value in enumerate(map(float, found.values)))
        sealed = record(study, run)
        assert (sealed["status"], sealed["telemetry"]["points"]) == ("lost", len(found.steps))
        assert sealed["recovered"]
        assert told[run]["points"] == len(found.steps)
    assert checking.passes(checking.check(study))
    assert recover(world, study) == []


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["tool", "script"])
def test_no_point_is_lost_under_the_tool(world: World, tiny: Path, tmp_path: Path, whom: str) -> None:
    code = TRAINING.replace("sys.argv[1]", "os.environ['COUNTER']").replace("sys.argv[2]", "1 << 40")
    (tiny / "experiments/line/train.py").write_text(code)
    declaration = tiny / "experiments/line/experiment.yaml"
    declaration.write_text(declaration.read_text().replace("trace: full", "trace: none"))
    chance = random.Random()
    for number in range(4):
        counter, before = tmp_path / f"counter-{number}", set(ids(tiny))
        environment = {**world.environment, "COUNTER": str(counter)}
        tool = subprocess.Popen(
            ["entrenar-research", "run", "line", "--quiet"], cwd=tiny, env=environment, stderr=subprocess.DEVNULL
        )
        faults.until(lambda counter=counter: counted(counter) > 0)  # type: ignore[misc]
        (run,) = set(ids(tiny)) - before
        directory = tiny / "runs" / run
        time.sleep(chance.uniform(0, 0.05))
        (log,) = (directory / "events").iterdir()
        os.kill(tool.pid if whom == "tool" else int(log.name.partition("-")[0]), signal.SIGKILL)
        tool.wait()
        faults.until(lambda directory=directory: not logged.is_written(directory))  # type: ignore[misc]
        if whom == "tool":
            assert record(tiny, run)["status"] == "running"
            recover(world, tiny)
        found = points.points(directory, "loss")
        assert counted(counter) <= len(found.steps) <= counted(counter) + 1
        assert list(map(int, found.steps)) == list(range(len(found.steps)))
        sealed = record(tiny, run)
        assert sealed["status"] == ("lost" if whom == "tool" else "failed")
        assert ("recovered" in sealed) == (whom == "tool")
        assert (directory / "SHA256SUMS").is_file()
    assert list((tiny / ".entrenar/staging").iterdir()) == []


def test_what_lives_is_left_alone(world: World, study: Path, tmp_path: Path) -> None:
    with running(world, study, tmp_path / "counter", "5", "wait"):
        (run,) = ids(study)
        before = faults.contents(study / "runs")
        for words in ((), (run,), ("--dry-run",)):
            (item,) = recover(world, study, *words)
            assert (item["was"], item["now"], item["reason"]) == ("alive", None, "a process still writes it")
        assert faults.contents(study / "runs") == before
        said = world.tool("runs", "remove", run, "--yes", "--force", cwd=study, status=2).stderr
        assert f"run {run} is going on" in said


def test_a_script_that_ended_by_itself_is_sealed(world: World, study: Path, tmp_path: Path) -> None:
    world.run(sys.executable, "train.py", tmp_path / "counter", "7", cwd=study)
    (run,) = ids(study)
    report = checking.check(study)
    assert checking.passes(report)
    (open_run,) = (item for item in report.findings if item.subject == f"runs/{run}")
    assert (open_run.verdict.value, "runs recover" in open_run.detail) == ("unknown", True)
    text = (study / "runs" / run / "run.yaml").read_text()
    (item,) = recover(world, study, "--dry-run")
    assert (item["was"], item["now"], item["points"]) == ("not sealed", "completed", 7)
    assert (study / "runs" / run / "run.yaml").read_text() == text
    said = world.tool("runs", "recover", cwd=study).stdout
    assert said.splitlines()[0].split() == ["run", "was", "now", "points", "damaged"]
    assert said.splitlines()[1].split() == [run, "not", "sealed", "completed", "7", "0"]
    sealed = record(study, run)
    assert (sealed["status"], sealed["series"]["loss"]["points"], "recovered" in sealed) == ("completed", 7, False)
    assert sorted(path.name for path in (study / "runs" / run).iterdir()) == [
        "SHA256SUMS", "metrics.parquet", "run.yaml", "spans.parquet",
    ]  # fmt: skip
    assert "there is nothing to recover" in world.tool("runs", "recover", cwd=study).stdout


def test_a_script_killed_after_its_last_word(world: World, study: Path) -> None:
    log = three_points()
    log.note("end", status="completed")
    lose(study, "20260101T000000000Z-alone-aaaa", log)
    child = EventLogWriter("99-bbbb")
    child.note("end", status="failed")  # of a child process: it says nothing about the run
    child.write(study / "runs" / "20260101T000000000Z-alone-aaaa")
    (item,) = recover(world, study)
    assert (item["was"], item["now"]) == ("lost", "completed")
    assert record(study, item["run"])["ended"] == "2023-11-14T22:13:20.000Z"


def test_a_run_of_another_machine(world: World, study: Path) -> None:
    other = {"machine": "sha256:0123456789abcdef", "process": 4711}
    lose(study, "20260101T000000000Z-alone-aaaa", holder=other)
    (item,) = recover(world, study)
    assert (item["was"], item["now"]) == ("elsewhere", None)
    assert "name it" in item["reason"]
    (item,) = recover(world, study, "aaaa")
    assert item["now"] == "lost"
    assert record(study, item["run"])["params"] == {"rank": 16}


def test_damaged_logs_stay_beside_what_could_be_read(world: World, study: Path) -> None:
    log = three_points()
    directory = lose(study, "20260101T000000000Z-alone-aaaa", log)
    EventLogWriter("12-cccc").write(directory)
    path = directory / "events/4711-abcd.events"
    damaged = bytearray(path.read_bytes())
    second_point = layout.HEADER_SIZE + 3 * layout.SLOT  # after the text and the key, and the first point
    damaged[second_point + 28] = 77
    path.write_bytes(damaged)
    (item,) = recover(world, study)
    (words,) = item["damaged"]
    assert words == f"events/4711-abcd.events: byte {second_point}: an unknown mark (77)"
    assert item["points"] == 2
    assert path.read_bytes() == damaged
    assert [log.name for log in path.parent.iterdir()] == [path.name]
    assert list(map(float, points.points(directory, "loss").values)) == [3.0, 1.0]
    assert record(study, item["run"])["telemetry"]["damaged"] == [words]
    assert checking.passes(checking.check(study))
    assert recover(world, study) == []


def test_an_artifact_that_is_not_as_logged_is_named(world: World, study: Path) -> None:
    log = three_points()
    for name in ("here", "gone"):
        log.note("artifact", path=f"artifacts/{name}", digest="sha256:" + "00" * 32, size=4, artifact_kind="file")
    directory = lose(study, "20260101T000000000Z-alone-aaaa", log)
    (directory / "artifacts").mkdir()
    (directory / "artifacts/here").write_text("other bytes")
    (item,) = recover(world, study)
    assert [words.partition(":")[0] for words in item["damaged"]] == ["artifacts/here", "artifacts/gone"]
    (kept,) = record(study, item["run"])["artifacts"]
    assert (kept["path"], kept["size"], kept["digest"] != "sha256:" + "00" * 32) == ("artifacts/here", 11, True)
    assert checking.passes(checking.check(study))


def test_lineage_has_lamport_times(world: World, study: Path) -> None:
    first, second, third = (f"2026010{day}T000000000Z-alone-aaa{day}" for day in (1, 2, 3))
    lose(study, first)
    for name, above in ((second, (first,)), (third, (first, second, "20250101T000000000Z-alone-else"))):
        log = three_points()
        for run in above:
            log.note("parent", run=run, relationship="fine_tuned_from")
        lose(study, name, log)
    recover(world, study)
    assert [record(study, run).get("lineage", {}).get("lamport") for run in (first, second, third)] == [None, 1, 2]
    assert [parent.get("lamport") for parent in record(study, third)["lineage"]["parents"]] == [0, 1, None]


def test_newer_records_are_read_only(world: World, study: Path) -> None:
    directory = lose(study, "20260101T000000000Z-alone-aaaa", schema=7, novelty=True)
    text = (directory / "run.yaml").read_bytes()
    words = "written by a newer version (schema 7; this version knows 1)"
    (item,) = recover(world, study, status=1)
    assert (item["was"], item["now"], words in item["reason"]) == ("unreadable", None, True)
    report = checking.check(study)
    assert checking.passes(report)
    assert any(words in finding.detail for finding in report.findings)
    for command in (("runs", "recover", "aaaa"), ("runs", "show", "aaaa"), ("runs", "compare", "aaaa", "aaaa")):
        assert words in world.tool(*command, cwd=study, status=2).stderr, command
    assert (directory / "run.yaml").read_bytes() == text


def test_what_was_never_begun_is_dropped(world: World, study: Path) -> None:
    lose(study, "20260101T000000000Z-alone-aaaa")
    for name, log in (("20260101T000000000Z-alone-bbbb", EventLogWriter()), ("points", three_points())):
        directory = lose(study, name, log)
        (directory / "run.yaml").unlink()
        os.utime(directory, (0, 0))
    recover(world, study)
    assert ids(study) == ["20260101T000000000Z-alone-aaaa", "points"]


def test_without_pyarrow_the_logs_stay(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = lose(study, "20260101T000000000Z-alone-aaaa")
    monkeypatch.setattr(series_files, "available", lambda: False)
    sealed = sealing.seal_run(StudyFiles(study), RunFiles(study).load(directory.name))
    assert (sealed.series["loss"].points, sealed.params) == (3, {"rank": 16})
    assert (directory / "events/4711-abcd.events").stat().st_size == len(three_points().data)
    assert sorted(path.name for path in directory.iterdir()) == ["SHA256SUMS", "events", "run.yaml"]
    assert points.points(directory, "loss").values == [3.0, 2.0, 1.0]
    assert checking.passes(checking.check(study))
