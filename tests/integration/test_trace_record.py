"""`trace record` as a person uses it: any command, its own streams and end, three ways to be wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.core.traces import document, figures, summary
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.tracers import kernel, strace
from entrenar_research.tracers.port import Tracer
from tests.conftest import World
from tests.integration import faults

TOOL = str(Path(sys.executable).parent / "entrenar-research")


class Place:
    """A directory to trace in."""

    def __init__(self, world: World, home: Path) -> None:
        self.home, self.environment, self.run, self._world = home, world.environment, world.run, world

    def record(self, *words: str | Path, status: int = 0) -> subprocess.CompletedProcess[str]:
        return self._world.tool("trace", "record", *words, cwd=self.home, status=status)


@pytest.fixture
def place(world: World, tmp_path: Path) -> Place:
    (tmp_path / "here").mkdir()
    return Place(world, tmp_path / "here")


def test_the_command_keeps_its_streams_and_its_status(place: Place) -> None:
    done = subprocess.run(
        [TOOL, "trace", "record", "--as", "both", "--", "sh", "-c", "cat; echo err >&2; exit 7"],
        input=b"in\n", capture_output=True, cwd=place.home, env=place.environment, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (7, b"in\n")
    assert done.stderr.startswith(b"err\n")
    found = document.decode((place.home / "both.json").read_bytes(), "both.json")
    assert (found.exit.status, found.complete, found.level) == (7, True, "full")
    assert found.calls[0].name == "execve"


def test_counts_of_document_summary_and_strace_itself_agree(place: Place) -> None:
    place.record("--as", "a", "--", "sh", "-c", "cat /etc/passwd | wc -l")
    found = document.decode((place.home / "a.json").read_bytes(), "a.json")
    rows = summary.parse_summary(figures.table_of((place.home / "a_summary.txt").read_text()), "a_summary.txt")
    assert {row.name: row.calls for row in rows} == Counter(call.name for call in found.calls)
    assert len({call.process for call in found.calls}) == 3
    log = place.home / "counts"
    place.run("strace", "-f", "-c", "-o", log, "sh", "-c", "cat /etc/passwd | wc -l", cwd=place.home)
    own = {line.split()[-1]: int(line[31:40]) for line in log.read_text().splitlines()[2:-2]}
    assert own["openat"] == next(row.calls for row in rows if row.name == "openat")


def test_threads_are_told_from_processes(place: Place) -> None:
    program = "import threading; t = threading.Thread(target=open, args=['/etc/passwd']); t.start(); t.join()"
    place.record("--as", "t", "--", sys.executable, "-W", "ignore", "-c", program)
    found = document.decode((place.home / "t.json").read_bytes(), "t.json")
    [opened] = [call for call in found.calls if call.name == "openat" and '"/etc/passwd", O_RDONLY' in call.arguments]
    assert opened.process != opened.thread
    assert opened.process == found.calls[0].process


def test_what_moved_is_not_kept_and_home_is_not_named(place: Place) -> None:
    (place.home / "token").write_text("hunter2-secret")
    place.record("--as", "s", "--", "sh", "-c", f"cat {place.home}/token; cat ./token >copy")
    kept = (place.home / "s.json").read_text()
    assert "hunter2" not in kept
    assert str(place.home) not in kept
    assert "$PWD/token" in kept


def test_a_killed_command_kills_us_by_the_same_signal_and_is_written_down(place: Place) -> None:
    done = subprocess.run(
        [TOOL, "trace", "record", "--as", "k", "--", "sh", "-c", "kill -TERM $$"],
        cwd=place.home, env=place.environment, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGTERM
    found = document.decode((place.home / "k.json").read_bytes(), "k.json")
    assert (found.exit.status, found.exit.signal) == (None, "SIGTERM")


def test_an_interrupt_is_the_commands_business(place: Place) -> None:
    # Short sleeps: a signal that comes just before a sleep begins does not end it.
    script = (
        "import signal, time\nsignal.signal(2, lambda *a: exit(5))\nprint('up', flush=True)\n"
        "for _ in range(1200):\n    time.sleep(0.05)\n"
    )
    child = subprocess.Popen(
        [TOOL, "trace", "record", "--as", "i", "--", sys.executable, "-c", script],
        cwd=place.home, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        os.killpg(child.pid, signal.SIGINT)
        assert child.wait(timeout=60) == 5
    assert json.loads((place.home / "i.json").read_bytes())["exit"]["status"] == 5
    assert [path.name for path in place.home.glob(".trace-*")] == []


def test_sigterm_is_passed_on(place: Place) -> None:
    child = subprocess.Popen(
        [TOOL, "trace", "record", "--as", "p", "--", "sh", "-c", "echo up; exec sleep 60"],
        cwd=place.home, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=60) == -signal.SIGTERM
    assert (place.home / "p.json").is_file()


def test_a_program_that_closes_every_descriptor_and_forks_much(place: Place) -> None:
    program = "import os; os.closerange(0, 256); [os.waitpid(os.fork() or os._exit(0), 0) for _ in range(100)]"
    place.record("--as", "f", "--", sys.executable, "-c", program)
    found = document.decode((place.home / "f.json").read_bytes(), "f.json")
    assert found.complete
    assert len({call.process for call in found.calls}) == 101


def test_odd_words_are_traced(place: Place) -> None:
    place.record("--as", "odd", "--", "sh", "-c", ":", "a\nb", 'q"<>) = 3', "\udcff")
    found = document.decode((place.home / "odd.json").read_bytes(), "odd.json")
    assert found.complete
    assert "a\\\\nb" in found.calls[0].arguments


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (["--"], 2, "the command is missing"),
        (["--", "no-such-program"], 2, "command not found: no-such-program"),
        (["--as", "a/b", "--", "true"], 2, "cannot be the name of a trace"),
        (["-o", "nowhere", "--", "true"], 2, "is no directory"),
        (["--tracer", "nothing", "--", "true"], 2, "no tracer named 'nothing'"),
        (["--level", "some", "--", "true"], 2, "--level"),
    ],
)
def test_what_cannot_be_meant_is_refused(place: Place, words: list[str], status: int, reason: str) -> None:
    before = sorted(place.home.iterdir())
    assert reason in place.record(*words, status=status).stderr
    assert sorted(place.home.iterdir()) == before


def test_nothing_is_written_over_without_being_asked(place: Place) -> None:
    place.record("--as", "a", "--", "true")
    first = (place.home / "a.json").read_bytes()
    assert "there already" in place.record("--as", "a", "--", "true", status=2).stderr
    assert (place.home / "a.json").read_bytes() == first
    place.record("--as", "a", "--replace", "--", "true")
    assert (place.home / "a.json").read_bytes() != first


def test_without_a_tracer_nothing_is_run(place: Place, tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    done = subprocess.run(
        [TOOL, "trace", "record", "--tracer", "strace", "--", "sh", "-c", "echo ran >ran"],
        cwd=place.home, env={**place.environment, "PATH": str(tmp_path)}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert "strace is not installed" in done.stderr
    assert not (place.home / "ran").exists()


LASTING = """
import os, signal, subprocess, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
threading.Thread(target=time.sleep, args=[1000], daemon=True).start()
children = [subprocess.Popen(["sleep", "1000"]), subprocess.Popen(["sleep", "1000"], start_new_session=True)]
with open("part", "w") as stream:
    stream.write(" ".join(str(process) for process in (os.getpid(), *(child.pid for child in children))))
