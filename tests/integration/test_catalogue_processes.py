"""The catalogue among several processes, users and machines: no error reaches anybody, and no run is missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import World
from tests.runs_on_disk import listed, new_study, put, record, run_id

ROOT = Path(__file__).resolve().parent.parent.parent
TOOL = Path(sys.executable).with_name("entrenar-research")
SECONDS = 3.0
TRAIN = """\
import sys, time
import entrenar_research as er

with er.start_run("lora", params={"rank": 8}) as run:
    for step in range(10):
        run.log_metric("loss", 1 / (1 + step), step)
    run.add_warning("careful")
    print("ready", flush=True)
    sys.stdin.readline()
    run.log_metric("loss", 0.0625, 10)
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return new_study(tmp_path / "study")


def many(study: Path, count: int) -> list[str]:
    """Closed runs, made quickly: they are copies of one, with their own ids."""
    first = put(study, record(0, metrics={"loss": 0.0}))
    text = (first / "run.yaml").read_text()
    for number in range(1, count):
        place = study / "runs" / run_id(number)
        place.mkdir()
        (place / "run.yaml").write_text(text.replace(run_id(0), run_id(number)))
    return [run_id(number) for number in range(count)]


def start(world: World, *words: str | Path, cwd: Path) -> subprocess.Popen[str]:
    """Starts a program in the world's environment, with pipes."""
    return subprocess.Popen(
        [str(word) for word in words],
        cwd=cwd,
        env={**world.environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> str:
    """Closes the input of a program and waits; what it said, which must not have been a complaint."""
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    return out


def test_two_build_it_at_once(study: Path, world: World) -> None:
    ids = many(study, 600)
    builders = [start(world, TOOL, "runs", "list", "--format", "json", cwd=study) for _ in range(3)]
    for builder in builders:
        out, err = builder.communicate(timeout=60)
        assert builder.returncode == 0
        assert "599 runs have ended and are not sealed yet" in err
        assert [run["id"] for run in json.loads(out)] == ids
    assert listed(study) == ids


def test_listing_making_and_copying_at_once(study: Path, world: World, tmp_path: Path) -> None:
    source = new_study(tmp_path / "source")
    copied = [put(source, record(number, "copied", metrics={"loss": 0.5})).name for number in range(100)]
    (study / "runs").mkdir()
    job = Path(__file__).with_name("listing_job.py")
    listers = [start(world, sys.executable, job, "list", study, cwd=study) for _ in range(2)]
    maker = start(world, sys.executable, job, "make", study, cwd=study)
    end = time.monotonic() + SECONDS
    for name in copied:
        world.run(*copy_command(source / "runs" / name, study / "runs"), cwd=study)
    while time.monotonic() < end:
        time.sleep(0.05)
    made = json.loads(ended(maker))["made"]
    for lister in listers:
        said = json.loads(ended(lister))
        assert said["missing"] == []
        assert said["times"] > 1
    assert listed(study) == sorted([*copied, *(run_id(number, "made") for number in range(made))])


def copy_command(source: Path, target: Path) -> list[str | Path]:
    """What copies a directory with its times: rsync where there is one, otherwise cp."""
    return ["rsync", "-a", source, f"{target}/"] if shutil.which("rsync") else ["cp", "-a", source, target]


def test_a_copy_with_all_times_appears(study: Path, world: World, tmp_path: Path) -> None:
    put(study, record(0))
    other = new_study(tmp_path / "other")
    put(other, record(1, "elsewhere"))
    os.utime(study / "runs", (10**9, 10**9))
    os.utime(other / "runs", (10**9, 10**9))
    assert listed(study) == [run_id(0)]
    world.run(*copy_command(other / "runs", study), cwd=tmp_path)
    assert (study / "runs").stat().st_mtime == 10**9, "the copy has set the time back"
    assert listed(study) == [run_id(0), run_id(1, "elsewhere")]


def test_a_builder_that_was_killed(study: Path, world: World) -> None:
    ids = many(study, 1500)
    for after in (0.25, 0.4, 0.6):
        builder = start(world, TOOL, "runs", "list", cwd=study)
        time.sleep(after)
        builder.kill()
        builder.communicate()
        assert [
            run["id"] for run in json.loads(world.tool("runs", "list", "--format", "json", cwd=study).stdout)
        ] == ids
        if after == 0.25:
            (study / ".entrenar/catalogue.sqlite").unlink()


def test_a_builder_that_was_interrupted_is_quiet(study: Path, world: World) -> None:
    many(study, 3000)
    builder = start(world, TOOL, "runs", "list", cwd=study)
    while not (study / ".entrenar/catalogue.sqlite").is_file():
        time.sleep(0.01)
    time.sleep(0.3)
    builder.send_signal(signal.SIGINT)
    out, err = builder.communicate(timeout=60)
    assert (builder.returncode, out, err) == (130, "", "error: interrupted\n")


@pytest.fixture
def nobody(tmp_path: Path) -> list[str]:
    """The words that run a command as somebody who may read `tmp_path` and write nothing; needs root."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for place in (tmp_path, *tmp_path.parents):
        if place.name.startswith(("test_", "popen-", "pytest-")):  # what pytest made
            place.chmod(0o755)
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


def test_a_study_that_may_only_be_read(study: Path, world: World, nobody: list[str]) -> None:
    ids = [put(study, record(number, metrics={"loss": float(number)})).name for number in range(3)]
    command = [*nobody, str(TOOL), "runs", "list", "--sort", "loss:desc", "--format", "csv", "--columns", "run"]
    for _ in range(2):  # without a catalogue, and with the owner's
        said = world.run(*command, cwd=study)
        assert (said.stdout.split(), said.stderr) == (["run", *ids[::-1]], "")
        listed(study)
    ids.append(put(study, record(7, metrics={"loss": 7.0})).name)
    said = world.run(*command, cwd=study)
    assert (said.stdout.split(), said.stderr) == (["run", *ids[::-1]], "")
    (study / ".entrenar/catalogue.sqlite").chmod(0)
    said = world.run(*command, cwd=study)
    assert (said.stdout.split(), said.stderr) == (["run", *ids[::-1]], "")
    (study / "runs" / ids[1] / "run.yaml").chmod(0)
    said = world.run(*nobody, TOOL, "runs", "list", cwd=study)
    assert f"warning: runs/{ids[1]}/run.yaml: cannot be read: Permission denied" in said.stderr
    assert [line.split()[2] for line in said.stdout.splitlines()[1:]] == [
        "completed", "damaged", "completed", "completed",
    ]  # fmt: skip


def trained(world: World, study: Path) -> subprocess.Popen[str]:
    """A script that has logged ten points and waits for a line."""
    (study / "train.py").write_text(TRAIN)
    script = start(world, sys.executable, "train.py", cwd=study)
    assert script.stdout is not None
    assert script.stdout.readline() == "ready\n"
    return script


def test_watching_a_run_to_its_end(study: Path, world: World) -> None:
    script = trained(world, study)
    watcher = start(world, TOOL, "runs", "watch", "--interval", "0.1", cwd=study)
    assert watcher.stdout is not None
    first = [watcher.stdout.readline() for _ in range(3)]
    assert " running, started " in first[0]
    assert first[1].endswith("step 9  loss 0.1  (10 points so far)\n")
    assert first[2] == "warning: careful\n"
    script.communicate("\n")
    rest, err = watcher.communicate(timeout=30)
    assert (watcher.returncode, err) == (0, "")
    assert rest.splitlines()[0].endswith("  step 10  loss 0.0625")
    assert " completed after " in rest.splitlines()[1]
    said = world.tool("runs", "watch", "lora", cwd=study)
    assert said.stdout.splitlines()[1].endswith("step 10  loss 0.0625  (11 points so far)")


def test_watching_a_run_that_is_killed(study: Path, world: World) -> None:
    script = trained(world, study)
    watcher = start(world, TOOL, "runs", "watch", "--interval", "0.1", cwd=study)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    assert "running" in world.tool("runs", "list", cwd=study).stdout
    script.kill()
    script.communicate()
    rest, err = watcher.communicate(timeout=30)
    assert (watcher.returncode, err) == (1, "")
    assert rest.splitlines()[-2].endswith("-lora-" + rest.splitlines()[-2].split()[0][-4:] + " lost")
    assert rest.splitlines()[-1] == "hint: `entrenar-research runs recover` seals what it has logged"
    said = world.tool("runs", "list", cwd=study)
    assert said.stdout.splitlines()[1].split()[2] == "lost"
    assert said.stderr == "1 run was cut off: `entrenar-research runs recover`\n"
    world.tool("runs", "recover", cwd=study)
    said = world.tool("runs", "list", "--where", "loss=0.1", cwd=study)
    assert (said.stdout.splitlines()[1].split()[2], said.stderr) == ("recovered", "")


def test_ctrl_c_ends_watching_quietly(study: Path, world: World) -> None:
    script = trained(world, study)
    watcher = start(world, TOOL, "runs", "watch", cwd=study)
    assert watcher.stdout is not None
    watcher.stdout.readline()
    watcher.send_signal(signal.SIGINT)
    _, err = watcher.communicate(timeout=30)
    assert (watcher.returncode, err) == (130, "")
    script.communicate("\n")
    assert script.returncode == 0, "the run has not noticed"
