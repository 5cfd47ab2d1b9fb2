"""What kills and stops a sweep, and how it goes on: no trial is lost, none is counted twice."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from tests.conftest import World
from tests.integration.sweeping import GRID, SWEEP, add_toy, begin, counted, seen, until, work, write_sweep


@pytest.fixture
def study(tiny: Path) -> Path:
    return add_toy(tiny)


def workers(study: Path) -> list[int]:
    """The living processes that are workers of `s`."""
    return [int(name.split("-")[0]) for name in SweepFiles(StudyFiles(study)).workers("s")]


def began(study: Path) -> int:
    return len(list(study.glob("began-*")))


def gone(pid: int) -> bool:
    """Whether a process has ended (nobody may have asked for its status yet)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def status_of(study: Path, run: str) -> str:
    return str(yaml.safe_load((study / "runs" / run / "run.yaml").read_text())["status"])


def test_the_trial_of_a_killed_worker_is_done_once_more(world: World, study: Path) -> None:
    (study / "hold").touch()
    running = begin(world, study)
    until(lambda: began(study) == 1)
    os.kill(workers(study)[0], signal.SIGKILL)
    until(lambda: began(study) == 2)
    (study / "hold").unlink()
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, "")
    assert "s: 4 trials: 4 completed, 1 tried again" in out
    first, again, *rest = seen(study)["trials"]
    assert (first["status"], first["reason"]) == ("lost", "its worker was killed")
    assert (again["status"], again["retry_of"], again["slot"]) == ("completed", 0, 0)
    assert again["params"] == first["params"]
    assert [trial["slot"] for trial in rest] == [1, 2, 3]
    assert status_of(study, first["run"]) == "lost"
    run = yaml.safe_load((study / "runs" / again["run"] / "run.yaml").read_text())
    assert run["trial"] == {"sweep": "s", "number": 1, "retry_of": 0}


def test_a_trial_whose_worker_is_killed_twice_has_failed(world: World, study: Path) -> None:
    (study / "hold").touch()
    running = begin(world, study)
    until(lambda: began(study) == 1)
    os.kill(workers(study)[0], signal.SIGKILL)
    until(lambda: began(study) == 2)
    os.kill(workers(study)[0], signal.SIGKILL)
    until(lambda: began(study) == 3)
    (study / "hold").unlink()
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, ""), out
    trials = seen(study)["trials"]
    assert [trial["status"] for trial in trials] == ["lost", "failed", "completed", "completed", "completed"]
    assert trials[1]["reason"] == "its worker was killed, as it was in trial 0 with the same parameters"
    assert len(counted(trials)) == 4


def test_another_worker_takes_over_from_a_killed_one(world: World, study: Path) -> None:
    write_sweep(study, SWEEP.replace("trials: 4", "trials: 2"))
    (study / "hold").touch()
    running = begin(world, study, "--workers", "2")
    until(lambda: began(study) == 2)
    victim = next(trial for trial in seen(study)["trials"] if trial["number"] == 1)
    os.kill(int(victim["worker"].split("-")[0]), signal.SIGKILL)
    (study / "hold").unlink()
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, ""), out
    assert [trial["status"] for trial in counted(seen(study)["trials"])] == ["completed", "completed"]


