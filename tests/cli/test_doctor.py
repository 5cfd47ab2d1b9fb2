"""`doctor`: what is here, what each is for, how to get the rest; tracing that is forbidden or absent is said."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.tools.kernel_ring import command
from tests.cli.conftest import tree
from tests.conftest import World

PROGRAMS = (
    "git", "dvc", "ssh-keygen", "strace", "setarch", "sh", "env", "python", "python3", "entrenar-research",
)  # fmt: skip
REFUSED = '''\
"""Runs a command for which the kernel refuses ptrace(2), as many containers have it (seccomp(2), a filter in BPF)."""
import ctypes, os, struct, sys
number = {"x86_64": 101, "aarch64": 117}[os.uname().machine]
steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
prctl = ctypes.CDLL(None).prctl
assert prctl(38, 1, 0, 0, 0) == 0 and prctl(22, 2, ctypes.byref(program), 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
'''


@pytest.fixture
def without(world: World, tmp_path: Path) -> dict[str, str]:
    """Variables with a PATH of its own, below `bin`, where programs can be taken away."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in PROGRAMS:
        found = world.run("sh", "-c", f"command -v {name}", cwd=tmp_path).stdout.strip()
        (place / name).write_text(f'#!/bin/sh\nexec {found} "$@"\n')
        (place / name).chmod(0o755)
    return {"PATH": str(place)}


def examined(world: World, cwd: Path, env: dict[str, str] | None = None, status: int = 0) -> dict[str, dict[str, Any]]:
    done = world.tool("doctor", "--format", "json", cwd=cwd, env=env, status=status)
    report = json.loads(done.stdout)
    assert report["ready"] is (status == 0)
    return {tool["name"]: tool for tool in report["tools"]}


def test_all_is_well(world: World, tiny: Path) -> None:
    tools = examined(world, tiny)
    assert tools["python"]["found"] == ".".join(map(str, sys.version_info[:3]))
    assert tools["git identity"]["found"] == "Ada Lovelace <ada@example.org>"
    assert tools["signing key"]["found"].startswith("SHA256:")
    assert all(tool["found"] for tool in tools.values() if tool["needed"])
    assert all(tool["found"] or tool["remedy"] for tool in tools.values())
    assert world.tool("doctor", cwd=tiny.parent).stdout.endswith("the main job can run\n")


@pytest.mark.parametrize(
    ("gone", "remedy"), [("git", "apt-get install git"), ("ssh-keygen", "apt-get install openssh-client")]
)
def test_a_needed_program_is_missing(gone: str, remedy: str, world: World, tiny: Path, without: dict[str, str]) -> None:
    Path(without["PATH"], gone).unlink()
    tools = examined(world, tiny, without, status=3)
    assert (tools[gone]["found"], tools[gone]["remedy"]) == (None, remedy)
    done = world.tool("doctor", cwd=tiny, env=without, status=3)
    assert done.stdout.splitlines()[-1].startswith(f"the main job cannot run: {gone}")
    done = world.tool("seal", "experiment", "line", "-m", "x", cwd=tiny, env=without, status=3)
    assert done.stderr == (
        f"error: the program {gone!r} is not installed or not on PATH\n"
        f"hint: get it with `{remedy}`, or your system's package\n"
    )


def test_no_identity_and_no_key(world: World, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    tools = examined(world, tiny, {"HOME": str(tmp_path / "home")}, status=3)
    assert tools["git identity"]["found"] is None
    assert tools["git identity"]["remedy"].startswith("git config --global user.name")
    assert tools["signing key"]["remedy"] == "make one with `entrenar-research keys new`"


def test_strace_is_absent(world: World, tiny: Path, without: dict[str, str]) -> None:
    Path(without["PATH"], "strace").unlink()
    reason = "strace is not installed or not on PATH"
    tools = examined(world, tiny, without)
    assert tools["tracer strace"]["remedy"] == f"{reason}; apt-get install strace"
    assert tools["tracer renacer"]["remedy"].startswith("renacer is not installed or not on PATH; cargo install")
    assert "tracer replay" not in tools


def test_every_tracer_is_shown_with_what_it_can_do(world: World, tiny: Path) -> None:
    kernel = examined(world, tiny)["tracer kernel"]
    reasons = command.unavailable("full"), command.unavailable("observe")
    if reasons[0] is None:
        assert kernel["found"] == f"kernel {platform.release()}"
        assert kernel["remedy"] == ""
    else:
        assert kernel["remedy"] == f"{reasons[0]}; allow this account to trace"
        assert (kernel["found"] is None) == (reasons[1] is not None)
        assert kernel["found"] is None or "only to observe; for every call: " in kernel["found"]


def test_tracing_is_forbidden(world: World, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "refused.py").write_text(REFUSED)
    refused = [sys.executable, str(tmp_path / "refused.py")]
    assert world.run(*refused, "strace", "true", cwd=tiny, status=None).returncode != 0
    reason = "tracing is forbidden here: strace: "
    done = world.run(*refused, "entrenar-research", "doctor", "--format", "json", cwd=tiny)
    tools = {tool["name"]: tool for tool in json.loads(done.stdout)["tools"]}
    for tracer in (tools["tracer strace"], tools["tracer kernel"]):
        assert tracer["found"] is None
        assert "Operation not permitted" in tracer["remedy"]
        assert tracer["remedy"].endswith("; allow this account to trace")
    assert tools["tracer strace"]["remedy"].startswith(reason)
    check_untraced(world, tiny, reason, refused)


def check_untraced(world: World, study: Path, reason: str, before: list[str]) -> None:
    """A run says that it is not traced, runs, and records why; what needs a trace says so and does nothing."""
    call = [*before, "entrenar-research"]
    done = world.run(*call, "run", "line", "--force", "--quiet", cwd=study)
    runs = len(list((study / "runs").iterdir()))
    assert f"line: no trace: {reason}" in done.stdout
    assert f"trace: unavailable ({reason}" in done.stdout
    record = json.loads(world.tool("runs", "show", "line", "--format", "json", cwd=study).stdout)
    assert record["status"] == "completed"
    assert record["trace"]["status"] == "unavailable"
    assert record["trace"]["reason"].startswith(reason)
    assert "waitpid" not in record["trace"]["reason"]
    assert f"full: unavailable ({reason}" in world.tool("runs", "show", "line", cwd=study).stdout
    done = world.run(*call, "run", "line", "--strict", cwd=study, status=3)
    assert f"nothing can be traced here with strace or kernel: {reason}" in done.stderr
    assert len(list((study / "runs").iterdir())) == runs
    kept = tree(study)
    done = world.run(*call, "golden", "check", cwd=study, status=3)
    assert f"nothing can be traced here with strace or kernel: {reason}" in done.stderr
    assert "; kernel: " in done.stderr
    assert "hint: install strace, or allow this account to trace; `entrenar-research doctor`" in done.stderr
    done = world.run(*call, "experiment", "add", "other", "--yes", "--", "true", cwd=study, status=3)
    assert done.stderr.startswith(f"error: the command cannot be observed here: {reason}")
    assert "--no-infer" in done.stderr
    assert tree(study) == kept
