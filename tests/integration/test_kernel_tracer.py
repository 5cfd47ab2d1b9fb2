"""The kernel tracer on real programs: the same trace as strace's, nothing lost, and nothing changed for the program."""

import ctypes
import mmap
import os
import platform
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from entrenar_research.core.traces.normalisation import normalise
from entrenar_research.core.traces.observation import observe
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import Trace
from entrenar_research.tools.kernel_ring import command
from entrenar_research.tracers.kernel import TRACER
from entrenar_research.tracers.port import Tracer
from entrenar_research.tracers.strace import TRACER as STRACE

FULL = command.unavailable("full")
OBSERVE = command.unavailable("observe")
needs_full = pytest.mark.skipif(FULL is not None, reason=str(FULL))
pytestmark = pytest.mark.skipif(OBSERVE is not None, reason=str(OBSERVE))
LEVELS = [pytest.param("observe"), pytest.param("full", marks=needs_full)]
PYTHON = sys.executable

PIPELINE = """
mkdir d; cd d; echo one > a; cat a | tr o 0 | wc -c > count; (cd ..; cat d/a); ln -s a l; cat < l; mv a b
test -e a; test -d .; rm l; trap 'echo asked' USR1; kill -USR1 $$; cd ..; rm -r d; exit 5
"""
FILES = r"""
import os, tempfile, mmap
os.mkdir("d")
with open("d/a", "wb") as out:
    for _ in range(100):
        out.write(b"x" * 997)
print(len(open("d/a", "rb").read()))
fd = os.open("d/a", os.O_RDWR)
other = os.dup(fd)
os.dup2(other, 50)
os.write(50, b"zz")
os.lseek(other, 10, os.SEEK_SET)
os.pread(fd, 7, 3)
os.ftruncate(50, 100)
os.fsync(fd)
os.closerange(40, 60)
mmap.mmap(fd, 0).flush()
here = os.open("d", os.O_RDONLY)
os.close(os.open("a", os.O_RDONLY, dir_fd=here))
os.mkdir("n", dir_fd=here)
os.rename("n", "m", src_dir_fd=here, dst_dir_fd=here)
os.fchdir(here)
os.symlink("a", "l")
print(os.readlink("l"), os.stat("l").st_size, os.path.exists("none"))
os.link("a", "h")
os.chmod("h", 0o600)
os.utime("h")
os.truncate("h", 3)
os.replace("h", "g")
os.mkfifo("f")
odd = b"\xff\n<a>\"\\"
open(odd, "w").close()
os.unlink(odd)
os.chdir("..")
with tempfile.TemporaryDirectory() as place:
    open(place + "/q", "w").write("1")
reading, writing = os.pipe()
os.write(writing, b"abc")
print(os.read(reading, 2))
"""
PROCESSES = """
import os, subprocess, sys, threading
def work(number):
    open(f"out{number}", "w").write("x" * number)
    os.stat(f"out{number}")
for number in range(1, 5):
    thread = threading.Thread(target=work, args=[number])
    thread.start()
    thread.join()
child = os.fork()
if child == 0:
    os.mkdir("sub")
    os.chdir("sub")
    open("of the child", "w").write("1")
    os._exit(4)
os.waitpid(child, 0)
open("still here", "w").close()
print(subprocess.run(["ls", "sub"], capture_output=True, check=True).stdout)
subprocess.run("cat out1 | wc -c > n; exit 3", shell=True)
os.posix_spawn("/bin/true", ["true"], {})
os.wait()
try:
    os.execv("/nonexistent", ["x"])
except OSError:
    pass
os.execv("/bin/echo", ["echo", "as echo"])
"""
SOCKETS = """
import os, socket
a, b = socket.socketpair()
a.send(b"hi")
print(b.recv(10))
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", 0))
server.listen(1)
client = socket.create_connection(server.getsockname())
peer, _ = server.accept()
client.sendall(b"hello")
print(peer.recv(99))
one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
one.bind(("127.0.0.1", 0))
other.sendto(b"abc", one.getsockname())
print(one.recvfrom(10)[0])
local = socket.socket(socket.AF_UNIX)
local.bind("sock")
local.listen()
sender = socket.socket(socket.AF_UNIX)
sender.connect("sock")
receiver, _ = local.accept()
open("sent", "w").write("content")
socket.send_fds(sender, [b"m"], [os.open("sent", os.O_RDONLY)])
_, received, _, _ = socket.recv_fds(receiver, 10, 3)
print(os.read(received[0], 10))
"""


