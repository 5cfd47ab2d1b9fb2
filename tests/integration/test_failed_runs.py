"""Commands that fail: recorded as such, by us and under `dvc repro`; the last good result stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import World
from tests.integration import faults

GOOD = "open(os.path.join(out, 'curve.csv'), 'w').write('step,loss')\n"
FAILURES = {
    "exit": ("sys.exit(3)", 3, None, "the command of line ended with exit status 3"),
    "exception": ("raise ValueError('no such weight')", 1, None, "ValueError: no such weight"),
    "killed": ("os.kill(os.getpid(), 9)", 137, "SIGKILL", "the command of line was killed by SIGKILL"),
    "crashed": ("os.kill(os.getpid(), 11)", 139, "SIGSEGV", "the command of line was killed by SIGSEGV"),
    "terminated": ("os.kill(os.getpid(), 15)", 143, "SIGTERM", "the command of line was killed by SIGTERM"),
    "interrupts itself": ("os.kill(os.getpid(), 2)", 130, "SIGINT", "the command of line was killed by SIGINT"),
    "no output": ("", 0, None, "did not write: curve.csv, metrics.json (declared in experiments/line/experiment.yaml)"),
    "no metrics file": (GOOD, 0, None, "did not write: metrics.json"),
    "no metric": (GOOD + "json.dump({'loss': 1}, open(out + '/metrics.json', 'w'))", 0, None, "weight"),
    "a word for a metric": (
        GOOD + "json.dump({'loss': 'low', 'weight': 2}, open(out + '/metrics.json', 'w'))", 0, None, "loss",
    ),
    "not JSON": (GOOD + "open(out + '/metrics.json', 'w').write('{')", 0, None, "metrics.json"),
    "a dangling link": (GOOD + "os.symlink('nowhere', out + '/metrics.json')", 0, None, "metrics.json"),
}  # fmt: skip


def fail(study: Path, body: str) -> None:
    code = study / "experiments/line/train.py"
    code.write_text(
        "import json, os, resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
        "out = sys.argv[3]\n"
        "print('begun', flush=True)\n"
        "open(os.path.join(out, 'half'), 'w').write('half a result')\n" + body + "\n"
    )


def left(study: Path) -> tuple[dict[str, bytes], bytes]:
    return faults.contents(study / "experiments/line/result"), (study / "dvc.lock").read_bytes()


@pytest.mark.parametrize(
    ("name", "level"),
    [*((name, "none") for name in FAILURES), ("exit", "full"), ("killed", "full"), ("crashed", "observe")],
)
def test_is_recorded(world: World, tiny: Path, name: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body, exit_status, signal, said = FAILURES[name]
    before = left(tiny)
    fail(tiny, body)
    done = world.tool("run", "line", "--quiet", "--trace", level, cwd=tiny, status=1)
    assert said in done.stderr
    assert done.stderr.startswith("error: ")
    assert left(tiny) == before
    record = faults.record(tiny, -1)
    assert record["status"] == "failed"
    assert (record["exit_status"], record.get("signal")) == (exit_status, signal)
    assert record["failure"].splitlines()[0] in done.stderr
    run = tiny / "runs" / record["id"]
    assert (run / "stdout.txt").read_text() == "begun\n"
    assert faults.states(tiny) == ["completed", "failed"]
    # It is put right, and all is as before.
    world.run("git", "checkout", "-q", "experiments/line/train.py", cwd=tiny)
    assert "line is up to date" in world.tool("run", "line", cwd=tiny).stdout
    for key, value in world.environment.items():
        monkeypatch.setenv(key, value)
    faults.assert_sound(tiny)


@pytest.mark.parametrize("name", ["killed", "no metric"])
def test_under_dvc(world: World, tiny: Path, name: str) -> None:
    body, exit_status, signal, said = FAILURES[name]
    before = left(tiny)
    fail(tiny, body)
    done = world.run("dvc", "repro", cwd=tiny, status=None)
    assert done.returncode != 0
    assert said in done.stderr
    assert "failed to reproduce 'line'" in done.stderr
    assert left(tiny) == before
    record = faults.record(tiny, -1)
    assert (record["status"], record["exit_status"], record.get("signal")) == ("failed", exit_status, signal)
    world.run("git", "checkout", "-q", "experiments/line/train.py", cwd=tiny)
    assert "didn't change, skipping" in world.run("dvc", "repro", cwd=tiny).stdout
    assert left(tiny) == before


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-program x", "no-such-program"),
        ("experiments/line/train.py x", "experiments/line/train.py"),
        ("./experiments x", "./experiments"),
    ],
)
def test_command_that_cannot_be_started(world: World, tiny: Path, command: str, said: str) -> None:
    before = left(tiny)
    declaration = tiny / "experiments/line/experiment.yaml"
    declaration.write_text(
        "\n".join(
            f"command: {command}" if line.startswith("command:") else line
            for line in declaration.read_text().splitlines()
        )
    )
    done = world.tool("run", "line", cwd=tiny, status=None)
    assert done.returncode in (2, 3)
    assert said in done.stderr
    assert left(tiny) == before
    assert faults.states(tiny) == ["completed"]


def test_interpreter_that_is_not_there(world: World, tiny: Path) -> None:
    """It is found only when the kernel looks: the run has begun, and is recorded."""
    before = left(tiny)
    (tiny / "script").write_text("#!/no/such/interpreter\n")
    (tiny / "script").chmod(0o755)
    declaration = tiny / "experiments/line/experiment.yaml"
    declaration.write_text(declaration.read_text().replace("command: python ", "command: ./script "))
    done = world.tool("run", "line", "--trace", "none", cwd=tiny, status=None)
    assert done.returncode in (1, 2)
    assert "script" in done.stderr
    assert left(tiny) == before
    assert faults.states(tiny) == ["completed", "failed"]


def test_what_it_left_running_does_not_outlive_it(world: World, tiny: Path) -> None:
    """A process in the background could still write into a result that is already recorded."""
    code = tiny / "experiments/line/train.py"
    code.write_text(
        code.read_text()
        + "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n"
        + "print('child', child.pid)\nsys.stdout.flush()\nos._exit(0)\n"
    )
    done = world.tool("run", "line", "--trace", "none", cwd=tiny)
    faults.await_end(int(done.stdout.partition("child ")[2].split()[0]))
    assert faults.states(tiny) == ["completed", "completed"]
