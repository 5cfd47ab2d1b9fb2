"""Each anti-pattern in a real program that was written to have it, and its absence from one that was not."""

import ctypes
import functools
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from entrenar_research.core.traces.activity import Activity
from entrenar_research.core.traces.budgets.assertions import Evidence, evaluate
from entrenar_research.core.traces.memory import peak
from entrenar_research.core.traces.patterns import blocks_promotion, detect
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.patterns import PatternFinding
from entrenar_research.store.policy_file import parse
from tests.documented_logs import PYTHON, documented, traced

GOD = """
import os
r, w = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.close(w)
        os.read(r, 1)
        os._exit(0)
for _ in range(600):
    fd = os.open("/etc/passwd", os.O_RDONLY); os.read(fd, 10); os.close(fd)
os.close(w)
for _ in range(3):
    os.wait()
"""
# The same work, divided: each worker begins when all are there and stays until all are done.
POOL = """
import os
r, w = os.pipe(); ready_r, ready_w = os.pipe(); stay_r, stay_w = os.pipe()
for _ in range(3):
    if os.fork() == 0:
        os.close(w); os.close(stay_w)
        os.read(r, 1)
        for _ in range(200):
            fd = os.open("/etc/passwd", os.O_RDONLY); os.read(fd, 10); os.close(fd)
        os.write(ready_w, b"x")
        os.read(stay_r, 1)
        os._exit(0)
os.close(w)
for _ in range(3):
    os.read(ready_r, 1)
os.close(stay_w)
for _ in range(3):
    os.wait()
"""
WORKSHOP = "for i in 1 2 3 4 5; do cat /etc/passwd /etc/group | wc -l; (ls /usr/lib; ls /usr/bin); done"
TIGHT = "import os\nfor _ in range(1500):\n    os.access('/etc/no-such-lock', os.F_OK)"
SPIN = "import os\nfor _ in range(1500):\n    os.sched_yield(); os.getppid()"
BUSY = "import os\nfd = os.open('/etc/passwd', os.O_RDONLY)\nfor i in range(1500):\n    os.pread(fd, 10, 0)"
SEARCH = "import os\nfor i in range(1500):\n    os.access(f'/etc/no-such-{i}', os.F_OK)"
STORM = "import mmap\nfor _ in range(1500):\n    m = mmap.mmap(-1, 1 << 20); m[0] = 1; m.close()"
KEPT = "import mmap\nkept = [mmap.mmap(-1, 4096) for _ in range(1500)]"
THREADS = """
import _thread, time
def work(n, done):
    x = 0
    for i in range(n): x += i
    done.release()
locks = []
for n in {}:
    lock = _thread.allocate_lock(); lock.acquire(); locks.append(lock)
    _thread.start_new_thread(work, (n, lock))
for lock in locks: lock.acquire()
"""
RUDE = """
import select, os, time
poll = select.epoll()
r, w = os.pipe()
poll.register(r, select.EPOLLIN)
for _ in range(4):
    os.write(w, b"x"); poll.poll(1); os.read(r, 1)
    time.sleep(0.2)
"""

POLITE = """
import os, select
poll = select.epoll()
fd = os.open("/etc/passwd", os.O_RDONLY)
for _ in range(20):
    poll.poll(0.01); os.pread(fd, 100, 0)
"""


@functools.cache
def document_of(*argv: str) -> TraceDocument:
    with TemporaryDirectory() as directory:
        return traced(Path(directory), *argv)


def finding(pattern: str, *argv: str) -> PatternFinding:
    return next(item for item in detect(document_of(*argv)) if item.pattern == pattern)


def python(text: str) -> tuple[str, ...]:
    return (*PYTHON, text)


SICK = [
    ("GodProcess", python(GOD), "process 1 ("),
    ("TightLoop", python(TIGHT), "process 1 ("),
    ("TightLoop", python(SPIN), "process 1 ("),
    ("AllocationStorm", python(STORM), "process 1 ("),
    ("ThreadImbalance", python(THREADS.format("(9000000, 300000, 300000, 300000)")), "thread 1."),
    ("BlockingInAsync", python(RUDE), "process 1 ("),
]


@pytest.mark.parametrize(("pattern", "argv", "place"), SICK)
def test_a_program_that_has_it(pattern: str, argv: tuple[str, ...], place: str) -> None:
    found = finding(pattern, *argv)
    assert found.applicable
    assert found.confidence >= 0.7, found
    assert found.severity == "warning"
    assert found.place is not None
    assert found.place.startswith(place)
    assert found.first is not None
    assert found.last is not None
    assert 0 <= found.first <= found.last < document_of(*argv).recorded
    assert found.remediation
    assert not blocks_promotion([found])


SOUND = [
    ("GodProcess", python(POOL)),
    ("GodProcess", ("sh", "-c", WORKSHOP)),
    ("TightLoop", python(BUSY)),
    ("TightLoop", python(SEARCH)),
    ("AllocationStorm", python(KEPT)),
    ("ThreadImbalance", python(THREADS.format("(4000000,) * 4"))),
    ("BlockingInAsync", python(POLITE)),
]