def run(
    tracer: Tracer,
    words: Sequence[str],
    log: Path,
    *,
    level: TraceLevel = "full",
    status: int = 0,
    before: Callable[[], None] | None = None,
) -> tuple[Trace, bytes]:
    """The trace of a command in a fresh directory, and what it wrote."""
    place = log.parent / "place"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    argv = tracer.wrap(words, level=level, log=log)
    done = subprocess.run(
        argv, cwd=place, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False, preexec_fn=before
    )
    assert done.returncode == status
    return tracer.read(log, command=words, level=level), done.stdout


@needs_full
@pytest.mark.skipif(STRACE.unavailable() is not None, reason=str(STRACE.unavailable()))
@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["sh", "-c", PIPELINE], 5),
        ([PYTHON, "-S", "-c", FILES], 0),
        ([PYTHON, "-S", "-c", PROCESSES], 0),
        ([PYTHON, "-S", "-c", SOCKETS], 0),
    ],
    ids=["pipeline", "files", "processes", "sockets"],
)
def test_the_trace_is_the_same_as_that_of_strace(tmp_path: Path, words: list[str], status: int) -> None:
    replacements = {str(tmp_path / "place"): "$STUDY", sys.prefix: "$PYTHON"}
    expected, output = run(STRACE, words, tmp_path / "strace.log", status=status)
    found, same = run(TRACER, words, tmp_path / "kernel.log", status=status)
    assert same == output
    assert (found.complete, found.lost, found.problems) == (True, 0, ())
    assert normalise(found, replacements=replacements) == normalise(expected, replacements=replacements)
    assert len(normalise(found, replacements=replacements)) > 20


@pytest.mark.skipif(STRACE.unavailable() is not None, reason=str(STRACE.unavailable()))
@pytest.mark.parametrize("program", [FILES, PROCESSES, SOCKETS], ids=["files", "processes", "sockets"])
def test_what_is_observed_is_the_same_as_with_strace(tmp_path: Path, program: str) -> None:
    place, words = str(tmp_path / "place"), [PYTHON, "-S", "-c", program]
    expected, found = (
        observe(run(tracer, words, tmp_path / "log", level="observe")[0], root=place, initial_directory=place)
        for tracer in (STRACE, TRACER)
    )
    for name in ("reads", "writes", "temporary", "removed", "listed", "executed", "missing", "python_packages"):
        left, right = (
            [
                path
                for path in getattr(one, name)
                if place in str(path) or not str(path).startswith(("/tmp/", "/dev/shm/"))
            ]
            for one in (expected, found)
        )
        assert left == right, name
    assert [item.rpartition(":")[0] for item in found.network] == [item.rpartition(":")[0] for item in expected.network]