def test_ctrl_c_records_what_ran_as_cancelled_and_resume_goes_on(world: World, study: Path) -> None:
    (study / "hold").touch()
    running = begin(world, study, "--workers", "2")
    until(lambda: began(study) == 2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err.splitlines() == [
        "error: s was interrupted: 0 of 4 trials are done, what ran is recorded as cancelled",
        "hint: go on with `entrenar-research sweep run s --resume`",
    ]
    (study / "hold").unlink()
    trials = seen(study)["trials"]
    assert [trial["status"] for trial in trials] == ["cancelled", "cancelled"]
    assert {status_of(study, trial["run"]) for trial in trials} == {"cancelled"}
    assert workers(study) == []
    said = world.tool("sweep", "run", "s", cwd=study, status=2)
    assert said.stderr.startswith("error: s was begun before: 0 of 4 trials are done\nhint: go on with ")
    world.tool("sweep", "run", "s", "--resume", cwd=study)
    after = seen(study)["trials"]
    assert [trial["status"] for trial in counted(after)] == ["completed"] * 4
    assert [trial.get("retry_of") for trial in after] == [None, None, 0, 1, None, None]


def test_a_killed_leader_leaves_no_workers(world: World, study: Path) -> None:
    (study / "hold").touch()
    running = begin(world, study, "--workers", "2")
    until(lambda: began(study) == 2)
    pids = workers(study)
    running.kill()
    running.communicate()
    until(lambda: workers(study) == [])
    until(lambda: all(gone(pid) for pid in pids))
    trials = seen(study)["trials"]
    assert [trial["status"] for trial in trials] == ["cancelled", "cancelled"]


def test_a_failing_trial_is_recorded_and_the_sweep_goes_on(world: World, study: Path) -> None:
    write_sweep(study, GRID.replace("[1.0, 2.0,", "[1.0, 13.0,"))
    said = world.tool("sweep", "run", "s", cwd=study)
    assert "s: 6 trials: 5 completed, 1 failed" in said.stdout
    failed = seen(study)["trials"][1]
    assert failed["reason"] == "the command of toy ended with exit status 1: unlucky thirteen"
    assert status_of(study, failed["run"]) == "failed"
    assert world.tool("sweep", "run", "s", "--resume", cwd=study).stdout.startswith("s: 6 trials: 5 completed")


def test_three_failures_at_the_beginning_stop_it(world: World, study: Path) -> None:
    write_sweep(
        study, GRID.replace("x: [1.0", "optimizer: [sgd, adam]\n  x: [13.0").replace(", 2.0, 3.0, 4.0, 5.0, 6.0", "")
    )
    script = study / "experiments/toy/toy.py"
    good = script.read_text()
    script.write_text(good.replace("if x == 13:", "if True:"))
    write_sweep(study, GRID)
    said = world.tool("sweep", "run", "s", cwd=study, status=1)
    assert said.stderr.splitlines()[0] == (
        "error: s was stopped: its first 3 trials all failed. "
        "Trial 2: the command of toy ended with exit status 1: unlucky thirteen"
    )
    assert len(seen(study)["trials"]) == 3
    script.write_text(good)
    world.tool("sweep", "run", "s", "--retry-failed", cwd=study)
    after = seen(study)["trials"]
    assert [trial["status"] for trial in counted(after)] == ["completed"] * 6
    assert [trial.get("retry_of") for trial in after] == [None, None, None, 0, 1, 2, None, None, None]


def test_what_no_trial_could_do_stops_at_once(world: World, study: Path) -> None:
    declaration = study / "experiments/toy/experiment.yaml"
    text = declaration.read_text()
    declaration.write_text(text.replace("python experiments", "no-such-python experiments"))
    said = world.tool("sweep", "run", "s", "--workers", "2", cwd=study, status=2)
    assert said.stderr.startswith("error: command not found: no-such-python\nhint: install no-such-python")
    declaration.write_text(text)
    world.tool("sweep", "run", "s", "--resume", cwd=study)
    assert [trial["status"] for trial in counted(seen(study)["trials"])] == ["completed"] * 4


def killed_after(world: World, study: Path, seconds: float) -> None:
    """Begins a sweep with two workers, and kills all of it so long after the first worker is there."""
    running = subprocess.Popen(
        ["entrenar-research", "sweep", "run", "s", "--resume", "--workers", "2"],
        cwd=study, env=world.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until(lambda: bool(workers(study)) or running.poll() is not None)
    time.sleep(seconds)
    for pid in (running.pid, *workers(study)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert running.communicate()[1] == ""


def test_killed_at_random_moments_every_point_is_done_once(world: World, study: Path) -> None:
    values = [float(number) for number in range(20, 44)]
    write_sweep(study, GRID.replace("[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", str(values)))
    chance = random.Random(3)
    for _ in range(5):
        killed_after(world, study, chance.random() * 1.5)
        until(lambda: workers(study) == [])
    work(world, study)
    trials = seen(study)["trials"]
    last = counted(trials)
    assert sorted(trial["params"]["x"] for trial in last) == values
    assert len(last) == 24
    assert {trial["status"] for trial in last} <= {"completed", "failed"}
    assert all("killed" in trial["reason"] for trial in last if trial["status"] == "failed")
    done = [trial["params"]["x"] for trial in trials if trial["status"] == "completed"]
    assert len(done) == len(set(done))
    runs = {trial["run"] for trial in trials}
    assert {path.name for path in (study / "runs").iterdir() if "-toy-" in path.name} <= runs
    assert list((study / ".entrenar" / "staging").iterdir()) == []


def test_a_torn_line_of_the_journal_is_mended(world: World, study: Path) -> None:
    work(world, study, trials=2)
    journal = study / "sweeps" / "s" / "journal.log"
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"op_code":4,"worker_id":"x","stu')
    assert len(seen(study)["trials"]) == 2
    assert [trial["status"] for trial in work(world, study)] == ["completed"] * 4
    assert journal.read_bytes().startswith(whole)


def test_a_damaged_journal_is_named_with_its_line(world: World, study: Path) -> None:
    work(world, study, trials=2)
    journal = study / "sweeps" / "s" / "journal.log"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:2], b"rubbish\n", *lines[3:]]))
    said = world.tool("sweep", "show", "s", cwd=study, status=2)
    assert said.stderr.startswith("error: sweeps/s/journal.log, line 3: not a line of a journal: it was damaged\n")


def test_two_hosts_share_one_sweep(world: World, study: Path, as_root: None) -> None:
    """Two processes with different host names on one directory."""
    write_sweep(study, GRID.replace("[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", str([float(n) for n in range(20, 36)])))
    (study / "hold").touch()
    hosts = [
        subprocess.Popen(
            ["unshare", "-u", "sh", "-c", f"hostname {name} && exec entrenar-research sweep run s --workers 2"],
            cwd=study,
            env=world.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name in ("ada", "grace")
    ]
    until(lambda: began(study) == 4)
    assert seen(study)["workers"] == 4
    (study / "hold").unlink()
    for host in hosts:
        out, err = host.communicate(timeout=120)
        assert (host.returncode, err) == (0, "")
        assert "s: 16 trials: 16 completed" in out
    trials = seen(study)["trials"]
    assert sorted(trial["params"]["x"] for trial in trials) == [float(n) for n in range(20, 36)]
    assert len({trial["worker"] for trial in trials}) == 4


@pytest.mark.parametrize("verb", ["show", "run", "best"])
def test_a_sweep_that_was_copied_is_told(world: World, study: Path, verb: str) -> None:
    work(world, study, trials=1)
    shutil.copytree(study / "sweeps" / "s", study / "sweeps" / "t")
    said = world.tool("sweep", verb, "t", cwd=study, status=2)
    assert said.stderr.startswith("error: sweeps/t/journal.log is the journal of a sweep named s\nhint: ")
