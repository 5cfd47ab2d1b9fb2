"""What every tracer promises, whatever it is: `tracers/<name>.py` with a TRACER."""

import importlib
import pkgutil
import signal
import subprocess
from pathlib import Path

import pytest

from entrenar_research import tracers
from entrenar_research.errors import IntegrityError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.tracers.port import Tracer

NAMES = sorted(module.name for module in pkgutil.iter_modules(tracers.__path__) if module.name != "port")
LEVELS: list[TraceLevel] = ["observe", "full"]
# What these promise instead is in test_other_tracers.py.
LIMITED = {
    "renacer": "renacer leaves out calls, and turns signals into statuses",
    "replay": "a replayed trace is of another execution",
}

WITHOUT_PROGRAM = {"kernel": "the kernel traces without a program of others"}


@pytest.fixture(params=NAMES)
def tracer(request: pytest.FixtureRequest) -> Tracer:
    found: Tracer = importlib.import_module(f"entrenar_research.tracers.{request.param}").TRACER
    assert found.name == request.param
    return found


@pytest.fixture
def able(tracer: Tracer) -> Tracer:
    if (reason := tracer.unavailable()) is not None:
        pytest.skip(reason)
    return tracer


@pytest.fixture
def faithful(able: Tracer) -> Tracer:
    if able.name in LIMITED:
        pytest.skip(LIMITED[able.name])
    return able


def test_there_are_tracers() -> None:
    assert "strace" in NAMES


def test_a_tracer_that_works_has_a_version(able: Tracer) -> None:
    assert able.version()


def test_without_its_program_it_says_why_it_cannot_trace(
    tracer: Tracer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tracer.name in WITHOUT_PROGRAM:
        pytest.skip(WITHOUT_PROGRAM[tracer.name])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tracer.unavailable()
    assert tracer.version() is None


def test_no_level_leaves_the_command_alone(tracer: Tracer, tmp_path: Path) -> None:
    assert tracer.wrap(["a", "b"], level="none", log=tmp_path / "log") == ["a", "b"]


@pytest.mark.parametrize("level", LEVELS)
def test_the_command_runs_as_it_would_alone(faithful: Tracer, tmp_path: Path, level: TraceLevel) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "cat; echo out; echo err >&2; exit 7"]
    done = subprocess.run(
        faithful.wrap(command, level=level, log=log),
        input=b"in\n",
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"in\nout\n", b"err\n")
    trace = faithful.read(log, command=command, level=level)
    assert trace.complete, trace.problems
    assert (trace.tracer, trace.level, trace.command) == (faithful.name, level, tuple(command))
    assert trace.calls[0].name == "execve"
    assert trace.ends[-1].status == 7


@pytest.mark.parametrize("level", LEVELS)
def test_a_command_that_is_killed_ends_as_killed(faithful: Tracer, tmp_path: Path, level: TraceLevel) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "kill -KILL $$"]
    done = subprocess.run(faithful.wrap(command, level=level, log=log), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert faithful.read(log, command=command, level=level).ends[-1].signal == "SIGKILL"


@pytest.mark.parametrize("content", [b"", b"\n", b"this is no log\n"])
def test_what_is_no_log_is_refused(tracer: Tracer, tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "log"
    log.write_bytes(content)
    with pytest.raises(IntegrityError):
        tracer.read(log, command=["x"], level="full")
