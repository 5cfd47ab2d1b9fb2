"""No space left: refused at many moments, and for real on a small file system."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research import workspace
from tests.conftest import World
from tests.integration import faults
from tests.integration.faults import Point

RUN = ("run", "line", "--set", "steps=40", "--quiet")
BUNDLE = ("bundle", "-o", "../line.crate.zip")
CALLS = ("openat", "write", "fsync", "mkdir", "rename", "renameat2", "sendfile")
# What the tool can do without: the memory of what was hashed, and tidying up after itself.
DISPENSABLE = re.compile(r"stat-cache\.json|staging\.lock|\.done")
SAID = re.compile(r"error: (.+): No space left on device( \(.+\))?\nhint: free some space, .+\n")


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


def result(study: Path) -> dict[str, bytes]:
    return faults.contents(study / "experiments/line/result")


def refused(world: World, study: Path, words: tuple[str, ...], point: Point, log: Path) -> str:
    """What the tool says when the kernel has no space for that call; empty if it does not mind."""
    options = ("-e", f"trace={point.call}", "-e", f"inject={point.call}:error=ENOSPC:when={point.nth}")
    done = faults.traced(world, study, words, *options, log=log)
    assert "(INJECTED)" in log.read_text(errors="replace"), point
    assert done.returncode == (1 if done.stderr else 0), point
    return done.stderr


def named(point: Point) -> str:
    """What the message has to name."""
    name = Path(point.target).name
    if ".dvc/cache" in point.target:
        return "DVC's cache"
    if name == "result":
        return "staging area" if point.call == "mkdir" else "result"
    if name.endswith("lock") and not name.endswith(".part"):
        return "lock|staging area"
    if "/turns/" in point.target or point.call == "mkdir":
        return "lock|staging area|runs/"
    return re.escape(re.sub(r"^\.(.+)\.\d+\.part$", r"\1", name))


def test_run_is_refused(world: World, untraced: Path, tmp_path: Path) -> None:
    after = faults.copy(untraced, tmp_path / "after" / "tiny")
    found = [point for point in faults.points(world, after, RUN, tmp_path / "log") if point.call in CALLS]
    old, new = result(untraced), result(after)
    for number, point in enumerate(faults.spread(found, 14)):
        study = faults.copy(untraced, tmp_path / str(number) / "tiny")
        said = refused(world, study, RUN, point, tmp_path / "log")
        if said or not DISPENSABLE.search(point.where):
            match = SAID.fullmatch(said)
            assert match, (point, said)
            assert re.search(named(point), said.splitlines()[0]), (point, said)
        assert result(study) in (old, new), point
        world.tool(*RUN, cwd=study)
        assert result(study) == new, point
        assert (study / "dvc.lock").read_bytes() == (after / "dvc.lock").read_bytes(), point
        faults.assert_sound(study)
        shutil.rmtree(study.parent)


def test_bundle_is_refused(world: World, untraced: Path, tmp_path: Path) -> None:
    after = faults.copy(untraced, tmp_path / "after" / "tiny")
    found = [point for point in faults.points(world, after, BUNDLE, tmp_path / "log") if point.call in CALLS]
    found = [point for point in found if ".part" in point.where]  # not the directory, when all is done
    for number, point in enumerate(faults.spread(found, 4)):
        study = faults.copy(untraced, tmp_path / str(number) / "tiny")
        target = study.parent / "line.crate.zip"
        target.write_bytes(b"an older bundle")
        said = refused(world, study, BUNDLE, point, tmp_path / "log")
        assert said.startswith("error: cannot write line.crate.zip: No space left on device"), (point, said)
        assert target.read_bytes() == b"an older bundle"
        assert sorted(path.name for path in study.parent.iterdir()) == ["line.crate.zip", "tiny"]


@pytest.fixture
def small(as_root: None, tiny: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy of the sealed study on a file system with 256 KiB to spare."""
    place = tmp_path / "small"
    place.mkdir()
    used = int(subprocess.run(["du", "-s", "-k", tiny], capture_output=True, text=True, check=True).stdout.split()[0])
    mount = ["mount", "-t", "tmpfs", "-o", f"size={used + 256}k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        shutil.copytree(tiny, place / "tiny", symlinks=True)
        yield place / "tiny"
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(study: Path, *, but: int = 0) -> Path:
    """Fills the file system up to `but` bytes."""
    filler = study.parent / "filler"
    with filler.open("wb", buffering=0) as stream:
        free = shutil.disk_usage(study).free - but
        stream.write(b"\0" * max(free, 0))
    return filler


def test_run_on_a_full_disk(world: World, small: Path) -> None:
    old = result(small)
    failures = 0
    for spare in range(0, 40960, 8192):
        filler = fill(small, but=spare)
        done = world.tool("run", "line", "--force", "--trace", "none", "--quiet", cwd=small, status=None)
        assert result(small) == old
        if done.returncode:
            failures += 1
            assert re.fullmatch(r"error: .*(no space|diskspace).*", done.stderr, re.DOTALL | re.IGNORECASE), spare
        filler.unlink()
    assert failures >= 3
    world.tool("run", "line", "--force", "--quiet", cwd=small)
    assert result(small) == old
    faults.assert_sound(small)


@pytest.mark.parametrize("tracer", ["strace", "kernel"])
def test_a_trace_that_does_not_fit(world: World, small: Path, tracer: str) -> None:
    """The command has what room there is; the trace is given up, and no complaint of the tracer is the command's."""
    if (reason := workspace.tracer(tracer).unavailable("full")) is not None:
        pytest.skip(reason)
    code = small / "experiments/line/train.py"
    many = "import os, sys\nfor _ in range(20000): os.stat('.')\nprint('mine', file=sys.stderr)\n"
    code.write_text(many + code.read_text())
    words = ("run", "line", "--trace", "full", "--tracer", tracer)
    done = world.tool(*words, cwd=small)
    assert "no trace: no space left for it while the command ran" in done.stdout
    found = faults.record(small, -1)
    assert (found["status"], found["trace"]["status"]) == ("completed", "unavailable")
    assert found["trace"]["reason"] == "no space left for it while the command ran"
    assert (small / "runs" / found["id"] / "stderr.txt").read_text() == "mine\n"
    failed = world.tool(*words, "--force", "--strict", cwd=small, status=1)
    assert "nothing was observed of the run: no space left for it while the command ran" in failed.stderr


def test_output_that_does_not_fit(world: World, small: Path) -> None:
    """The command itself finds no space: it fails, and that is recorded."""
    old = result(small)
    code = small / "experiments/line/train.py"
    code.write_text(code.read_text() + 'open(os.path.join(out, "big"), "wb").write(b"x" * (1 << 20))\n')
    done = world.tool("run", "line", "--trace", "none", "--quiet", cwd=small, status=1)
    # The interpreter cannot even write what went wrong: its stderr is a file on the same disk.
    assert done.stderr == (
        "error: the command of line ended with exit status 120; the last good result is untouched\n"
        "hint: there is no space left on the disk: free some, then run the same command again\n"
    )
    assert result(small) == old
    record = faults.record(small, -1)
    assert (record["status"], record["exit_status"]) == ("failed", 120)
    world.run("git", "checkout", "-q", "experiments/line/train.py", cwd=small)
    faults.assert_sound(small)


def test_bundle_on_a_full_disk(world: World, small: Path) -> None:
    target = small.parent / "line.crate.zip"
    target.write_bytes(b"an older bundle")
    filler = fill(small, but=16384)
    done = world.tool("bundle", "-o", target, cwd=small, status=1)
    assert done.stderr.startswith("error: cannot write line.crate.zip: No space left on device")
    assert target.read_bytes() == b"an older bundle"
    assert sorted(path.name for path in small.parent.iterdir()) == ["filler", "line.crate.zip", "tiny"]
    filler.unlink()
    world.tool("bundle", "-o", target, cwd=small)
    world.tool("verify", target, "--no-replay", cwd=small.parent)


def test_init_on_a_full_disk(world: World, small: Path) -> None:
    fill(small, but=65536)
    words = ("init", "new", "--title", "New", "--author", "Ada Lovelace", "--license", "MIT")
    done = world.tool(*words, cwd=small.parent, status=None)
    assert done.returncode in (1, 3)
    assert done.stderr.startswith("error: ")
    assert "space" in done.stderr
    assert sorted(path.name for path in small.parent.iterdir()) == ["filler", "tiny"]
    (small.parent / "filler").unlink()


def test_verify_with_a_full_scratch_disk(world: World, small: Path, tiny_bundle: Path) -> None:
    fill(small, but=16384)
    before = sorted(path.name for path in small.parent.iterdir())
    full = {"TMPDIR": str(small.parent)}
    done = world.tool("verify", tiny_bundle, "--no-replay", cwd=tiny_bundle.parent, status=None, env=full)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr + done.stdout
    assert sorted(path.name for path in small.parent.iterdir()) == before
    done = world.tool("verify", cwd=small, status=None, env=full)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr + done.stdout
    assert sorted(path.name for path in small.parent.iterdir()) == before