@needs_full
def test_every_call_of_a_busy_program_is_there(tmp_path: Path) -> None:
    code = (
        "import os\nfd = os.open('f', os.O_RDWR | os.O_CREAT)\n"
        "for _ in range(20000):\n    os.write(fd, b'x' * 16)\n    os.pread(fd, 16, 0)\n"
    )
    trace, _ = run(TRACER, [PYTHON, "-S", "-c", code], tmp_path / "log")
    path = str(tmp_path / "place" / "f")
    writes = [call for call in trace.calls if call.name == "write" and path in call.arguments]
    reads = [call for call in trace.calls if call.name == "pread64" and path in call.arguments]
    assert (len(writes), len(reads), trace.lost, trace.complete) == (20000, 20000, 0, True)
    assert {(call.result, call.error) for call in writes + reads} == {("16", None)}
    ordered = sorted(writes + reads, key=lambda call: call.time)
    assert [call.name for call in ordered] == ["write", "pread64"] * 20000
    assert all(call.duration is not None and 0 < call.duration < 60 for call in ordered)


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_gets_what_it_would_get_alone(tmp_path: Path, level: TraceLevel) -> None:
    code = (
        "import os, signal; print(sorted(os.environb.items()), [signal.getsignal(n) for n in range(1, 32)], "
        "signal.pthread_sigmask(0, []), os.umask(0), os.getcwd(), sorted(os.listdir('/proc/self/fd')), "
        "[os.path.exists(f'/proc/self/fd/{n}') for n in range(3)])"
    )
    words = [PYTHON, "-I", "-S", "-c", code]

    def closed() -> None:
        os.close(2)
        os.umask(0o27)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)

    argv = TRACER.wrap(words, level=level, log=tmp_path / "log")
    for environment in ({}, {"LC_ALL": "C", "PYTHONPATH": "/nonexistent", "ODD": "\udcff=\n"}):
        alone, traced = (
            subprocess.run(one, env=environment, cwd="/", stdout=subprocess.PIPE, preexec_fn=closed, check=True).stdout
            for one in (words, argv)
        )
        assert traced == alone


@pytest.mark.parametrize("level", LEVELS)
def test_threads_that_become_other_programs(tmp_path: Path, level: TraceLevel) -> None:
    code = (
        "import os, threading, time\n"
        "threading.Thread(target=lambda: os.execv('/bin/echo', ['echo', 'x'])).start()\ntime.sleep(60)\n"
    )
    trace, output = run(TRACER, [PYTHON, "-S", "-c", code], tmp_path / "log", level=level)
    assert output == b"x\n"
    assert (trace.complete, trace.problems) == (True, ())
    (gone,) = [end for end in trace.ends if end.status is None]
    assert trace.ends[-1].pid == trace.calls[0].pid != gone.pid
    assert trace.ends[-1].status == 0
    assert [call.name for call in trace.calls].count("execve") == 2


@pytest.mark.parametrize("level", LEVELS)
def test_a_process_that_is_stopped_goes_on(tmp_path: Path, level: TraceLevel) -> None:
    script = "(while kill -CONT $$; do sleep 0.01; done) & kill -STOP $$; echo on; kill $!"
    trace, output = run(TRACER, ["sh", "-c", script], tmp_path / "log", level=level)
    assert output == b"on\n"
    assert trace.complete, trace.problems


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 9), (signal.SIGTERM, -signal.SIGTERM)])
def test_signals_to_the_group_are_the_commands(
    tmp_path: Path, level: TraceLevel, number: signal.Signals, status: int
) -> None:
    code = (
        "import sys, time\ntry:\n    print('up', flush=True)\n    for _ in range(1200):\n        time.sleep(0.05)\n"
        "except KeyboardInterrupt:\n    print('asked', flush=True)\n    sys.exit(9)\n"
    )
    words = [PYTHON, "-S", "-c", code]
    argv = TRACER.wrap(words, level=level, log=tmp_path / "log")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, process_group=0) as started:
        assert started.stdout is not None
        started.stdout.readline()
        os.killpg(started.pid, number)
        rest = started.stdout.read()
    assert (started.returncode, rest) == (status, b"asked\n" if status == 9 else b"")
    trace = TRACER.read(tmp_path / "log", command=words, level=level)
    assert trace.complete, trace.problems


