"""The runner nix where it cannot work, and builds that are killed or meet: what is said is true, nothing is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.tools import nix
from tests import closures, hermetic
from tests.conftest import World
from tests.integration.test_nix_runner import record, running, until

pytestmark = [pytest.mark.nix, pytest.mark.slow]
RUN = ("run", "bad", "--runner", "nix", "--quiet", "--force")
BAD = """\
import ctypes, os, socket, sys, time
from pathlib import Path
mode, mark, result = sys.argv[1:4]
if mode == "name": socket.getaddrinfo("example.org", 80)
if mode == "card": ctypes.CDLL("libcuda.so.1")
if mode == "input": open("experiments/bad/bad.py", "a")
if mode == "program": os.execvp("nowhere-to-be-found", ["nowhere-to-be-found"])
if mode == "wait":
    print(f"note: keeping build directory '{mark}'", flush=True)
    time.sleep(120)
if mode == "beside": Path("beside.txt").write_text("x"); Path("/build/beside.txt").write_text("x")
Path(result, "o.txt").write_text(mark)
"""


@pytest.fixture
def study(tiny: Path, world: World) -> Path:
    world.environment["ENTRENAR_NIX_STORE"] = str(hermetic.store())
    hermetic.equip(tiny)
    place = tiny / "experiments" / "bad"
    place.mkdir()
    (place / "bad.py").write_text(BAD)
    declare(tiny, "well")
    return tiny


def declare(study: Path, mode: str, mark: str = "mark", name: str = "bad") -> None:
    place = study / "experiments" / name
    place.mkdir(exist_ok=True)
    (place / "experiment.yaml").write_text(
        f"command: python experiments/bad/bad.py {mode} {mark} ${{result}}\ntrace: none\n"
        "code: [experiments/bad/bad.py]\noutputs: [o.txt]\n"
    )


def path_with(place: Path, script: str) -> dict[str, str]:
    """An environment in which `nix` is a script of ours."""
    place.mkdir(exist_ok=True)
    (place / "nix").write_text(f"#!/bin/sh\n{script}\n")
    (place / "nix").chmod(0o755)
    return {"PATH": f"{place}:{Path(hermetic.TOOL).parent}:{os.environ['PATH']}"}


def test_a_nix_that_is_too_old_is_named_before_anything_runs(study: Path, world: World, tmp_path: Path) -> None:
    before = sorted((study / "runs").iterdir())
    old = path_with(tmp_path / "old", 'echo "nix (Nix) 2.3.16"')
    for words in (RUN, ("verify", "--rebuild"), ("env", "seed")):
        said = world.tool(*words, cwd=study, status=3, env=old).stderr
        assert "nix 2.3.16 is too old: expected 2.8 or newer" in said
        assert "hint: " in said
    assert sorted((study / "runs").iterdir()) == before


def test_the_version_is_asked_once_of_each_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = tmp_path / "asked"
    script = f'echo x >> {asked}; echo "nix (Nix) 2.30.1"'
    monkeypatch.setenv("PATH", path_with(tmp_path / "one", script)["PATH"])
    assert [nix.version(), nix.number(), nix.version()] == ["2.30.1", (2, 30), "2.30.1"]
    assert asked.read_text() == "x\n"
    monkeypatch.setenv("PATH", path_with(tmp_path / "two", 'echo "nix (Nix) 2.18.0pre1"')["PATH"])
    assert nix.version() == "2.18.0pre1"
    program = tmp_path / "two" / "nix"
    program.write_text('#!/bin/sh\necho "nix (Nix) 2.9.0"\n')
    os.utime(program, ns=(1, 1))
    assert nix.version() == "2.9.0"


@pytest.mark.parametrize("place", ["/proc/store", "/dev/null/store"])
def test_a_store_that_cannot_be_made_is_told_with_the_way_out(study: Path, world: World, place: str) -> None:
    before = (study / "experiments/line/result/metrics.json").read_bytes()
    for words in (RUN, ("verify", "--rebuild"), ("env", "seed")):
        said = world.tool(*words, cwd=study, status=1, env={"ENTRENAR_NIX_STORE": place}).stderr
        assert "/proc/store" in said or "/dev/null" in said
        assert "ENTRENAR_NIX_STORE names another directory" in said
    assert (study / "experiments/line/result/metrics.json").read_bytes() == before


@pytest.fixture
def small(as_root: None, tmp_path: Path) -> Iterator[Path]:
    """A file system with room for the files of the lock, but not for what is built of them."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_store_without_room_is_told_and_nothing_is_lost(study: Path, world: World, small: Path) -> None:
    _, _, cache = closures.fetched()
    env = {"ENTRENAR_NIX_STORE": str(small / "store"), "XDG_CACHE_HOME": str(cache.root.parent.parent)}
    world.tool("env", "seed", cwd=study, env=env)
    said = world.tool(*RUN, cwd=study, status=1, env=env).stderr
    assert "No space left on device" in said
    assert "ENTRENAR_NIX_STORE names another directory" in said
    assert record(study, "bad").status == "failed"
    assert not list((study / ".entrenar" / "staging").iterdir())
    shutil.rmtree(small / "store" / "nix" / "var")
    (small / "full").write_bytes(bytes(os.statvfs(small).f_bavail * os.statvfs(small).f_frsize))
    assert "with enough room" in world.tool("env", "seed", cwd=study, status=1, env=env).stderr
    world.tool(*RUN, cwd=study)
    assert record(study, "bad").status == "completed"


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("name", "a sealed world has no network"),
        ("card", "a sealed world has no graphics card"),
        ("input", "inputs and programs cannot be written to"),
        ("program", "what `code` and `inputs` name and the programs of the lock"),
    ],
)
def test_what_a_sealed_world_lacks_is_said_where_a_command_asks_for_it(
    study: Path, world: World, mode: str, words: str
) -> None:
    declare(study, mode)
    assert words in world.tool(*RUN, cwd=study, status=1).stderr.splitlines()[-1]
    if mode == "card":
        world.tool("run", "bad", "--runner", "host", "--quiet", cwd=study, status=None)
        assert record(study, "bad").runner == "host"


