"""Repetitions of real commands: what the kernel says of the command, not of us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from entrenar_research.actions.traces import measuring
from entrenar_research.actions.traces.measuring import measure
from entrenar_research.errors import ResearchError, UsageError
from entrenar_research.models.measured import Repetition

ENVIRONMENT = {"PATH": "/usr/bin:/bin", "KEPT": "yes"}
MIB = 1 << 20


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def once(argv: list[str], place: Path, **more: object) -> Repetition:
    found = measure(argv, directory=place, environment=ENVIRONMENT, repetitions=1, warm_up=0, **more)  # type: ignore[arg-type]
    return found.repetitions[0]


def test_the_peak_is_the_commands_alone(tmp_path: Path) -> None:
    ballast = bytearray(b"x" * (120 * MIB))
    small = once(python("pass"), tmp_path)
    large = once(python(f"x = bytearray({80 * MIB})"), tmp_path)
    assert len(ballast) == 120 * MIB
    assert small.peak_memory < 40 * MIB
    assert 80 * MIB < large.peak_memory < 130 * MIB


def test_children_are_counted_to_the_command(tmp_path: Path) -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'x = bytearray(70 << 20)'])"
    assert once(python(code), tmp_path).peak_memory > 70 * MIB


def test_times_are_those_of_the_command(tmp_path: Path) -> None:
    asleep = once(["sleep", "0.2"], tmp_path)
    assert asleep.wall >= 0.2
    assert asleep.user + asleep.system < 0.15
    busy = once(python("import time\nwhile time.process_time() < 0.2: pass"), tmp_path)
    assert busy.user + busy.system >= 0.2


@pytest.mark.parametrize(
    ("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_how_it_ended_is_recorded(script: str, status: int, tmp_path: Path) -> None:
    assert once(["sh", "-c", script], tmp_path).exit_status == status


def test_nothing_comes_in_and_nothing_comes_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('x' * 1000000); print('y', file=sys.stderr); sys.exit(len(sys.stdin.read()))"
    assert once(python(code), tmp_path).exit_status == 0
    assert capfd.readouterr() == ("", "")


def test_arguments_environment_and_directory_arrive(tmp_path: Path) -> None:
    code = (
        "import os, sys; open('seen', 'w').write(repr((sys.argv[1:], dict(os.environ), os.getcwd()))); "
        "sys.exit(len(os.listdir('/proc/self/fd')) - 4)"
    )
    words = ["", "two words", "new\nline", os.fsdecode(b"\xff")]
    found = once([*python(code), *words], tmp_path)
    assert found.exit_status == 0  # three streams, and the directory that is being listed: no other descriptor
    seen, environment, place = eval((tmp_path / "seen").read_text())  # noqa: S307
    assert (seen, environment["KEPT"], place) == (words, "yes", str(tmp_path))
    assert environment.keys() - {"LC_CTYPE"} == ENVIRONMENT.keys()


def test_signals_are_at_their_defaults(tmp_path: Path) -> None:
    assert once(["sh", "-c", "kill -PIPE $$"], tmp_path).exit_status == 128 + signal.SIGPIPE


def test_warming_up_is_not_counted(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    prepared: list[int] = []
    found = measure(
        ["sh", "-c", "echo >> ran"],
        directory=tmp_path,
        environment=ENVIRONMENT,
        repetitions=3,
        warm_up=2,
        progress=lambda done, every: told.append((done, every)),
        prepare=lambda: prepared.append(len(told)),
    )
    assert len(found.repetitions) == 3
    assert (tmp_path / "ran").read_text() == "\n" * 5
    assert told == [(number, 5) for number in range(1, 6)]
    assert prepared == [0, 1, 2, 3, 4]
    assert measuring.WARM_UP == 1


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no-such-program"], "command not found: no-such-program"),
        (["./text"], "cannot execute ./text: Exec format error"),
        (["./missing"], "command not found: ./missing"),
    ],
)
def test_what_cannot_be_started(argv: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(UsageError, match=message):
        once(argv, tmp_path)


@pytest.mark.parametrize(("repetitions", "warm_up"), [(0, 1), (-1, 1), (1, -1)])
def test_numbers_that_make_no_sense(repetitions: int, warm_up: int, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected at least 1"):
        measure(["true"], directory=tmp_path, environment=ENVIRONMENT, repetitions=repetitions, warm_up=warm_up)


def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    marker = f"600.{os.getpid()}"
    code = (
        "from pathlib import Path\n"
        "from entrenar_research.actions.traces.measuring import measure\n"
        f"measure(['sh', '-c', 'sleep {marker} & touch started; sleep {marker}'], directory=Path({str(tmp_path)!r}),"
        " environment={'PATH': '/usr/bin:/bin'}, repetitions=5)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert b"KeyboardInterrupt" in said
    assert not running(marker)


def running(marker: str) -> list[str]:
    """The processes whose command line has this word."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = place.read_bytes()
        except OSError:
            continue
        if marker.encode() in line:
            found.append(place.parent.name)
    return found


def test_the_error_is_one_of_ours_when_the_starter_dies(tmp_path: Path) -> None:
    with pytest.raises(ResearchError, match="could not be measured"):
        once(["sh", "-c", "kill -9 $PPID"], tmp_path)