@pytest.mark.parametrize("level", LEVELS)
def test_when_the_tracer_is_killed_the_command_dies_and_the_log_says_so(tmp_path: Path, level: TraceLevel) -> None:
    code = (
        "import os, time\nfor n in range(300):\n    os.stat('/')\n    os.stat('/usr')\n"
        "print('up', flush=True)\nfor _ in range(1200):\n    time.sleep(0.05)\n"
    )
    words = [PYTHON, "-S", "-c", code]
    with subprocess.Popen(TRACER.wrap(words, level=level, log=tmp_path / "log"), stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        started.kill()
        assert started.stdout.read() == b""
    found = TRACER.read(tmp_path / "log", command=words, level=level)
    assert not found.complete
    assert "the log was not finished: the tracer was killed, or the disk is full" in found.problems
    assert found.calls[0].name == "execve"


@pytest.mark.parametrize("level", LEVELS)
def test_when_the_log_has_no_room_the_command_goes_on(tmp_path: Path, level: TraceLevel) -> None:
    def small() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    code = "import os\nfor n in range(900):\n    os.stat('/'); os.stat('/usr')\nprint('done')"
    trace, output = run(TRACER, [PYTHON, "-S", "-c", code], tmp_path / "log", level=level, before=small)
    assert output == b"done\n"
    assert not trace.complete
    assert (tmp_path / "log").stat().st_size == 40_000


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [(["no such program"], 127, "no such program: no such command"), (["./x"], 126, "./x: cannot be executed: ")],
)
def test_a_program_that_cannot_be_started(
    tmp_path: Path, level: TraceLevel, words: list[str], status: int, reason: str
) -> None:
    (tmp_path / "x").write_bytes(b"nothing that runs")
    (tmp_path / "x").chmod(0o755)
    argv = TRACER.wrap(words, level=level, log=tmp_path / "log")
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(f"entrenar-research: {reason}")


OLD_CALL = """
import ctypes, mmap, os
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))  # getpid as a 32-bit program makes it
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))() == os.getpid())
"""


def old_calls_work() -> bool:
    """Whether this kernel runs calls of 32-bit programs."""
    if platform.machine() != "x86_64":
        return False
    with mmap.mmap(-1, 4096, prot=7) as code:
        code.write(bytes.fromhex("b814000000cd80c3"))
        child = os.fork()
        if child == 0:
            ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
            os._exit(0)
        return os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not old_calls_work(), reason="this machine runs no 32-bit programs")
@pytest.mark.parametrize("level", LEVELS)
def test_calls_of_32_bit_programs_are_reported(tmp_path: Path, level: TraceLevel) -> None:
    trace, output = run(TRACER, [PYTHON, "-S", "-c", OLD_CALL], tmp_path / "log", level=level)
    assert output == b"True\n"
    assert (trace.complete, trace.lost) == (False, 1)
    assert "1 threads made calls of 32-bit programs, which are not decoded" in trace.problems
    assert "writev" not in {call.name for call in trace.calls}


UNPRIVILEGED = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_without_rights_it_observes_and_says_what_it_lacks(tmp_path: Path) -> None:
    probe = [*UNPRIVILEGED, PYTHON, "-c", "import entrenar_research.tools.kernel_ring.command, msgspec"]
    if subprocess.run(probe, cwd="/", capture_output=True, check=False).returncode != 0:
        pytest.skip("this environment is not readable by other users")
    shared = Path("/tmp/kernel-trace-of-nobody")
    shutil.rmtree(shared, ignore_errors=True)
    shared.mkdir()
    try:
        os.chown(shared, 65534, 65534)
        own = shared / "own rights"
        shutil.copy("/bin/echo", own)
        own.chmod(0o4755)
        argv = [*UNPRIVILEGED, *TRACER.wrap([str(own), "x"], level="observe", log=shared / "log")]
        assert subprocess.run(argv, cwd=shared, capture_output=True, check=True).stdout == b"x\n"
        trace = TRACER.read(shared / "log", command=["x"], level="observe")
        assert trace.problems == (
            f"{own} is a set-user-id program: while it is traced it runs without its owner's rights",
        )
        level = Path("/proc/sys/kernel/perf_event_paranoid").read_text().strip()
        code = (
            "from entrenar_research.tracers.kernel import TRACER as t; print(t.unavailable('observe'), t.unavailable())"
        )
        said = subprocess.run(
            [*UNPRIVILEGED, PYTHON, "-c", code], cwd="/", capture_output=True, text=True, check=True
        ).stdout
        assert said.startswith("None ")
        assert said == "None None\n" or f"kernel.perf_event_paranoid is {level}" in said
    finally:
        shutil.rmtree(shared)
