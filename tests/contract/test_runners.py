"""What every runner promises, whatever it is: `runners/<name>.py` with a RUNNER."""

from __future__ import annotations

import importlib
import os
import pkgutil
import signal
import sys
from pathlib import Path

import pytest

from entrenar_research import runners
from entrenar_research.errors import UsageError
from entrenar_research.runners.port import Ended, Job, Runner

NAMES = sorted(module.name for module in pkgutil.iter_modules(runners.__path__) if module.name != "port")
ENVIRONMENT = {"PATH": os.environ["PATH"], "MARK": "here"}


@pytest.fixture(params=NAMES)
def runner(request: pytest.FixtureRequest) -> Runner:
    found: Runner = importlib.import_module(f"entrenar_research.runners.{request.param}").RUNNER
    assert found.name == request.param
    if found.seals:
        pytest.skip("it builds what an experiment declares, no command of ours: test_nix_runner.py")
    if (reason := found.unavailable(ENVIRONMENT)) is not None:
        pytest.skip(reason)
    return found


def execute(runner: Runner, place: Path, *argv: str, echo: bool = False) -> Ended:
    job = Job(
        argv=argv, directory=place, environment=ENVIRONMENT, stdout=place / "out", stderr=place / "err", echo=echo,
        writable=(place,),
    )  # fmt: skip
    return runner.execute(job)


def test_there_are_runners() -> None:
    assert "host" in NAMES


def test_a_command_runs_where_and_with_what_it_is_told(runner: Runner, tmp_path: Path) -> None:
    ended = execute(runner, tmp_path, "sh", "-c", 'pwd; echo "$MARK-$HOME-"; echo said >&2; cat')
    assert (ended.exit_status, ended.signal, ended.interrupted) == (0, None, False)
    assert (tmp_path / "out").read_text() == f"{tmp_path.resolve()}\nhere--\n"
    assert (tmp_path / "err").read_text() == "said\n"


def test_words_reach_the_command_as_they_are(runner: Runner, tmp_path: Path) -> None:
    words = ["", "a b", "$MARK", "*", "it's", "größe", "-x"]
    execute(runner, tmp_path, sys.executable, "-c", "import sys; print(sys.argv[1:])", *words)
    assert (tmp_path / "out").read_text(encoding="utf-8") == f"{words}\n"


@pytest.mark.parametrize("status", [1, 7, 255])
def test_a_failure_is_a_value(runner: Runner, tmp_path: Path, status: int) -> None:
    assert execute(runner, tmp_path, "sh", "-c", f"exit {status}").exit_status == status


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV", "SIGTERM"])
def test_a_signal_is_named(runner: Runner, tmp_path: Path, name: str) -> None:
    ended = execute(runner, tmp_path, "sh", "-c", f"kill -{name[3:]} $$")
    assert (ended.exit_status, ended.signal) == (128 + signal.Signals[name], name)
    assert not ended.interrupted


def test_bytes_of_any_kind_are_kept(runner: Runner, tmp_path: Path) -> None:
    execute(runner, tmp_path, "sh", "-c", r"printf '\000\377\n'; printf '\376' >&2")
    assert (tmp_path / "out").read_bytes() == b"\0\xff\n"
    assert (tmp_path / "err").read_bytes() == b"\xfe"


def test_an_echo_reaches_our_own_streams_and_the_files(
    runner: Runner, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdout", "stderr"):
        stream = open(getattr(sys, f"__{name}__").fileno(), "w", closefd=False)  # noqa: SIM115 - for the test's length
        monkeypatch.setattr(sys, name, stream)
    execute(runner, tmp_path, "sh", "-c", "echo one; echo two >&2", echo=True)
    said = capfdbinary.readouterr()
    assert (said.out, said.err) == (b"one\n", b"two\n")
    assert ((tmp_path / "out").read_bytes(), (tmp_path / "err").read_bytes()) == (b"one\n", b"two\n")


def test_resources_are_those_of_the_command_and_its_children(runner: Runner, tmp_path: Path) -> None:
    busy = "x = bytearray(60 << 20)\nfor n in range(3_000_000): pass"
    ended = execute(runner, tmp_path, "sh", "-c", f"{sys.executable} -S -c '{busy}'; true")
    assert ended.usage.peak_memory > 60 << 20
    assert ended.usage.user_seconds > 0
    assert ended.seconds > 0


@pytest.mark.parametrize(("words", "message"), [("./absent", "absent"), ("./data", "data")])
def test_what_cannot_be_started_is_a_usage_error(runner: Runner, tmp_path: Path, words: str, message: str) -> None:
    (tmp_path / "data").write_text("no program")
    with pytest.raises(UsageError, match=message):
        execute(runner, tmp_path, words)
