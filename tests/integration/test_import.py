"""`entrenar-research import` as a person uses it, and what happens when it is killed, doubled or given bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entrenar_research.models.verdict import Verdict
from entrenar_research.store import sums
from entrenar_research.store.foreign import import_files
from entrenar_research.store.logged import points
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World
from tests.unit.importing import foreign
from tests.unit.importing.foreign import START, scalar, write_events, write_mlflow

LINES = [f"{START + step}000 {step / 7!r} {step}\n" for step in range(4000)]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """As little as makes a study."""
    root = tmp_path / "study"
    root.mkdir()
    (root / "study.yaml").write_text("title: T\nauthors: [{family: Lovelace}]\nlicense: MIT\n")
    return root


def whole(root: Path) -> set[str]:
    """The runs of a study, each of which is closed and complete."""
    runs = RunFiles(root)
    for run_id in runs.ids():
        found = sums.check(runs.directory(run_id), run_id, area="runs", closed=True)
        assert {item.verdict for item in found} == {Verdict.IDENTICAL}, found
        assert len(points.points(runs.directory(run_id), "loss").steps) == 4000
    inside = {path.name for path in (root / "runs").iterdir()} if (root / "runs").is_dir() else set()
    assert inside == set(runs.ids())
    return inside


def test_as_a_person_sees_it(world: World, study: Path, tmp_path: Path) -> None:
    place = write_mlflow(tmp_path / "theirs")
    kept = place / "mlruns/7/0123abcd/artifacts"
    kept.mkdir()
    (kept / "plot.svg").write_text("<svg/>")
    (kept / "model.pkl").write_bytes(b"\x80\x04N.")
    (kept / "model.ckpt").write_bytes(b"anything")
    trial = world.tool("import", "mlflow", place, "--dry-run", cwd=study).stdout
    assert "would import 1 run with 3 points" in trial
    assert not (study / "runs").exists()
    said = world.tool("import", "mlflow", place, cwd=study).stdout
    lines = said.splitlines()
    assert lines[0].split() == ["run", "experiment", "status", "metrics", "points", "was"]
    assert lines[1].split()[1:] == ["demo", "completed", "1", "3", "brave"]
    assert "  1 x artifact model.pkl (a format that can run code: not copied)" in lines
    assert "  1 x artifact model.ckpt (a format that can run code: not copied)" in lines
    assert "left out, since it names people, accounts, machines or their directories:" in lines
    assert lines[-1] == "imported 1 run with 3 points"
    [run_id] = RunFiles(study).ids()
    record = RunFiles(study).load(run_id)
    assert [artifact.path for artifact in record.artifacts] == ["artifacts/plot.svg"]
    assert (study / "runs" / run_id / "artifacts/plot.svg").read_text() == "<svg/>"
    again = world.tool("import", "mlflow", place, "--format", "json", cwd=study)
    assert json.loads(again.stdout)["known"] == {"mlflow:0123abcd": run_id}
    assert run_id in world.tool("runs", "list", cwd=study).stdout


def test_artifacts_can_be_left_out(world: World, study: Path, tmp_path: Path) -> None:
    place = write_mlflow(tmp_path / "theirs")
    (place / "mlruns/7/0123abcd/artifacts").mkdir()
    (place / "mlruns/7/0123abcd/artifacts/f").write_text("x")
    said = world.tool("import", "mlflow", place, "--no-artifacts", cwd=study).stdout
    assert "  1 x artifact (--no-artifacts)" in said
    [run_id] = RunFiles(study).ids()
    assert not (study / "runs" / run_id / "artifacts").exists()


def test_the_wrong_words(world: World, study: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = world.tool("import", "wandb", tmp_path / "empty", cwd=study, status=2).stderr
    assert "no runs of wandb: looked for files `offline-run-*/run-*.wandb`; found an empty directory" in said
    assert "did you mean `mlflow`?" in world.tool("import", "mlfow", ".", cwd=study, status=2).stderr
    assert "not inside a study" in world.tool("import", "mlflow", ".", cwd=tmp_path / "empty", status=2).stderr
    said = world.tool("import", "--help", cwd=tmp_path).stdout
    assert "mlflow, tensorboard, wandb" in said


def test_one_bad_run_does_not_stop_the_others(world: World, study: Path, tmp_path: Path) -> None:
    place = tmp_path / "theirs"
    for run_id in ("a1", "b2", "c3"):
        write_mlflow(place, run_id)
    (place / "mlruns/7/b2/meta.yaml").write_text("run_id: b2\nrun_name: [\n")
    os.mkfifo(place / "mlruns/7/c3/metrics/pipe")
    (place / "mlruns/7/a1/metrics/loss").write_bytes(b"1700000000000 0.5 0\nrubbish\n1700000001000 nan 1\n\xff\xfe\n")
    done = world.tool("import", "mlflow", place, cwd=study, status=1)
    assert "b2/meta.yaml, line " in done.stdout
    assert "metrics/loss, byte 20: expected `time value step`; found 'rubbish'" in done.stdout
    assert "imported 2 runs with 5 points; 1 problem" in done.stdout
    loaded = {record.imported: record for record in RunFiles(study).records()}
    assert loaded["mlflow:a1"].series["loss"].points == 2
    assert any("rubbish" in words for words in loaded["mlflow:a1"].warnings)


def test_steps_that_cannot_be_kept_are_counted_and_written_down(world: World, study: Path, tmp_path: Path) -> None:
    lines = ["1700000000000 1 -4\n", "1700000000001 2 0.5\n", f"1700000000002 3 {2**70}\n", "1700000000003 4 7\n"]
    world.tool("import", "mlflow", write_mlflow(tmp_path / "theirs", lines=lines), cwd=study)
    [run_id] = RunFiles(study).ids()
    directory = RunFiles(study).directory(run_id)
    read = points.points(directory, "loss")
    assert (list(map(int, read.steps)), list(map(float, read.values))) == ([0, 1, 2, 3], [1.0, 2.0, 3.0, 4.0])
    assert json.loads((directory / "import.json").read_text())["steps"] == {"loss": [-4, "0.5", str(2**70), 7]}


def test_times_that_cannot_be_kept(world: World, study: Path, tmp_path: Path) -> None:
    events = [scalar("loss", 0, 1, float("nan")), scalar("loss", 1, 2, -5.0), scalar("loss", 2, 3, 1e300)]
    write_events(tmp_path / "logs" / "events.out.tfevents.1", events)
    said = world.tool("import", "tensorboard", tmp_path / "logs", cwd=study).stdout
    assert "3 x wall time (it is not between 1970 and 2262, the point has the time 0)" in said
    [run_id] = RunFiles(study).ids()
    assert list(map(int, points.points(RunFiles(study).directory(run_id), "loss").times)) == [0, 0, 0]


def test_files_of_one_run_are_read_in_the_order_of_their_names(world: World, study: Path, tmp_path: Path) -> None:
    for number in (3, 1, 2):
        write_events(
            tmp_path / "logs" / f"events.out.tfevents.{number}", [scalar("loss", number, number, float(START))]
        )
    world.tool("import", "tensorboard", tmp_path / "logs", cwd=study)
    [run_id] = RunFiles(study).ids()
    assert list(map(int, points.points(RunFiles(study).directory(run_id), "loss").steps)) == [1, 2, 3]


def test_a_resumed_run_of_wandb_is_one_run(world: World, study: Path, tmp_path: Path) -> None:
    for day, steps in ((1, range(3)), (2, range(3, 5))):
        directory = tmp_path / "theirs" / f"offline-run-2023010{day}_000000-abcd1234"
        directory.mkdir(parents=True)
        rows = [foreign.wandb_row(step, {"loss": step, "_timestamp": START + step}) for step in steps]
        log = foreign.wandb_log([foreign.wandb_run(), *rows, foreign.wandb_exit(day - 2)])
        (directory / "run-abcd1234.wandb").write_bytes(log)
    world.tool("import", "wandb", tmp_path / "theirs", cwd=study)
    [record] = RunFiles(study).records()
    assert (record.series["loss"].points, record.status) == (5, "completed")


def holds_something(directory: Path) -> bool:
    try:
        return bool(os.listdir(directory))
    except FileNotFoundError:  # it comes and goes while it is looked at
        return False


def test_killed_at_any_moment_it_leaves_whole_runs_or_nothing(world: World, study: Path, tmp_path: Path) -> None:
    place = tmp_path / "theirs"
    for number in range(12):
        write_mlflow(place, f"run{number:02d}", lines=LINES)
    command = [str(Path(sys.executable).parent / "entrenar-research"), "import", "mlflow", str(place)]
    seen = set[str]()
    for wanted in (0, 1, 3, 6, 9):
        child = subprocess.Popen(command, cwd=study, env=world.environment, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        area, runs = study / ".entrenar/importing/study/runs", study / "runs"
        while time.monotonic() < deadline and child.poll() is None:
            if holds_something(area) and (sum(1 for _ in runs.iterdir()) if runs.is_dir() else 0) >= wanted:
                break
            time.sleep(0.001)
        child.send_signal(signal.SIGKILL)
        child.wait()
        now = whole(study)
        assert seen <= now
        seen = now
    assert len(seen) < 12
    world.tool("import", "mlflow", place, cwd=study)
    assert len(whole(study)) == 12
    assert len(import_files.known(StudyFiles(study))) == 12
    assert [path.name for path in (study / ".entrenar/importing").iterdir()] == ["lock"]


def test_two_imports_at_once_bring_each_run_once(world: World, study: Path, tmp_path: Path) -> None:
    place = tmp_path / "theirs"
    for number in range(6):
        write_mlflow(place, f"run{number}", lines=LINES)
    command = [str(Path(sys.executable).parent / "entrenar-research"), "import", "mlflow", str(place)]
    both = [subprocess.Popen(command, cwd=study, env=world.environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [child.wait(timeout=120) for child in both] == [0, 0]
    assert len(whole(study)) == 6
    assert len(import_files.known(StudyFiles(study))) == 6


def test_what_may_not_be_read_is_named(world: World, study: Path, tmp_path: Path, as_root: None) -> None:
    place = tmp_path / "theirs"
    write_mlflow(place, "a1")
    write_mlflow(place, "b2")
    (place / "mlruns/7/b2/metrics/loss").chmod(0)
    for path in (tmp_path, *tmp_path.parents):
        if path.name.startswith(("test_", "popen-", "pytest-")):
            path.chmod(0o755)
    study.chmod(0o777)
    tool = str(Path(sys.executable).parent / "entrenar-research")
    account = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
    done = world.run(*account, tool, "import", "mlflow", place, cwd=study, status=1, env={"HOME": "/nonexistent"})
    assert "metrics/loss: Permission denied" in done.stdout
    assert "imported 2 runs with 3 points" in done.stdout
