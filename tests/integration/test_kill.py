"""`kill -9` at many moments of `run`, `seal` and `bundle`: old or new, never between, and the same command succeeds."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from entrenar_research import workspace
from entrenar_research.models.experiment import TraceLevel
from tests.conftest import World
from tests.integration import faults
from tests.integration.faults import Point

RUN = ("run", "line", "--set", "steps=40", "--quiet")
SEAL = ("seal", "experiment", "line", "-m", "Second")
BUNDLE = ("bundle", "-o", "../line.crate.zip")
# Of all moments at which something changes on the disk; all of them with ENTRENAR_EVERY_FAULT=1 (minutes).
OF_RUN, OF_SEAL, OF_BUNDLE = 25, 3, 6


@dataclasses.dataclass
class Prepared:
    """A study before a command, what the command makes of it when nothing happens, and where it can be killed."""

    before: Path
    after: Path
    points: list[Point]


pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_the_world(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def untraced(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sealed study whose experiment is not traced: strace cannot run under strace."""
    faults.need_strace()
    return faults.untraced(_shared, tmp_path_factory.mktemp("untraced") / "tiny")


def prepare(world: World, before: Path, words: tuple[str, ...], place: Path) -> Prepared:
    after = faults.copy(before, place / "after" / "tiny")
    return Prepared(before, after, faults.points(world, after, words, place / "log"))


