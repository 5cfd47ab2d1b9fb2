"""`runs recover` cut off anywhere, refused space, called several times at once, and where nothing may be written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.store import run_files
from entrenar_research.store.logged import points
from tests.conftest import World
from tests.event_logs import EventLogWriter
from tests.integration import checking, faults
from tests.integration.open_runs import STUDY, ids, lose, record, recover, three_points


@pytest.fixture(autouse=True)
def _in_the_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def left_open(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a lost run, one that was never sealed, and one whose log is damaged."""
    place = tmp_path_factory.mktemp("left") / "alone"
    place.mkdir()
    (place / "study.yaml").write_text(STUDY)
    lose(place, "20260101T000000000Z-alone-aaaa")
    lose(place, "20260102T000000000Z-alone-bbbb", status="completed", ended="2026-01-02T00:00:01.000Z")
    log = three_points()
    log.data[-1] = 9
    directory = lose(place, "20260103T000000000Z-alone-cccc", log)
    log = EventLogWriter("12-cccc")
    log.points(log.key("other"), [5.0])
    log.write(directory)
    return place


def outcome(study: Path) -> dict[str, Any]:
    """What is the same whenever and however often the study was recovered."""
    found = {}
    for directory in sorted((study / "runs").iterdir()):
        sealed = {key: value for key, value in record(study, directory.name).items() if key != "recovered"}
        values = {key: list(map(float, points.points(directory, key).values)) for key in points.keys(directory)}
        found[directory.name] = (sealed, values, sorted(faults.contents(directory)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "no space"])
def test_recovering_can_be_cut_off_anywhere(world: World, left_open: Path, tmp_path: Path, how: str) -> None:
    faults.need_strace()
    after = faults.copy(left_open, tmp_path / "after" / "alone")
    found = faults.points(world, after, ("runs", "recover"), tmp_path / "log")
    expected = outcome(after)
    assert len(found) > 20
    refused = 0
    refusable = [item for item in found if item.call in ("openat", "write", "fsync", "mkdir", "rename")]
    for number, point in enumerate(faults.spread(found if how == "killed" else refusable, 14)):
        study = faults.copy(left_open, tmp_path / str(number) / "alone")
        if how == "killed":
            faults.killed(world, study, ("runs", "recover"), point, tmp_path / "log")
        else:
            inject = ("-e", f"trace={point.call}", "-e", f"inject={point.call}:error=ENOSPC:when={point.nth}")
            done = faults.traced(world, study, ("runs", "recover"), *inject, log=tmp_path / "log")
            assert done.returncode == 0 or "No space left on device" in done.stderr, (point, done.stderr)
            refused += done.returncode != 0
        for run in ids(study):
            run_files.read_record(study / "runs" / run)  # never half-written
        recover(world, study)
        assert outcome(study) == expected, point
        assert checking.passes(checking.check(study))
        assert list(study.rglob("*.part")) == [], point
    assert refused > 7 or how == "killed"


def test_two_at_once(world: World, left_open: Path, tmp_path: Path) -> None:
    study = shutil.copytree(left_open, tmp_path / "alone")
    both = [
        subprocess.Popen(["entrenar-research", "runs", "recover"], cwd=study, env=world.environment) for _ in range(3)
    ]
    assert [process.wait() for process in both] == [0, 0, 0]
    assert checking.passes(checking.check(study))
    assert all((study / "runs" / run / "SHA256SUMS").is_file() for run in ids(study))
    assert recover(world, study) == []


def test_a_study_that_may_only_be_read(world: World, left_open: Path, tmp_path: Path, as_root: None) -> None:
    study = shutil.copytree(left_open, tmp_path / "alone")
    script = f"mount --bind {study} {study} && mount -o remount,ro,bind {study} && exec entrenar-research runs recover"
    tried = ["unshare", "-m", "sh", "-c", f"mount --bind {study} {study} && mount -o remount,ro,bind {study}"]
    if subprocess.run(tried, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount")
    done = world.run("unshare", "-m", "sh", "-c", script, cwd=study, status=1)
    assert "Read-only file system" in done.stderr
    assert "hint: the file system is mounted read-only" in done.stderr
    dry = script + " --dry-run"
    assert "would be" in world.run("unshare", "-m", "sh", "-c", dry, cwd=study).stdout
