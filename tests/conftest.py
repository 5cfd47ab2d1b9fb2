"""A private world for every test: own HOME, own Git configuration, no way to the person's own files.

`tiny` is a sealed study with one experiment of pure Python (0.1 s), made once and copied for each test.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Who started us may have had us ignore Ctrl-C, as scripts do with what they put into the background: what we start
# listens to it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadlines: machines are shared. In CI the same examples every time: a change is judged by what it changes.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")

TRAIN = '''\
"""Fits a line to points by gradient descent."""

import json
import os
import sys

import yaml

import slope

data, params_file, out = sys.argv[1:4]
with open(params_file) as stream:
    params = yaml.safe_load(stream)
points = [tuple(map(float, line.split(","))) for line in open(data)]
weight, rows = 0.0, ["step,loss"]
for step in range(params["steps"]):
    gradient, loss = slope.gradient(points, weight)
    weight -= params["rate"] * gradient
    rows.append(f"{step},{loss:.6f}")
with open(os.path.join(out, "curve.csv"), "w") as stream:
    stream.write("\\n".join(rows) + "\\n")
with open(os.path.join(out, "metrics.json"), "w") as stream:
    json.dump({"weight": weight, "loss": loss}, stream, sort_keys=True)
print(f"weight {weight:.3f}")
'''
SLOPE = '''\
"""The loss of a line through the origin."""


def gradient(points, weight):
    n = len(points)
    loss = sum((weight * x - y) ** 2 for x, y in points) / n
    return sum(2 * x * (weight * x - y) for x, y in points) / n, loss
'''
DECLARATION = """\
description: A line through points.
command: python experiments/line/train.py data/points.csv ${params} ${result}
params: experiments/line/params.yaml
code: [experiments/line/train.py, experiments/line/slope.py]
inputs: [data/points.csv]
outputs: [curve.csv, metrics.json]
metrics:
  loss: {file: metrics.json, goal: minimize, tolerance: {absolute: 0.001}}
  weight: {file: metrics.json, tolerance: {relative: 0.01}}
plots:
  - {file: curve.csv, x: step, y: [loss]}
trace: full
"""
PARAMS = "# How to descend\nrate: 0.05  # per step\nsteps: 20\n"
POINTS = "".join(f"{x / 4},{x / 2 + (x % 3 - 1) / 10}\n" for x in range(12))


class World:
    """Where commands of a test run: an environment of its own and helpers to run things in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        beside = str(Path(sys.executable).parent)
        self.environment = {
            "HOME": str(home),
            "PATH": f"{beside}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "LANG": "C.UTF-8",
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        }

    def run(
        self,
        *argv: str | Path,
        cwd: Path,
        status: int | None = 0,
        env: dict[str, str] | None = None,
        text: str = "",
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program to its end; asserts its exit status unless `status` is None."""
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd,
            env={**self.environment, **(env or {})},
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        if status is not None:
            assert done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def tool(
        self, *words: str | Path, cwd: Path, status: int | None = 0, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `entrenar-research` with these words."""
        return self.run("entrenar-research", *words, cwd=cwd, status=status, env=env)


def make_world(home: Path) -> World:
    """A world whose Git knows a person and whose person has a signing key."""
    home.mkdir(parents=True, exist_ok=True)
    world = World(home)
    world.run("git", "config", "--global", "user.name", "Ada Lovelace", cwd=home)
    world.run("git", "config", "--global", "user.email", "ada@example.org", cwd=home)
    world.tool("keys", "new", cwd=home)
    return world


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One world with one sealed study in it, made once for each test process."""
    base = tmp_path_factory.mktemp("shared")
    world = make_world(base / "home")
    study = base / "tiny"
    world.tool("init", study, "--title", "A line", "--author", "Ada Lovelace", "--license", "MIT", cwd=base)
    for path, text in {
        "experiments/line/train.py": TRAIN,
        "experiments/line/slope.py": SLOPE,
        "experiments/line/params.yaml": PARAMS,
        "experiments/line/experiment.yaml": DECLARATION,
        "experiments/line/.gitignore": "/result\n",
        "data/points.csv": POINTS,
    }.items():
        (study / path).parent.mkdir(parents=True, exist_ok=True)
        (study / path).write_text(text)
    world.run("dvc", "add", "-q", "data/points.csv", cwd=study)
    world.tool("experiment", "sync", "line", cwd=study)
    world.tool("run", "line", "--quiet", cwd=study)
    world.tool("golden", "promote", "line", "--as", "line", cwd=study)
    world.tool("keys", "new", cwd=study)
    world.tool("seal", "experiment", "line", "-m", "First", cwd=study)
    world.tool("seal", "golden", "line", "-m", "First", cwd=study)
    world.tool("bundle", "-o", base / "tiny.crate.zip", cwd=study)
    return base


@pytest.fixture
def world(_shared: Path) -> World:
    """The private environment."""
    return World(_shared / "home")


@pytest.fixture
def tiny(_shared: Path, tmp_path: Path) -> Path:
    """A fresh copy of the sealed study."""
    shutil.copytree(_shared / "tiny", tmp_path / "tiny", symlinks=True)
    return tmp_path / "tiny"


@pytest.fixture
def tiny_bundle(_shared: Path, tmp_path: Path) -> Path:
    """A fresh copy of the bundle of the sealed study."""
    shutil.copyfile(_shared / "tiny.crate.zip", tmp_path / "tiny.crate.zip")
    return tmp_path / "tiny.crate.zip"


@pytest.fixture
def as_root() -> None:
    """Skips where the test needs root (another account, a small file system, a network namespace)."""
    if os.geteuid() != 0:
        pytest.skip("needs root")


@pytest.fixture
def flip() -> Callable[[Path, int], None]:
    """Flips the lowest bit of one byte of a file, keeping size, inode and times."""

    def flipped(path: Path, position: int = -1) -> None:
        before = path.stat()
        with path.open("r+b") as stream:
            data = stream.read()
            index = position % len(data)
            stream.seek(index)
            stream.write(bytes([data[index] ^ 1]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        after = path.stat()
        assert (before.st_size, before.st_mtime_ns, before.st_ino) == (
            after.st_size,
            after.st_mtime_ns,
            after.st_ino,
        )
        assert path.read_bytes() != data

    return flipped