def test_what_is_written_beside_the_result_stays_in_the_sandbox(study: Path, world: World) -> None:
    declare(study, "beside")
    world.tool(*RUN, cwd=study)
    assert [path.name for path in (study / "experiments/bad/result").iterdir()] == ["o.txt"]
    assert not list(study.rglob("beside.txt"))


def begun(study: Path, world: World, mark: str) -> subprocess.Popen[str]:
    """A run whose command waits; it has begun."""
    declare(study, "wait", mark)
    child = subprocess.Popen(
        [str(hermetic.TOOL), *RUN], cwd=study, env=world.environment, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(lambda: running(mark), 60)
    return child


def status(process: int, field: str) -> str:
    """A field of /proc/<id>/status."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{field}:"))


def above(process: int, name: str) -> int:
    """The nearest process above one that has that name."""
    while status(process, "Name") != name:
        process = int(status(process, "PPid"))
        assert process > 1
    return process


def test_a_builder_that_is_killed_is_a_run_that_was_killed(study: Path, world: World) -> None:
    mark = f"killed-{os.getpid()}"
    child = begun(study, world, mark)
    os.kill(int(status(int(running(mark)[0]), "PPid")), signal.SIGKILL)
    assert "was killed by SIGKILL" in child.communicate(timeout=60)[1]
    run = record(study, "bad")
    assert (run.status, run.signal, run.exit_status) == ("failed", "SIGKILL", 137)
    declare(study, "well")
    world.tool(*RUN, cwd=study)


def test_a_nix_that_is_killed_is_named_and_leaves_no_builder(study: Path, world: World, tmp_path: Path) -> None:
    """What its command said then is not taken for the words of Nix."""
    theirs = tmp_path / "nix-build-x" / "evidence"
    theirs.mkdir(parents=True)
    mark = str(theirs.parent)
    child = begun(study, world, mark)
    until(lambda: any(mark in log.read_text() for log in (study / ".entrenar" / "staging").rglob("nix.log")))
    os.kill(above(int(running(mark)[0]), "nix-build"), signal.SIGKILL)
    said = child.communicate(timeout=60)[1]
    assert "Nix was killed by SIGKILL" in said
    until(lambda: not running(mark))
    assert record(study, "bad").status == "failed"
    assert theirs.is_dir()
    assert not list((study / ".entrenar" / "staging").iterdir())


def test_two_runs_at_once_both_come_to_their_end(study: Path, world: World) -> None:
    """Of one experiment one after the other, of two side by side; each has its own entry for Nix afterwards."""
    declare(study, "well", "other", name="other")
    argv = [str(hermetic.TOOL), "run", "--runner", "nix", "--quiet", "--force"]
    began = time.monotonic()
    children = [
        subprocess.Popen([*argv, name], cwd=study, env=world.environment, text=True, stderr=subprocess.PIPE,
                         stdout=subprocess.DEVNULL)
        for name in ("bad", "bad", "other")
    ]  # fmt: skip
    for child in children:
        said = child.communicate(timeout=120)[1]
        assert child.returncode == 0, (said, time.monotonic() - began)
    found = json.loads((study / "nix" / "experiments.json").read_text())["experiments"]
    assert {"bad", "other"} <= set(found)
    assert len(list((study / "runs").glob("*-bad-*"))) == 2
    assert (study / "experiments/other/result/o.txt").read_text() == "other"
