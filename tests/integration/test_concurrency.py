"""Several at once in one study: runs of one experiment and of two, `dvc repro` beside them, and seals."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.conftest import World
from tests.integration import faults

CLEAN = "Data and pipelines are up to date.\n"
GATE = """
import time

with open(f"began-{os.getpid()}.part", "w") as stream:
    stream.write("yes")
os.rename(f"began-{os.getpid()}.part", f"began-{params_file.split('/')[1]}")
while os.path.exists("gate"):
    time.sleep(0.01)
"""


@pytest.fixture(autouse=True)
def _in_the_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def gated(world: World, tiny: Path) -> Path:
    """The study, with commands that say when they begin and do not end while there is a gate."""
    code = tiny / "experiments/line/train.py"
    code.write_text(code.read_text() + GATE)
    declaration = tiny / "experiments/line/experiment.yaml"
    declaration.write_text(declaration.read_text().replace("trace: full", "trace: none"))
    (tiny / "gate").touch()
    return tiny


def second(world: World, study: Path) -> None:
    """Declares another experiment, `other`, beside `line`."""
    shutil.copytree(study / "experiments/line", study / "experiments/other", ignore=shutil.ignore_patterns("result"))
    declaration = study / "experiments/other/experiment.yaml"
    declaration.write_text(declaration.read_text().replace("experiments/line/", "experiments/other/"))
    world.tool("experiment", "sync", "other", cwd=study)


class Begun:
    """A command in the background."""

    def __init__(self, world: World, study: Path, *words: str) -> None:
        self.process = subprocess.Popen(
            words, cwd=study, env=world.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def line(self) -> str:
        """The next line of its output, as soon as there is one."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ended(self) -> str:
        """What else it printed; it has to end well."""
        out, err = self.process.communicate(timeout=120)
        assert self.process.returncode == 0, err
        return out


def began(study: Path, name: str) -> None:
    faults.awaited(study / f"began-{name}")
    (study / f"began-{name}").unlink()


def test_a_second_run_waits_and_finds_nothing_to_do(world: World, gated: Path) -> None:
    first = Begun(world, gated, "entrenar-research", "run", "line")
    began(gated, "line")
    again = Begun(world, gated, "entrenar-research", "run", "line")
    assert again.line() == "line: another run of it is under way, this one waits for its end\n"
    (gated / "gate").unlink()
    assert "line completed" in first.ended()
    assert "line is up to date" in again.ended()
    assert faults.states(gated) == ["completed", "completed"]
    faults.assert_sound(gated)


def test_two_experiments_run_side_by_side(world: World, gated: Path) -> None:
    second(world, gated)
    both = [Begun(world, gated, "entrenar-research", "run", name) for name in ("line", "other")]
    began(gated, "line")
    began(gated, "other")
    (gated / "gate").unlink()
    for run in both:
        run.ended()
    faults.assert_sound(gated)
    assert world.run("dvc", "status", cwd=gated).stdout == CLEAN


def test_many_runs_of_one_experiment(world: World, tiny: Path) -> None:
    """Each begins while others end and look for what dead processes have left."""
    words = ("entrenar-research", "run", "line", "--force", "--trace", "none", "--quiet")
    for run in [Begun(world, tiny, *words) for _ in range(4)]:
        assert "cut off" not in run.ended()
    assert faults.states(tiny) == ["completed"] * 5
    faults.assert_sound(tiny)


def test_beside_dvc(world: World, gated: Path) -> None:
    """DVC rewrites `dvc.lock` when its stage has ended: what we wrote meanwhile has to stay."""
    second(world, gated)
    repro = Begun(world, gated, "dvc", "repro", "line")
    began(gated, "line")
    same = Begun(world, gated, "entrenar-research", "run", "line")
    assert "waits for its end" in same.line()
    other = Begun(world, gated, "entrenar-research", "run", "other")
    began(gated, "other")
    (gated / "gate").unlink()
    for run in (repro, same, other):
        run.ended()
    assert faults.states(gated) == ["completed"] * 3
    faults.assert_sound(gated)
    assert world.run("dvc", "status", cwd=gated).stdout == CLEAN


