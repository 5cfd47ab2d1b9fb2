"""Ctrl-C and SIGTERM while an experiment runs: the command is stopped, the run recorded as cancelled."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from entrenar_research import workspace
from tests.conftest import World
from tests.integration import faults

WAIT = """\
import os, signal, subprocess, sys, time

child = subprocess.Popen(["sleep", "1000"])
with open("started.part", "w") as stream:
    stream.write(f"{os.getpid()} {child.pid}")
os.rename("started.part", "started")
"""
OBEDIENT = WAIT + "time.sleep(1000)\n"
SAVING = (
    WAIT
    + """\
interrupts = 0
def save(number, frame):
    global interrupts
    interrupts += 1
signal.signal(signal.SIGINT, save)
while not interrupts:
    time.sleep(0.01)
time.sleep(0.3)
print("interrupts:", interrupts)
"""
)
STUBBORN = WAIT + "signal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(1000)\n"


class Started:
    """A command of its own session, as in a terminal, whose experiment has begun."""

    def __init__(self, world: World, study: Path, code: str, *words: str) -> None:
        (study / "experiments/line/train.py").write_text(code)
        self.study = study
        self.process = subprocess.Popen(
            words, cwd=study, env=world.environment, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self.pids = [int(word) for word in faults.awaited(study / "started").split()]
        (study / "started").unlink()

    def to_group(self, number: int) -> None:
        """What a terminal does when Ctrl-C is pressed."""
        os.killpg(self.process.pid, number)

    def ended(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=120)
        for pid in self.pids:
            faults.await_end(pid)
        return self.process.returncode, out, err


def left(study: Path) -> tuple[dict[str, bytes], bytes]:
    return faults.contents(study / "experiments/line/result"), (study / "dvc.lock").read_bytes()


@pytest.mark.parametrize(
    ("how", "level"),
    [("Ctrl-C", "none"), ("Ctrl-C", "observe"), ("Ctrl-C", "full"), ("SIGINT", "full"), ("SIGTERM", "observe")],
)
def test_recorded_as_cancelled(world: World, tiny: Path, how: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = left(tiny)
    run = Started(world, tiny, OBEDIENT, "entrenar-research", "run", "line", "--quiet", "--trace", level)
    if how == "Ctrl-C":
        run.to_group(signal.SIGINT)
    else:
        run.process.send_signal(getattr(signal, how))
    status, _, err = run.ended()
    assert status == 130
    record = faults.record(tiny, -1)
    untouched = "it is recorded as cancelled, the last good result is untouched"
    assert err == f"error: run {record['id']} was interrupted; {untouched}\n"
    assert (record["status"], record["exit_status"], record["signal"]) == ("cancelled", 130, "SIGINT")
    assert left(tiny) == before
    for key, value in world.environment.items():
        monkeypatch.setenv(key, value)
    world.run("git", "checkout", "-q", "experiments/line/train.py", cwd=tiny)
    faults.assert_sound(tiny)


def test_a_command_may_save_first_and_is_told_once(world: World, tiny: Path) -> None:
    """The terminal tells our whole group; the command, in a group of its own, hears it from us alone."""
    run = Started(world, tiny, SAVING, "entrenar-research", "run", "line", "--trace", "none", "--quiet")
    run.to_group(signal.SIGINT)
    status, _, _ = run.ended()
    assert status == 130
    record = faults.record(tiny, -1)
    assert (record["status"], record["exit_status"]) == ("cancelled", 0)
    assert (tiny / "runs" / record["id"] / "stdout.txt").read_text() == "interrupts: 1\n"


def test_a_second_interrupt_kills(world: World, tiny: Path) -> None:
    run = Started(world, tiny, STUBBORN, "entrenar-research", "run", "line", "--trace", "none")
    run.process.send_signal(signal.SIGINT)
    faults.await_pending(run.process.pid, signal.SIGINT)
    run.process.send_signal(signal.SIGINT)
    status, _, _ = run.ended()
    assert status == 130
    record = faults.record(tiny, -1)
    assert (record["status"], record["exit_status"], record["signal"]) == ("cancelled", 137, "SIGKILL")


@pytest.mark.parametrize("tracer", ["strace", "kernel"])
@pytest.mark.parametrize("again", [True, False], ids=["the second Ctrl-C", "five seconds"])
def test_by_force_ends_what_left_the_group_too(world: World, tiny: Path, tracer: str, again: bool) -> None:
    """Traced, it is known: a tracer that is killed would let it run on (strace 6.1)."""
    if (reason := workspace.tracer(tracer).unavailable("full")) is not None:
        pytest.skip(reason)
    code = STUBBORN.replace('["sleep", "1000"]', '["sleep", "1000"], start_new_session=True')
    assert code != STUBBORN
    words = ("entrenar-research", "run", "line", "--trace", "full", "--tracer", tracer, "--quiet")
    run = Started(world, tiny, code, *words)
    run.to_group(signal.SIGINT)
    faults.await_pending(run.process.pid, signal.SIGINT)
    if again:
        run.to_group(signal.SIGINT)
    status, _, _ = run.ended()
    assert status == 130
    assert faults.record(tiny, -1)["status"] == "cancelled"


def test_where_interrupts_are_ignored_a_term_is_passed_on(world: World, tiny: Path) -> None:
    """A job that a script has put into the background does not listen to SIGINT, nor does what it starts."""
    words = ("env", "--ignore-signal=INT", "entrenar-research", "run", "line", "--trace", "none")
    run = Started(world, tiny, OBEDIENT, *words)
    run.process.send_signal(signal.SIGTERM)
    status, _, _ = run.ended()
    assert status == 130
    record = faults.record(tiny, -1)
    assert (record["status"], record["exit_status"], record["signal"]) == ("cancelled", 143, "SIGTERM")


def test_under_dvc(world: World, tiny: Path) -> None:
    before = left(tiny)
    run = Started(world, tiny, OBEDIENT, "dvc", "repro")
    run.to_group(signal.SIGINT)
    status, _, err = run.ended()
    assert status != 0
    assert "failed to reproduce 'line'" in err
    assert faults.record(tiny, -1)["status"] == "cancelled"
    assert left(tiny) == before
    world.run("git", "checkout", "-q", "experiments/line/train.py", cwd=tiny)
    assert "didn't change, skipping" in world.run("dvc", "repro", cwd=tiny).stdout


def test_dvc_killed_and_we_with_it(world: World, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill -9` of the whole group: the command dies too, DVC gets over its lock, we over our run."""
    before = left(tiny)
    run = Started(world, tiny, OBEDIENT, "dvc", "repro")
    run.to_group(signal.SIGKILL)
    assert run.ended()[0] == -signal.SIGKILL
    assert left(tiny) == before
    world.run("git", "checkout", "-q", "experiments/line/train.py", cwd=tiny)
    params = tiny / "experiments/line/params.yaml"
    params.write_text(params.read_text().replace("steps: 20", "steps: 21"))
    world.run("dvc", "repro", cwd=tiny)
    assert faults.states(tiny) == ["completed", "lost", "completed"]
    assert world.run("dvc", "status", cwd=tiny).stdout == "Data and pipelines are up to date.\n"
    for key, value in world.environment.items():
        monkeypatch.setenv(key, value)
    faults.assert_sound(tiny)