os.rename("part", "started")
while True:
    subprocess.run(["true"])
"""


@pytest.mark.parametrize("level", ["observe", "full"])
@pytest.mark.parametrize("tracer", [strace.TRACER, kernel.TRACER], ids=lambda tracer: str(tracer.name))
def test_what_it_traces_dies_with_it(place: Place, tracer: Tracer, level: TraceLevel) -> None:
    """Also what has a session of its own, ignores signals, and starts processes all the time."""
    if (reason := tracer.unavailable(level)) is not None:
        pytest.skip(reason)
    (place.home / "lasting.py").write_text(LASTING)
    words = ["trace", "record", "--tracer", tracer.name, "--level", level, "--", sys.executable, "lasting.py"]
    tool = subprocess.Popen(
        [TOOL, *words], cwd=place.home, env=place.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    started = [int(word) for word in faults.awaited(place.home / "started").split()]
    beside = faults.children(tool.pid, 2)  # the tracer and the guard
    tool.kill()
    tool.wait()
    for process in (*started, *beside):
        faults.await_end(process)
    assert list(place.home.glob("*.json")) == []


def test_no_guard_is_left_behind(place: Place) -> None:
    code = (
        "import os, pathlib\n"
        "tool = pathlib.Path(f'/proc/{os.getppid()}/stat').read_text().rpartition(')')[2].split()[1]\n"
        "beside = pathlib.Path(f'/proc/{tool}/task/{tool}/children').read_text()\n"
        "pathlib.Path('beside').write_text(beside)\n"
    )
    place.record("--as", "g", "--", sys.executable, "-c", code)
    beside = [int(word) for word in (place.home / "beside").read_text().split()]
    assert len(beside) == 2
    for process in beside:
        faults.await_end(process)


def test_killed_itself_it_leaves_no_trace_that_looks_whole(place: Place) -> None:
    child = subprocess.Popen(
        [TOOL, "trace", "record", "--as", "x", "--", "sh", "-c", "echo up; sleep 60"],
        cwd=place.home, env=place.environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        os.killpg(child.pid, signal.SIGKILL)
        child.wait(timeout=60)
    assert not (place.home / "x.json").exists()


def test_repetitions_without_the_tracer_stand_in_the_summary(place: Place) -> None:
    place.record("--as", "r", "--repeat", "3", "--", "sh", "-c", "echo once >>count")
    assert (place.home / "count").read_text() == "once\n" * 5  # traced, once to warm up, three that count
    text = (place.home / "r_summary.txt").read_text()
    _, _, beneath = text.partition("Repetitions without a tracer")
    assert [line.split()[-1] for line in beneath.splitlines()[2:5]] == ["0", "0", "0"]
    assert beneath.splitlines()[5].split()[0] == "median"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)])
def test_a_trace_outlives_its_repetitions(place: Place, number: signal.Signals, status: int) -> None:
    script = "[ -e once ] || { touch once; exit; }; echo up >twice; exec sleep 60"
    child = subprocess.Popen(
        [TOOL, "trace", "record", "--as", "r", "--repeat", "2", "--", "sh", "-c", script],
        cwd=place.home, env=place.environment, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with child:
        faults.awaited(place.home / "twice")
        child.send_signal(number)
        _, said = child.communicate(timeout=60)
    assert child.returncode == status
    assert said.splitlines()[1:] == [f"the repetitions were stopped by {number.name}: the trace is kept without them"]
    assert document.decode((place.home / "r.json").read_bytes(), "r.json").complete
    table = (place.home / "r_summary.txt").read_text()
    assert "Repetitions without a tracer" not in table
    assert summary.parse_summary(figures.table_of(table), "r_summary.txt")
    assert [path.name for path in place.home.glob(".trace-*")] == []


@pytest.fixture
def small(as_root: None, place: Place) -> Iterator[Path]:
    """A directory on a file system of 1 MiB."""
    found = place.home / "small"
    found.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(found)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    try:
        yield found
    finally:
        subprocess.run(["umount", "-l", found], check=True)


def test_a_full_disk_is_told_once(place: Place, small: Path) -> None:
    """Alone, strace complains once for every call that it cannot write."""
    program = "import os\nfor _ in range(20_000):\n    os.getppid()\nopen('ran', 'w').write('to the end')\nexit(3)"
    done = place.record("-o", "small", "--as", "x", "--", sys.executable, "-c", program, status=1)
    assert done.stderr == (
        "error: no space left in small for the trace: the command ended with status 3, its trace is lost\n"
        "hint: free some space, or name a directory on another disk with -o, then record it again\n"
    )
    assert (place.home / "ran").read_text() == "to the end"
    assert list(small.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "kept"), [("x.json", "its trace is lost"), ("x_summary.txt", "x.json is written, this is not")]
)
def test_what_could_not_be_written_is_told(place: Place, file: str, kept: str) -> None:
    done = place.record("--as", "x", "--", "mkdir", file, status=1)
    error, hint = done.stderr.splitlines()
    assert error.startswith(f"error: cannot write {file}: Is a directory (")
    assert error.endswith(f"; the command has run, but {kept}")
    assert hint == "hint: name another directory with -o, then record it again"


def test_calls_are_traced_to_the_line_that_makes_them(place: Place) -> None:
    (place.home / "p.py").write_text("def load():\n    return open('data').read()\n\n\nload()\n")
    (place.home / "data").write_text("x\n")
    place.record("--as", "s", "--source", "--", sys.executable, "p.py")
    found = json.loads((place.home / "s_source.json").read_bytes())
    trace = document.decode((place.home / "s.json").read_bytes(), "s.json")
    assert found["trace_id"] == trace.trace_id
    places = {tuple(item[:3]) for item in found["locations"]}
    assert ("$PWD/p.py", 2, "load") in places
    place.record("--as", "plain", "--", sys.executable, "p.py")
    assert document.decode((place.home / "plain.json").read_bytes(), "plain.json").trace_id == trace.trace_id


def test_budgets_are_held_against_what_was_measured_beside_the_trace(place: Place) -> None:
    place.record("--as", "b", "--repeat", "2", "--", "true")
    (place.home / "renacer.toml").write_text(
        '[[assertion]]\nname = "small"\ntype = "memory_usage"\ntracking_mode = "rss"\nmax_bytes = 1000000000\n'
    )
    check = ("entrenar-research", "trace", "check", "b.json", "--format", "json", "--policy", "renacer.toml")
    [said] = json.loads(place.run(*check, cwd=place.home).stdout)["assertions"]
    assert said["state"] == "pass"
    path = place.home / "b_summary.txt"
    path.write_text(path.read_text().replace(" execve", " openat2"))
    assert "is not the summary of b.json" in place.run(*check, cwd=place.home, status=1).stderr
    path.unlink()
    [said] = json.loads(place.run(*check, cwd=place.home, status=3).stdout)["assertions"]
    assert said["state"] == "no data"


def test_what_stands_behind_a_path_is_contents_too(place: Place) -> None:
    (place.home / "o").touch()
    program = (
        "import ctypes, os\n"
        "try:\n    os.setxattr('o', 'user.x', b'SECRET-1')\nexcept OSError:\n    pass\n"
        "ctypes.CDLL(None).mount(b'x', b'/nonexistent', b'tmpfs', 0, b'password=SECRET-2')\n"
    )
    (place.home / "p.py").write_text(program)
    place.record("--as", "s", "--", sys.executable, "p.py")
    kept = (place.home / "s.json").read_text()
    assert "setxattr($PWD/o, 8, 0)" in kept
    assert "mount(" in kept
    assert "SECRET" not in kept


def test_a_command_killed_by_force_is_told_as_such(place: Place) -> None:
    done = subprocess.run(
        [TOOL, "trace", "record", "--as", "k", "--", "sh", "-c", "kill -KILL $$"],
        cwd=place.home, env=place.environment, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert document.decode((place.home / "k.json").read_bytes(), "k.json").exit.signal == "SIGKILL"


def test_what_a_killed_recording_left_is_ignored_and_goes_with_the_next(place: Place) -> None:
    words = [TOOL, "trace", "record", "--as", "x", "--", "sh", "-c", "echo up; sleep 60"]
    with subprocess.Popen(
        words, cwd=place.home, env=place.environment, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        [left] = place.home.glob(".trace-*")
        place.record("--as", "beside", "--", "true")
        assert left.is_dir()  # somebody is at work in it
        os.killpg(child.pid, signal.SIGKILL)
    assert (left / ".gitignore").read_text() == "*\n"
    place.record("--as", "next", "--", "true")
    assert not left.exists()