def test_dvc_lock_is_not_written_while_dvc_holds_its_lock(world: World, tiny: Path) -> None:
    before = (tiny / "dvc.lock").read_bytes()
    with (tiny / ".dvc/tmp/lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        run = Begun(world, tiny, "entrenar-research", "run", "line", "--trace", "none", "--set", "steps=40")
        curve = tiny / "experiments/line/result/curve.csv"
        faults.until(lambda: len(curve.read_text().splitlines()) == 41)
        assert run.process.poll() is None
        assert (tiny / "dvc.lock").read_bytes() == before
    run.ended()
    assert (tiny / "dvc.lock").read_bytes() != before
    faults.assert_sound(tiny)


def test_code_edited_while_it_runs_has_changed_for_dvc(world: World, gated: Path) -> None:
    run = Begun(world, gated, "entrenar-research", "run", "line")
    began(gated, "line")
    code = gated / "experiments/line/train.py"
    code.write_text(code.read_text() + "# later\n")
    (gated / "gate").unlink()
    run.ended()
    assert "modified" in world.run("dvc", "status", cwd=gated).stdout
    assert "code experiments/line/train.py" in world.tool("run", "line", cwd=gated).stdout
    assert world.run("dvc", "status", cwd=gated).stdout == CLEAN


def test_a_seal_leaves_out_what_still_runs(world: World, gated: Path) -> None:
    (gated / "gate").unlink()
    world.tool("run", "line", "--quiet", cwd=gated)
    began(gated, "line")
    (gated / "gate").touch()
    run = Begun(world, gated, "entrenar-research", "run", "line", "--force", "--quiet")
    began(gated, "line")
    world.tool("seal", "experiment", "line", "-m", "Meanwhile", cwd=gated)
    (gated / "gate").unlink()
    run.ended()
    tracked = world.run("git", "ls-files", "runs", cwd=gated).stdout
    present = [path.name in tracked for path in sorted((gated / "runs").iterdir())]
    assert present == [True, True, False]
    faults.assert_sound(gated)


def test_seals_at_once(world: World, tiny: Path) -> None:
    names = ("One", "Two", "Three")
    for seal in [Begun(world, tiny, "entrenar-research", "seal", "experiment", "line", "-m", name) for name in names]:
        seal.ended()
    tags = world.run("git", "tag", "--list", "experiment/*", cwd=tiny).stdout.split()
    assert tags == [f"experiment/line/v{version}" for version in range(1, 5)]
    faults.assert_sound(tiny)


def test_a_lock_that_git_left_behind(world: World, tiny: Path) -> None:
    """Whose it is cannot be known, so it is not removed; the message says what to do."""
    (tiny / ".git/index.lock").touch()
    done = world.tool("seal", "experiment", "line", "-m", "Locked", cwd=tiny, status=1)
    assert done.stderr == (
        "error: .git/index.lock is there: another Git process is at work in this study, or one was killed\n"
        "hint: if none is at work (`pgrep -a git`), delete .git/index.lock and run the same command again\n"
    )
    (tiny / ".git/index.lock").unlink()
    assert "experiment/line/v2" in world.tool("seal", "experiment", "line", "-m", "Locked", cwd=tiny).stdout


def test_a_lock_of_git_at_work_is_waited_for(world: World, tiny: Path) -> None:
    lock = tiny / ".git/index.lock"
    lock.touch()
    freed = threading.Timer(1.0, lock.unlink)
    freed.start()
    assert "experiment/line/v2" in world.tool("seal", "experiment", "line", "-m", "Waited", cwd=tiny).stdout
    freed.join()


def test_sealing_the_same_again_makes_no_version(world: World, tiny: Path) -> None:
    words = ("seal", "experiment", "line", "-m", "Twice\n\nAnd at length.")
    first = world.tool(*words, cwd=tiny).stdout
    assert world.tool(*words, cwd=tiny).stdout == first
    assert "experiment/line/v3" in world.tool("seal", "experiment", "line", "-m", "Other", cwd=tiny).stdout
