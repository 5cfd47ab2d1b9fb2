"""Parts of the kernel tracer that depend on what else the machine does, or on which descriptors a process has."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from entrenar_research.tools.kernel_ring import memory, waiting

CHILDREN = """
import os, time
from entrenar_research.tools.kernel_ring.waiting import Waiting

if {alone}:
    os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})
wanted, found = {{}}, {{}}
wait = Waiting()
for number in range(600):
    if (child := os.fork()) == 0:
        time.sleep(number % 7 / 10_000)
        os._exit(number % 256)
    wanted[child] = number % 256
    if number % 3 == 0:
        child, status = wait()
        found[child] = os.waitstatus_to_exitcode(status)
while len(found) < 600:
    child, status = wait()
    found[child] = os.waitstatus_to_exitcode(status)
assert found == wanted
try:
    wait()
except ChildProcessError:
    print("none left")
"""


@pytest.mark.parametrize("alone", [False, True], ids=["awake where it pays", "one processor"])
def test_every_child_is_told_once(alone: bool) -> None:
    code = CHILDREN.format(alone=alone)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.stdout, done.stderr) == ("none left\n", "")


@pytest.mark.parametrize(
    ("told", "awake"), [("0.1 0.1 0.1 1/99 7\n", True), ("9 9 9 9999/9999 7\n", False), ("", False)]
)
def test_it_stays_awake_only_where_a_processor_is_idle(
    told: str, awake: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "loadavg").write_text(told)
    monkeypatch.setattr(waiting, "_LOAD", str(tmp_path / "loadavg"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    how: list[int] = []

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        how.append(options & os.WNOHANG)
        return 7, 0

    monkeypatch.setattr(os, "waitpid", waitpid)
    assert waiting.Waiting()() == (7, 0)
    assert how == [os.WNOHANG if awake else 0]


@pytest.mark.parametrize("more", [0, 3, 20], ids=["the first three", "with a hole", "many"])
def test_all_descriptors_are_listed(more: int, tmp_path: Path) -> None:
    opened = [(tmp_path / str(number)).open("wb") for number in range(more)]
    passed = [file.fileno() for file in opened[: more or 1 : 2]] if more == 3 else [file.fileno() for file in opened]
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, pass_fds=passed)
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(b"x")
        assert child.stdout.read(1) == b"x"  # it has loaded its libraries
        expected = {int(link.name): str(link.readlink()) for link in Path(f"/proc/{child.pid}/fd").iterdir()}
        parts = memory.descriptors(child.pid).decode().split("\0")
        assert dict(zip(map(int, parts[:-1:2]), parts[1::2], strict=True)) == expected
        assert set(expected) == {0, 1, 2, *passed}
    finally:
        child.communicate()
        for file in opened:
            file.close()


def test_of_a_process_that_is_gone_there_are_none() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert memory.descriptors(child.pid) == b""
