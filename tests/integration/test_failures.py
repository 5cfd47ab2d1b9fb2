"""Why commands fail, found out from real processes: crashes, exceptions, memory and disks that run out."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from entrenar_research.actions.running import diagnosis
from entrenar_research.models.tracking import Failure
from entrenar_research.runners.host import RUNNER
from entrenar_research.runners.port import Job
from tests.conftest import World
from tests.integration import faults

NO_CORE = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
TORCH = """\
class OutOfMemoryError(RuntimeError):
    pass
OutOfMemoryError.__module__ = "torch"
"""


def why(study: Path, *argv: str) -> Failure:
    """How a command that fails in a study is judged."""
    run = study / "runs" / "r"
    run.mkdir(parents=True, exist_ok=True)
    job = Job(
        argv=argv, directory=study, environment={"PATH": os.environ["PATH"]},
        stdout=run / "stdout.txt", stderr=run / "stderr.txt",
    )  # fmt: skip
    with diagnosis.Kernel() as kernel:
        ended = RUNNER.execute(job)
        seen = kernel.evidence(ended)
    assert ended.exit_status != 0
    return diagnosis.of_command(study, run, tuple(argv), ended, seen)


def script(study: Path, source: str) -> Failure:
    (study / "train.py").write_text(source)
    return why(study, sys.executable, "train.py")


LIMITED = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))\nx = b'x' * (1 << 29)"
LOGGED = (
    "import logging, sys\ntry: 1 / 0\nexcept Exception: logging.exception('it')\nsys.stderr.write('on')\nsys.exit(5)"
)


@pytest.mark.parametrize(
    ("source", "code", "exception"),
    [
        ("raise ValueError('some information about inference in ROOM 12, OOM')", "PYTHON_ERROR", "ValueError"),
        ("import no_such_module", "MODULE_NOT_FOUND", "ModuleNotFoundError"),
        ("open('data/none.csv')", "FILE_NOT_FOUND", "FileNotFoundError"),
        ("import subprocess; subprocess.run(['no-such-program'])", "TOOL_MISSING", "FileNotFoundError"),
        ("bytearray(1 << 60)", "OOM_HOST", "MemoryError"),
        (LIMITED, "OOM_HOST", "MemoryError"),
        ("open('/dev/full', 'w').write('x' * 9999)", "DISK_FULL", "OSError"),
        ("import torch; raise torch.OutOfMemoryError('no room')", "OOM_CUDA", "torch.OutOfMemoryError"),
        ("raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')", "OOM_CUDA", "RuntimeError"),
        ("x = = 1", "SYNTAX_ERROR", "SyntaxError"),
        ("def f(): f()\nf()", "RECURSION", "RecursionError"),
        ("1 / 0", "NUMERIC_DIVISION", "ZeroDivisionError"),
        ("try: open('nowhere')\nexcept OSError as e: raise RuntimeError() from e", "FILE_NOT_FOUND", "RuntimeError"),
        ("raise ExceptionGroup('both', [KeyError('k'), MemoryError()])", "OOM_HOST", "ExceptionGroup"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "NETWORK", "ConnectionRefusedError"),
        ("import argparse; p = argparse.ArgumentParser(); p.add_argument('x'); p.parse_args()", "CONFIG_INVALID", None),
        ("import sys; sys.exit(7)", "EXIT_STATUS", None),
        ("import sys; sys.exit('told in ROOM')", "EXIT_STATUS", None),
        (LOGGED, "EXIT_STATUS", None),
    ],
)
def test_python(tmp_path: Path, source: str, code: str, exception: str | None) -> None:
    (tmp_path / "torch.py").write_text(TORCH)
    found = script(tmp_path, source)
    assert (found.code, found.exception) == (code, exception)
    assert str(tmp_path) not in msgspec.json.encode(found).decode()
    assert (found.stack is None) == (exception is None)


FILE_LIMIT = """\
import resource, signal
resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
open('big', 'w').write('x' * 99)
"""
CUT_SHORT = """\
import mmap
f = open('m', 'w+b')
f.truncate(4096)
m = mmap.mmap(f.fileno(), 4096)
f.truncate(0)
m[0]
"""


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("import ctypes; ctypes.string_at(0)", "SEGFAULT"),
        ("import os; os.abort()", "ABORTED"),
        ("import os; os.kill(os.getpid(), 9)", "KILLED"),
        ("import os; os.kill(os.getpid(), 15)", "TERMINATED"),
        ("import os; os.kill(os.getpid(), 8)", "ARITHMETIC_FAULT"),
        (FILE_LIMIT, "FILE_SIZE_LIMIT"),
        (CUT_SHORT, "BUS_ERROR"),
    ],
)
def test_signals(tmp_path: Path, source: str, code: str) -> None:
    found = script(tmp_path, NO_CORE + source)
    assert found.code == code
    assert found.evidence[0].startswith("signal SIG")


def test_a_crash_that_python_reports(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(f"{NO_CORE}import ctypes\ndef deep(): ctypes.string_at(0)\ndeep()")
    found = why(tmp_path, sys.executable, "-X", "faulthandler", "train.py")
    assert found.code == "SEGFAULT"
    assert found.diagnostic == "it was killed by SIGSEGV (Segmentation fault)"
    assert found.stack is not None
    assert "in deep" in found.stack


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("no-such-program --x", "TOOL_MISSING"),
        ("./data", "NOT_EXECUTABLE"),
        ("kill -9 $$", "KILLED"),
        ("sh -c 'ulimit -c 0; kill -SEGV $$'; exit $?", "SEGFAULT"),
        ("exit 200", "EXIT_STATUS"),
        ("timeout 0.01 sleep 60", "EXIT_STATUS"),
    ],
)
def test_shells(tmp_path: Path, command: str, code: str) -> None:
    (tmp_path / "data").write_text("no program")
    assert why(tmp_path, "sh", "-c", command).code == code


def test_time_limits(tmp_path: Path) -> None:
    assert why(tmp_path, "timeout", "0.01", "sleep", "60").code == "TIMEOUT"


def test_a_worker_that_is_killed(tmp_path: Path) -> None:
    source = """\
    import concurrent.futures as futures, multiprocessing, os
    with futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        pool.submit(os.kill, 0, 0).result()
        pool.submit(os.abort).result()
    """
    found = script(tmp_path, NO_CORE + textwrap.dedent(source))
    assert (found.code, found.category) == ("WORKER_DIED", "infra")


# --- memory that runs out


@pytest.fixture
def memory_group(as_root: None) -> Iterator[Path]:
    """A memory control group of 150 MiB, of version 1 or 2, whichever can be made."""
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    tried = [
        (Path("/sys/fs/cgroup/memory") / own.get("memory", "/").lstrip("/"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup") / own.get("", "/").lstrip("/"), "memory.max"),
    ]
    for above, limit in tried:
        place = above / f"test-{os.getpid()}"
        try:
            place.mkdir()
        except OSError:
            continue
        try:
            (place / limit).write_text(str(150 << 20))
            with contextlib.suppress(OSError):
                (place / "memory.swap.max").write_text("0")
        except OSError:
            place.rmdir()
            continue
        yield place
        place.rmdir()
        return
    pytest.skip("no memory control group can be made here")


HARNESS = """\
import sys, msgspec
from pathlib import Path
from tests.integration.test_failures import why
print(msgspec.json.encode(why(Path(sys.argv[1]), *sys.argv[2:])).decode())
"""
HOG = "held = []\nwhile True: held.append(bytearray(8 << 20))"
POOL = f"""\
import concurrent.futures as futures, multiprocessing
def hog():
    {HOG.replace(chr(10), chr(10) + "    ")}
with futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
    pool.submit(hog).result()
"""


@pytest.mark.parametrize("source", [HOG, POOL], ids=["itself", "a worker"])
def test_the_kernel_kills_for_memory(memory_group: Path, tmp_path: Path, source: str) -> None:
    (tmp_path / "train.py").write_text(source)
    inside = f'echo $$ > {memory_group}/cgroup.procs && exec "$@"'
    argv = ["sh", "-c", inside, "sh", sys.executable, "-c", HARNESS, tmp_path, sys.executable, "train.py"]
    done = subprocess.run(
        [str(word) for word in argv], cwd=Path(__file__).parent.parent.parent, capture_output=True, text=True,
        check=True, timeout=120,
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert (found["code"], found["category"]) == ("OOM_HOST", "resource"), found
    assert any(words.startswith(("memory group: oom_kill rose by ", "kernel log: out of memory")) for words in
               found["evidence"])  # fmt: skip


# --- a disk that is full


@pytest.fixture
def small_disk(as_root: None, tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    libc = ctypes.CDLL(None, use_errno=True)
    place = tmp_path / "small"
    place.mkdir()
    if libc.mount(b"tmpfs", bytes(place), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    yield place
    assert libc.umount(bytes(place)) == 0


def test_a_full_disk_that_python_sees(small_disk: Path) -> None:
    tidy = "import os\ntry:\n    disk = open('big', 'wb', buffering=0)\n    while True: disk.write(bytes(1 << 20))\n"
    found = script(small_disk, f"{tidy}except OSError:\n    os.truncate('big', 0)\n    raise\n")
    assert (found.code, found.category, found.exception) == ("DISK_FULL", "resource", "OSError")
    assert found.evidence[0] == "exception OSError, errno 28 (ENOSPC)"


def test_a_full_disk_on_which_there_is_no_room_for_last_words(small_disk: Path) -> None:
    found = script(small_disk, "disk = open('big', 'wb', buffering=0)\nwhile True: disk.write(bytes(1 << 20))")
    assert found.code == "DISK_FULL"
    assert found.evidence[-1] == "disk: 0 bytes free"


def test_a_full_disk_behind_a_mapped_file(small_disk: Path) -> None:
    source = "import mmap\nf = open('m', 'w+b'); f.truncate(1 << 23)\nm = mmap.mmap(f.fileno(), 1 << 23)\n"
    found = script(small_disk, f"{NO_CORE}{source}for n in range(0, 1 << 23, 4096): m[n] = 1")
    assert found.code == "DISK_FULL"
    assert "signal SIGBUS" in found.evidence


def test_a_full_disk_that_a_shell_does_not_explain(small_disk: Path) -> None:
    assert why(small_disk, "sh", "-c", "head -c 2000000 /dev/zero > big 2>&-; exit 3").code == "DISK_FULL"


# --- through the commands


def put(study: Path, source: str) -> None:
    (study / "experiments/line/train.py").write_text(source)


def failure(world: World, study: Path, source: str, *options: str, status: int = 1) -> dict[str, str]:
    put(study, source)
    world.tool("run", "line", "--quiet", "--trace", "none", *options, cwd=study, status=status)
    context: dict[str, str] = faults.record(study, -1)["failure_context"]
    return context


def test_what_the_tool_finds_missing(world: World, tiny: Path) -> None:
    curve = "import json, os, sys\nopen(os.path.join(sys.argv[3], 'curve.csv'), 'w').write('step,loss\\n')\n"
    metrics = "json.dump({'loss': 1}, open(os.path.join(sys.argv[3], 'metrics.json'), 'w'))\n"
    found = failure(world, tiny, curve)
    assert (found["code"], found["category"]) == ("OUTPUT_MISSING", "config")
    assert found["diagnostic"].startswith("the command ended well but did not write: metrics.json")
    assert failure(world, tiny, curve + metrics)["code"] == "METRIC_MISSING"


def test_a_declared_plan_is_held_against_the_run(world: World, tiny: Path) -> None:
    declaration = tiny / "experiments/line/experiment.yaml"
    text = declaration.read_text()
    declaration.write_text(f"{text}plan: {{memory: 64MiB, time: 1h}}\n")
    put(tiny, (tiny / "experiments/line/train.py").read_text() + "held = bytearray(200 << 20)\n")
    done = world.tool("run", "line", "--quiet", "--trace", "none", cwd=tiny)
    record = faults.record(tiny, -1)
    assert record["status"] == "completed"
    assert {key: item["rating"] for key, item in record["plan"].items()} == {"memory": "red", "time": "green"}
    memory = record["plan"]["memory"]
    assert memory["planned"] == 64 << 20
    assert memory["actual"] == record["usage"]["peak_memory"] > 200 << 20
    assert memory["percent"] == round((memory["actual"] / memory["planned"] - 1) * 100, 2)
    assert "warning: more memory than planned: 2" in done.stdout
    shown = world.tool("runs", "show", "line", cwd=tiny).stdout
    assert re.search(r"^memory +64\.0 MiB +2\d\d\.\d MiB +\+2\d\d\.\d\d % +red ", shown, re.MULTILINE)
    declaration.write_text(f"{text}plan: {{memory: 64M}}\n")
    refused = world.tool("run", "line", cwd=tiny, status=2).stderr
    assert "`plan.memory`: found '64M', expected" in refused
    assert "did you mean 64MiB?" in refused


def test_the_table_and_one_failure(world: World, tiny: Path) -> None:
    first = "def load(n):\n    return open(f'data/{n}.csv')\ndef main():\n    load(1)\nmain()\n"
    failure(world, tiny, first)
    failure(world, tiny, first.replace("load(1)", "\n    load(22)"))
    failure(world, tiny, "import os\nos.kill(os.getpid(), 9)\n")
    found = json.loads(world.tool("runs", "failures", "--format", "json", cwd=tiny).stdout)
    assert (found["runs"], found["failed"], found["cancelled"]) == (4, 3, 0)
    assert [(row["code"], row["occurrences"], row["percent"], row["cumulative"]) for row in found["rows"]] == [
        ("FILE_NOT_FOUND", 2, 66.67, 66.67),
        ("KILLED", 1, 33.33, 100.0),
    ]
    runs = sorted(path.name for path in (tiny / "runs").iterdir() if path.is_dir())
    assert [row["last_run"] for row in found["rows"]] == [runs[2], runs[3]]
    table = world.tool("runs", "failures", "line", "--format", "csv", cwd=tiny).stdout.splitlines()
    assert table[0] == "code,category,occurrences,percent,cumulative_percent,last_run,remediation"
    assert table[1].startswith(f"FILE_NOT_FOUND,data,2,66.67,66.67,{runs[2]},")
    text = world.tool("runs", "failures", "--by", "category", cwd=tiny).stdout
    assert text.splitlines()[0] == "all experiments: 3 of 4 runs failed (75.0 %)"
    assert text.splitlines()[2].split() == ["data", "2", "66.7", "66.7", runs[2]]
    one = json.loads(world.tool("runs", "failures", runs[1], "--format", "json", cwd=tiny).stdout)
    assert (one["run"], one["frequency"], one["related_runs"]) == (runs[1], 2, [runs[2]])
    assert [(item["run"], item["similarity"]) for item in one["similar_failures"]] == [(runs[2], 1.0)]
    told = world.tool("runs", "failures", runs[1][-4:], cwd=tiny).stdout
    assert f"{runs[1]}  failed: FILE_NOT_FOUND (data)" in told
    assert "FileNotFoundError: [Errno 2] No such file or directory: 'data/1.csv'" in told
    assert f"1.00  {runs[2]}" in told
    refused = world.tool("runs", "failures", runs[0], cwd=tiny, status=2).stderr
    assert f"run {runs[0]} is completed: there is no failure to explain" in refused


def test_a_client_that_fails_names_what_its_exception_descends_from(world: World, tiny: Path) -> None:
    client = (
        "import entrenar_research as er\nclass TooBig(MemoryError): pass\n"
        "with er.current_run() as run:\n    run.log_metric('loss', 1.0)\n    raise TooBig('layer 3')\n"
    )
    found = failure(world, tiny, client)
    assert (found["code"], found["exception"]) == ("OOM_HOST", "__main__.TooBig")
    assert found["evidence"][0] == "exception __main__.TooBig, a kind of MemoryError"
    (tiny / "alone.py").write_text(client.replace("er.current_run()", "er.start_run('alone')"))
    subprocess.run([sys.executable, "alone.py"], cwd=tiny, check=False, capture_output=True, env=world.environment)
    table = json.loads(world.tool("runs", "failures", "alone", "--format", "json", cwd=tiny).stdout)
    assert [row["code"] for row in table["rows"]] == ["OOM_HOST"]
    world.tool("runs", "recover", cwd=tiny)
    assert faults.record(tiny, -1)["failure_context"]["code"] == "OOM_HOST"


def test_a_study_without_failures(world: World, tiny: Path) -> None:
    assert world.tool("runs", "failures", cwd=tiny).stdout == "all experiments: 1 run, none failed\n"
    assert json.loads(world.tool("runs", "failures", "line", "--format", "json", cwd=tiny).stdout)["rows"] == []
    assert "no run" in world.tool("runs", "failures", "nowhere", cwd=tiny, status=2).stderr
