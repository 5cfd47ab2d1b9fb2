"""The client where the file system refuses: a full disk in mid-run, and a study that may only be read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.client import reading
from entrenar_research.models.run import RunRecord
from entrenar_research.store.yaml_text import Document

pytestmark = pytest.mark.slow

TRAIN = """
import os, pathlib, sys
import entrenar_research as er

steps, room = int(sys.argv[1]), int(sys.argv[2])
run = er.start_run("train")
filler = pathlib.Path("filler")
for step in range(steps):
    run.log_metric("loss", step / 2, step)
    if step == steps // 2:
        if room >= 0:
            with filler.open("wb", buffering=0) as stream:
                free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize - room
                while free > 0:
                    free -= stream.write(bytes(min(free, 1 << 16)))
print("trained")
if len(sys.argv) > 3:
    filler.unlink()
run.finish()
"""


@pytest.fixture
def small(as_root: None, tmp_path: Path) -> Iterator[Path]:
    """A study on a file system of 4 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        (place / "study.yaml").write_text("title: A study\n")
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def train(study: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ENTRENAR_", "TRACEPARENT"))}
    argv = [sys.executable, "-c", TRAIN, *words]
    done = subprocess.run(argv, cwd=study, env=inherited, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == status, done.stderr
    return done


def found(study: Path) -> tuple[Path, reading.Log]:
    (directory,) = (study / "runs").iterdir()
    (path,) = (directory / "events").iterdir()
    log = reading.read(path)
    assert not log.damaged
    return directory, log


def test_training_goes_on_when_the_disk_is_full(small: Path) -> None:
    """The log has 1 MiB, which is 32766 slots; what comes after is lost, counted, and said once."""
    done = train(small, "60000", "8192")
    directory, log = found(small)
    kept = len(log.steps)
    assert log.steps == list(range(kept))
    assert log.values == [step / 2 for step in range(kept)]
    assert 32_000 < kept < 60_000
    assert log.lost >= 60_000 - kept
    assert done.stdout == "trained\n"
    reason = "could not be kept: No space left on device"
    assert done.stderr == f"entrenar-research: run {directory.name}: {log.lost} points or notes {reason}\n"
    record = Document((directory / "run.yaml").read_text(), "run.yaml").convert(RunRecord)
    assert record.status == "completed"
    assert record.telemetry is not None
    assert (record.telemetry.points, record.telemetry.lost) == (kept, log.lost)
    assert record.telemetry.reason == "No space left on device"


def test_smaller_pieces_are_taken_where_there_is_some_room(small: Path) -> None:
    train(small, "40000", str(300 << 10))
    _, log = found(small)
    assert log.lost == 0
    assert log.steps == list(range(40_000))


def test_a_disk_without_a_byte_left(small: Path) -> None:
    """Closing the log gives back what was set aside for it: there is room for the record again."""
    train(small, "200", "0")
    directory, log = found(small)
    assert (len(log.steps), log.lost, log.closed) == (200, 0, True)
    assert Document((directory / "run.yaml").read_text(), "run.yaml").convert(RunRecord).status == "completed"


def test_a_start_on_a_full_disk(small: Path) -> None:
    with (small / "filler").open("wb", buffering=0) as stream:
        stream.write(bytes(os.statvfs(small).f_bavail * os.statvfs(small).f_frsize))
    done = train(small, "10", "-1", status=1)
    assert "StorageError: cannot make" in done.stderr
    assert "No space left on device" in done.stderr
    assert not list((small / "runs").glob("*"))


def test_an_artifact_that_does_not_fit(small: Path) -> None:
    text = """
import entrenar_research as er
with er.start_run("a") as run:
    try:
        run.log_artifact(bytes(8 << 20), "big.bin")
    except er.ResearchError as error:
        print(error.message)
        print(error.hint)
    run.log_metric("x", 1)
"""
    done = subprocess.run([sys.executable, "-c", text], cwd=small, capture_output=True, text=True, check=True)
    assert done.stdout == (
        "cannot keep the artifact big.bin: No space left on device\nfree some space, then start again\n"
    )
    directory, log = found(small)
    assert log.values == [1.0]
    assert not list((directory / "artifacts").iterdir())


def test_a_study_that_may_only_be_read(small: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    done = train(small, "10", "-1", status=1)
    assert f"StorageError: cannot make a run in {small}/runs: Read-only file system" in done.stderr