@pytest.fixture(scope="module")
def running(untraced: Path, _shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(World(_shared / "home"), untraced, RUN, tmp_path_factory.mktemp("running"))


@pytest.fixture(scope="module")
def sealing(running: Prepared, _shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(World(_shared / "home"), running.after, SEAL, tmp_path_factory.mktemp("sealing"))


@pytest.fixture(scope="module")
def bundling(untraced: Path, _shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(World(_shared / "home"), untraced, BUNDLE, tmp_path_factory.mktemp("bundling"))


def result(study: Path) -> dict[str, bytes]:
    return faults.contents(study / "experiments/line/result")


def test_run(world: World, running: Prepared, tmp_path: Path) -> None:
    old, new = result(running.before), result(running.after)
    assert old != new
    assert len(running.points) > 50
    lock = (running.after / "dvc.lock").read_bytes()
    outcomes = set()
    for number, point in enumerate(faults.spread(running.points, OF_RUN)):
        study = faults.copy(running.before, tmp_path / str(number) / "tiny")
        faults.killed(world, study, RUN, point, tmp_path / "log")
        assert result(study) in (old, new), point
        world.tool(*RUN, cwd=study)
        assert result(study) == new, point
        assert (study / "dvc.lock").read_bytes() == lock, point
        faults.assert_sound(study)
        outcomes.add(tuple(faults.states(study)[2:]))
        shutil.rmtree(study.parent)
    # Never begun; cut off and run again; finished in its stead.
    assert outcomes == {("completed",), ("lost", "completed")}


def test_dvc_agrees_with_what_is_left_at_the_worst_moment(world: World, running: Prepared, tmp_path: Path) -> None:
    """The result is in place, `dvc.lock` not yet written."""
    study = faults.copy(running.before, tmp_path / "tiny")
    rename = next(point for point in running.points if point.target.endswith("/dvc.lock"))
    faults.killed(world, study, RUN, rename, tmp_path / "log")
    assert result(study) == result(running.after)
    assert "line" in world.run("dvc", "status", cwd=study).stdout
    assert "its result is now in place" in world.tool("verify", "--no-replay", cwd=study, status=None).stdout
    assert world.run("dvc", "status", cwd=study).stdout == "Data and pipelines are up to date.\n"
    shutil.rmtree(study / "experiments/line/result")
    world.run("dvc", "checkout", "-q", cwd=study)
    assert result(study) == result(running.after)


def test_bundle_after_a_killed_run(world: World, running: Prepared, tmp_path: Path) -> None:
    """The run is finished first; what it changed is not sealed, and that is what the message is about."""
    study = faults.copy(running.before, tmp_path / "tiny")
    rename = next(point for point in running.points if point.target.endswith("/dvc.lock"))
    faults.killed(world, study, RUN, rename, tmp_path / "log")
    done = world.tool(*BUNDLE, cwd=study, status=2)
    assert "2 files differ from the last commit: dvc.lock, experiments/line/params.yaml" in done.stderr


def test_seal(world: World, sealing: Prepared, tmp_path: Path) -> None:
    moments = [*faults.spread(sealing.points, OF_SEAL), *_between_programs(world, sealing, tmp_path)]
    for number, point in enumerate(moments):
        study = faults.copy(sealing.before, tmp_path / str(number) / "tiny")
        faults.killed(world, study, SEAL, point, tmp_path / "log")
        assert "signed by ada@example.org" in world.tool(*SEAL, cwd=study).stdout, point
        tags = world.run("git", "tag", "--list", "experiment/*", cwd=study).stdout.split()
        assert tags == ["experiment/line/v1", "experiment/line/v2", "experiment/line/v3"], point
        count = world.run("git", "rev-list", "--count", "HEAD", cwd=study).stdout
        assert count == world.run("git", "rev-list", "--count", "HEAD", cwd=sealing.after).stdout, point
        faults.assert_sound(study)
        shutil.rmtree(study.parent)


def _between_programs(world: World, sealing: Prepared, place: Path) -> list[Point]:
    """Moments at which one of the programs that `seal` starts has ended and the next has not begun."""
    study = faults.copy(sealing.before, place / "counting" / "tiny")
    log = place / "log"
    done = faults.traced(world, study, SEAL, "-e", "trace=wait4", log=log)
    assert done.returncode == 0
    count = log.read_text().count("WEXITSTATUS(s) == 0")
    assert count > 10
    return [Point("wait4", nth, "") for nth in range(count - 6, count + 1)]


def test_bundle(world: World, bundling: Prepared, tmp_path: Path) -> None:
    new = (bundling.after.parent / "line.crate.zip").read_bytes()
    for number, point in enumerate(faults.spread(bundling.points, OF_BUNDLE)):
        study = faults.copy(bundling.before, tmp_path / str(number) / "tiny")
        target = study.parent / "line.crate.zip"
        target.write_bytes(b"an older bundle")
        faults.killed(world, study, BUNDLE, point, tmp_path / "log")
        assert target.read_bytes() in (b"an older bundle", new), point
        world.tool(*BUNDLE, cwd=study)
        assert target.read_bytes() == new, point
        faults.assert_sound(study)
        shutil.rmtree(study.parent)


@pytest.mark.parametrize(("level", "tracer"), [("none", None), ("full", "strace"), ("full", "kernel")])
def test_killed_while_the_command_runs(world: World, tiny: Path, level: TraceLevel, tracer: str | None) -> None:
    """Neither the command nor what it has started, nor its tracer, outlives the tool."""
    if tracer is not None and (reason := workspace.tracer(tracer).unavailable(level)) is not None:
        pytest.skip(reason)
    good = result(tiny)
    # Traced, what has left the process group dies as well; untraced nobody knows of it.
    (tiny / "experiments/line/train.py").write_text(
        "import os, subprocess, time\n"
        f"child = subprocess.Popen(['sleep', '1000'], start_new_session={tracer is not None})\n"
        "open('part', 'w').write(str(child.pid))\n"
        "os.rename('part', 'started')\n"
        "time.sleep(1000)\n"
    )
    argv = [sys.executable, "-m", "entrenar_research", "run", "line", "--trace", level]
    argv += ["--tracer", tracer] if tracer is not None else []
    tool = subprocess.Popen(argv, cwd=tiny, env=world.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    grandchild = int(faults.awaited(tiny / "started"))
    tool.send_signal(signal.SIGKILL)
    tool.wait()
    faults.await_end(grandchild)
    assert result(tiny) == good
    (tiny / "started").unlink()
    world.run("git", "checkout", "-q", "experiments/line/train.py", cwd=tiny)
    done = world.tool("run", "line", "--force", cwd=tiny)
    assert "was cut off: recorded as lost, the last good result is untouched" in done.stdout
    assert faults.states(tiny) == ["completed", "lost", "completed"]
    faults.assert_sound(tiny)


def test_killed_while_it_hashes_with_several_processes(tmp_path: Path) -> None:
    """A worker that stayed behind would hold the locks of its dead parent for ever."""
    for name in ("one", "two"):
        with (tmp_path / name).open("wb") as stream:
            stream.truncate(3 << 30)
    code = (
        "import sys; from entrenar_research.store import hashing;"
        "hashing.hash_files([sys.argv[1] + '/one', sys.argv[1] + '/two'])"
    )
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one processor there are no workers")
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    children = faults.children(parent.pid, 2)
    parent.kill()
    parent.wait()
    for child in children:
        faults.await_end(child)