@pytest.mark.parametrize(("pattern", "argv"), SOUND)
def test_a_program_that_has_not(pattern: str, argv: tuple[str, ...]) -> None:
    found = finding(pattern, *argv)
    assert found.confidence < 0.7, found
    assert found.severity == "info"
    if pattern in ("TightLoop", "AllocationStorm", "BlockingInAsync"):
        assert found.applicable


@pytest.mark.parametrize("argv", [python(text) for text in (TIGHT, STORM, KEPT, SEARCH)])
def test_a_single_process_is_no_god_and_nothing_else_is_made_up(argv: tuple[str, ...]) -> None:
    findings = {item.pattern: item for item in detect(document_of(*argv))}
    assert len(findings) == 6
    for pattern in ("GodProcess", "ThreadImbalance", "BlockingInAsync", "PcieBottleneck"):
        assert (findings[pattern].applicable, findings[pattern].confidence) == (False, 0.0)


def test_evidence_points_at_the_calls() -> None:
    document = document_of(*python(TIGHT))
    found = finding("TightLoop", *python(TIGHT))
    assert found.metric >= 1500
    assert found.last is not None
    assert "/etc/no-such-lock" in document.calls[found.last - 3].arguments


def test_only_the_processes_that_were_asked_about_are_judged() -> None:
    text = '[[assertion]]\nname = "a"\ntype = "anti_pattern"\npattern = "TightLoop"\nthreshold = 0.7\n'
    states = []
    for only in ("^python", "^nothing-like-it"):
        policy = parse(text + f'process_name_pattern = "{only}"', "renacer.toml")
        states.append(evaluate(policy, Evidence(name="x", document=document_of(*python(TIGHT))))[0].state)
    assert states == ["fail", "no data"]


def test_a_spin_of_a_hundred_thousand_is_critical() -> None:
    document = documented(*["7 sched_yield() = 0"] * 100_000)
    found = next(item for item in detect(document) if item.pattern == "TightLoop")
    assert (found.confidence, found.severity, found.metric) == (1.0, "critical", 100_000)
    assert blocks_promotion([found])


LOOK = '7 {} access("/etc/lock", F_OK) = -1 ENOENT (No such file or directory) <0.000010>'
PAUSE = "7 {} clock_nanosleep(CLOCK_REALTIME, 0, {{tv_sec=0, tv_nsec=980000}}, NULL) = 0 <0.000980>"


def test_a_pause_in_between_makes_a_loop_of_it_that_is_not_tight() -> None:
    lines = [line.format(at) for at in range(1, 1501) for line in (LOOK, PAUSE)]
    found = next(item for item in detect(documented(*lines)) if item.pattern == "TightLoop")
    assert found.metric == 1500
    assert found.confidence == pytest.approx(0.7528 * 0.02 * 2, abs=0.005)
    assert found.severity == "info"


def test_paths_that_the_trace_does_not_tell_apart_are_no_repetition() -> None:
    lines = [LOOK.replace("/etc/", f"/srv/{at}/").format(at) for at in range(1, 1501)]
    document = documented(*lines)
    assert document.calls[1].arguments == document.calls[2].arguments
    assert next(item for item in detect(document) if item.pattern == "TightLoop").metric == 0


GPU = "7 {} ioctl(4</dev/nvidia0>, _IOC(_IOC_READ|_IOC_WRITE, 0x46, 0x2a, 0x20), 0x7ffd) = 0 <{}>"


@pytest.mark.parametrize(("spent", "confidence"), [("0.000900", 0.96), ("0.000500", 0.8), ("0.000050", 0.08)])
def test_waiting_in_the_driver_of_a_gpu(spent: str, confidence: float) -> None:
    document = documented(*[GPU.format(at, spent) for at in range(1, 400)])
    found = next(item for item in detect(document) if item.pattern == "PcieBottleneck")
    assert found.applicable
    assert found.confidence == pytest.approx(confidence, abs=0.01)


def test_a_trace_of_files_only_shows_none_of_them() -> None:
    document = msgspec.structs.replace(document_of(*python(TIGHT)), level="observe")
    findings = detect(document)
    assert [(item.applicable, item.confidence) for item in findings] == [(False, 0.0)] * 6
    assert "level 'observe'" in findings[0].explanation


MEMORY = """
import ctypes, mmap
before = mmap.mmap(-1, 40 << 20)
before.close()
now = [mmap.mmap(-1, 10 << 20) for _ in range(3)]
now[0].resize(20 << 20)
"""


def test_the_peak_of_a_real_program_is_what_it_asked_for() -> None:
    bare = peak(Activity(document_of(*python("import ctypes, mmap")))).total
    found = peak(Activity(document_of(*python(MEMORY)))).total
    assert found - bare == pytest.approx(40 << 20, abs=1 << 20)
    assert ctypes.sizeof(ctypes.c_void_p) == 8
