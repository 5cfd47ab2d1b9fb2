"""Killing a command, or having the kernel refuse it, at one chosen system call: with strace's fault injection.

Only the tool's own process is traced (no `-f`); what it starts runs undisturbed, and dies or ends by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrenar_research import workspace
from tests.conftest import World

WRITING = ("openat", "write", "fsync", "mkdir", "rename", "renameat2", "sendfile", "chmod", "unlinkat", "rmdir")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+).*")
_HOUR = 3600


@dataclass(frozen=True)
class Point:
    """The `nth` call named `call` of a process, as strace counts; `where` is its line in the log."""

    call: str
    nth: int
    where: str

    @property
    def target(self) -> str:
        """The last path in the line: what would have been written, made, renamed to or removed."""
        found: list[str] = re.findall(r"[\"<]([^\"<>]*/[^\"<>]*)[\">]", self.where)
        return found[-1]


def need_strace() -> None:
    """Skips where nothing can be injected."""
    tried = ["strace", "-o", "/dev/null", "-e", "inject=rename:error=ENOSPC:when=9", "--", "true"]
    if shutil.which("strace") is None or subprocess.run(tried, check=False, capture_output=True).returncode != 0:
        pytest.skip("needs strace, and the right to trace")


def copy(study: Path, target: Path) -> Path:
    """A copy, an hour old, so that what is remembered of its files does not depend on when it was made."""
    shutil.copytree(study, target, symlinks=True)
    for path in target.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (path.stat().st_atime - _HOUR, path.stat().st_mtime - _HOUR))
    return target


def untraced(shared: Path, study: Path) -> Path:
    """Makes `study` of the shared sealed one, its experiment run untraced, and sealed again."""
    shutil.copytree(shared / "tiny", study, symlinks=True)
    world = World(shared / "home")
    declaration = study / "experiments/line/experiment.yaml"
    declaration.write_text(declaration.read_text().replace("trace: full", "trace: none"))
    world.tool("run", "line", "--quiet", "--force", cwd=study)
    world.tool("seal", "experiment", "line", "-m", "Untraced", cwd=study)
    return study


def traced(
    world: World, study: Path, words: Sequence[str | Path], *options: str, log: Path
) -> subprocess.CompletedProcess[str]:
    """Runs the tool under strace in `study`."""
    argv = ["strace", "-y", "-o", log, *options, "--", sys.executable, "-m", "entrenar_research", *words]
    repeatable = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    return world.run(*argv, cwd=study, status=None, env=repeatable)


def points(world: World, study: Path, words: Sequence[str | Path], log: Path) -> list[Point]:
    """Every call of the tool that changes something below the directory that holds `study`, in order."""
    done = traced(world, study, words, "-e", f"trace={','.join(WRITING)}", log=log)
    assert done.returncode == 0, done.stderr
    counts = dict.fromkeys(WRITING, 0)
    found = []
    for line in log.read_text(errors="replace").splitlines():
        if match := _CALL.fullmatch(line):
            call, arguments, result = match.groups()
            counts[call] += 1
            changes = "O_CREAT" in arguments if call == "openat" else int(result) >= 0
            if changes and str(study.parent) in arguments:
                found.append(Point(call, counts[call], line))
    return found


def spread(found: Sequence[Point], count: int) -> list[Point]:
    """`count` of them, from the first to the last; all with ENTRENAR_EVERY_FAULT in the environment."""
    if os.environ.get("ENTRENAR_EVERY_FAULT") or count >= len(found):
        return list(found)
    return [found[round(index * (len(found) - 1) / (count - 1))] for index in range(count)]


def killed(world: World, study: Path, words: Sequence[str | Path], point: Point, log: Path) -> None:
    """Runs the tool until it enters that call, where SIGKILL ends it."""
    options = ("-e", f"trace={point.call}", "-e", f"inject={point.call}:signal=SIGKILL:when={point.nth}")
    traced(world, study, words, *options, log=log)
    assert log.read_text(errors="replace").endswith("+++ killed by SIGKILL +++\n"), point


def contents(directory: Path) -> dict[str, bytes]:
    """Every file below a directory, with its bytes."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


def assert_sound(study: Path) -> None:
    """Nothing is different or broken (but what is merely not sealed yet), and nothing half-done lies about."""
    report = workspace.verify(study, replay=False)
    assert [item for item in report.wanting if item.area != "history"] == []
    assert list((study / ".entrenar/staging").glob("*")) == []
    assert [path for path in study.parent.rglob("*.part") if ".git" not in path.parts] == []
    for run in (study / "runs").iterdir():
        assert (run / "SHA256SUMS").is_file(), run
    assert set(states(study)) <= {"completed", "lost", "failed", "cancelled"}


def record(study: Path, index: int) -> dict[str, Any]:
    """The record of a run, counted from the oldest."""
    found: dict[str, Any] = yaml.safe_load((sorted((study / "runs").iterdir())[index] / "run.yaml").read_text())
    return found


def states(study: Path) -> list[str]:
    """The state of every recorded run, oldest first."""
    return [record(study, index)["status"] for index in range(len(list((study / "runs").iterdir())))]


def awaited(path: Path) -> str:
    """The text of a file, as soon as there is any."""
    return _poll(lambda: path.read_text() if path.exists() else "", f"nothing was written to {path}")


def children(pid: int, count: int) -> list[int]:
    """The children of a process, as soon as there are `count`."""
    place = Path(f"/proc/{pid}/task/{pid}/children")
    found = _poll(lambda: place.read_text() if len(place.read_text().split()) >= count else "", "no children")
    return [int(word) for word in found.split()]


def await_end(pid: int) -> None:
    """Returns when a process is gone, or a zombie that nobody waits for."""

    def gone() -> str:
        try:
            return "gone" if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z" else ""
        except (FileNotFoundError, ProcessLookupError):
            return "gone"

    _poll(gone, f"process {pid} is still there")


def await_pending(pid: int, number: int) -> None:
    """Returns when a process has taken a signal that was sent to it: it is no longer pending."""

    def taken() -> str:
        status = Path(f"/proc/{pid}/status").read_text()
        pending = sum(int(mask, 16) for mask in re.findall(r"^(?:SigPnd|ShdPnd):\t(\w+)$", status, re.MULTILINE))
        return "" if pending & 1 << number - 1 else "taken"

    _poll(taken, f"process {pid} does not take signal {number}")


def until(holds: Callable[[], bool]) -> None:
    """Returns when the condition holds."""
    _poll(lambda: "yes" if holds() else "", "it never came true")


def _poll(look: Callable[[], str], otherwise: str) -> str:
    for _ in range(3000):
        found = look()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(otherwise)
