"""Ten deliberate changes of a program, each caught and named from its real trace; twenty repetitions without alarm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from entrenar_research.actions.traces import files
from entrenar_research.core.traces import document as trace_document
from entrenar_research.core.traces.likeness.equivalence import compare
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.equivalence import Equivalence
from entrenar_research.models.measured import Measured, Repetition
from entrenar_research.models.policy import EquivalencePolicy
from entrenar_research.tracers.strace import TRACER
from tests.conftest import World

pytestmark = pytest.mark.skipif(TRACER.unavailable() is not None, reason=str(TRACER.unavailable()))

PROGRAM = '''\
"""A small training run; CHANGE in the environment says what is changed in it."""

import os
import socket
import subprocess
import threading

change = os.environ.get("CHANGE", "")
text = open("data/points.txt").read()
if change == "read":
    open("data/more.txt").read()
if change == "network":
    with socket.socket() as link:
        link.connect_ex(("127.0.0.1", 9))
blocks = [bytearray(1 << 20) for _ in range(80 if change == "memory" else 40)]
if change == "busy":
    for _ in range(20_000):
        os.sched_yield()
lines = [f"{number} {len(text)}\\n".encode() for number in range(500)]
with open("out/other.txt" if change == "path" else "out/table.txt", "wb", buffering=0) as stream:
    for piece in lines if change == "unrolled" else [b"".join(lines)]:
        stream.write(piece)
    if change != "sync":
        os.fsync(stream.fileno())
descriptor = os.open("data/points.txt", os.O_RDONLY)
if change != "leak":
    os.close(descriptor)
subprocess.run(["true"], check=True)
if change == "child":
    subprocess.run(["echo", "again"], check=True)
workers = [threading.Thread(target=sum, args=(range(20_000),)) for _ in range(3)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print("process", os.getpid(), "done")
'''
POLICY = EquivalencePolicy(check_memory_allocations=True)
CHANGES = [
    ("read", "FAIL", "process 1 reads $STUDY/data/more.txt, which it did not before"),
    ("network", "FAIL", "contacts the network by connect 127.0.0.1:9 once, never before"),
    ("sync", "FAIL", "process 1 no longer syncs $STUDY/out/table.txt"),
    ("unrolled", "WARN", "the command writes $STUDY/out/table.txt in 500 calls, 1 before"),
    ("leak", "WARN", "process 1 no longer closes $STUDY/data/points.txt"),
    ("child", "FAIL", "executes {echo} [echo, again] once, never before"),
    (
        "path",
        "FAIL",
        "process 1 opens for writing $STUDY/out/other.txt and no longer opens for writing $STUDY/out/table.txt",
    ),
    ("memory", "WARN", "the command asks for memory by mmap"),
    ("busy", "WARN", "the command calls sched_yield 20,000 times, never before"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the program runs."""
    found = tmp_path_factory.mktemp("program").resolve()
    for name in ("data", "out"):
        (found / name).mkdir()
    (found / "program.py").write_text(PROGRAM)
    (found / "data" / "points.txt").write_text("1 2 3\n")
    (found / "data" / "more.txt").write_text("4\n")
    return found


def traced(place: Path, change: str = "") -> TraceDocument:
    """The document of the real trace of one execution."""
    log, argv = place / "log", [sys.executable, "program.py"]
    environment = {**os.environ, "CHANGE": change, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(
        TRACER.wrap(argv, level="full", log=log), cwd=place, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    trace = TRACER.read(log, command=argv, level="full")
    return files.document(trace, files.replacements(place, {}, sys.executable), version=TRACER.version())


@pytest.fixture(scope="module")
def golden(place: Path) -> TraceDocument:
    """The trace of the program as it is."""
    return traced(place)


def told(found: Equivalence) -> str:
    return "\n".join((found.divergence, *found.reasons))


@pytest.mark.parametrize(("change", "verdict", "words"), CHANGES, ids=[change for change, _, _ in CHANGES])
def test_each_change_is_caught_and_named(
    place: Path, golden: TraceDocument, change: str, verdict: str, words: str
) -> None:
    found = compare(golden, traced(place, change), POLICY)
    assert found.verdict == verdict
    assert words.replace("{echo}", "/usr/bin/echo") in told(found)


def test_twice_as_slow_is_told_from_what_was_measured(golden: TraceDocument) -> None:
    """Made-up repetitions of a program of 0.2 s, and of one of 0.4 s."""
    before = (0.2471, 0.2433, 0.2502, 0.2444, 0.2468)
    now = (0.4449, 0.4502, 0.4461, 0.4437, 0.4478)
    sides = [
        Measured(
            repetitions=tuple(
                Repetition(wall=wall, user=0.031, system=0.009, peak_memory=11_000_000, exit_status=0) for wall in walls
            )
        )
        for walls in (before, now)
    ]
    found = compare(golden, golden, POLICY, expected_measured=sides[0], found_measured=sides[1])
    assert (found.verdict, found.score) == ("WARN", 1.0)
    assert found.reasons[0].startswith("wall seconds: 0.2464 before, 0.4465 now")


def test_twenty_repetitions_raise_no_alarm(place: Path, golden: TraceDocument) -> None:
    alarms = [told(found) for _ in range(20) if (found := compare(golden, traced(place), POLICY)).verdict != "PASS"]
    assert alarms == []


def test_the_command_compares_files(place: Path, golden: TraceDocument, world: World, tmp_path: Path) -> None:
    cut = msgspec.structs.replace(golden, complete=False, problems=("the last line is cut off",))
    documents = {"before": golden, "after": traced(place, "sync"), "cut": cut}
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_bytes(trace_document.encode(document))
    same = world.tool("trace", "compare", "before.json", "before.json", cwd=tmp_path)
    assert "PASS: score 1.0000, min_confidence 0.9; before against before" in same.stdout
    worse = world.tool("trace", "compare", "before.json", "after.json", cwd=tmp_path, status=1)
    assert "first difference: process 1 no longer syncs $STUDY/out/table.txt\n" in worse.stdout
    assert "  - fsync($STUDY/out/table.txt) = ok\n  + close($STUDY/out/table.txt) = ok\n" in worse.stdout
    short = world.tool("trace", "compare", "before.json", "cut.json", cwd=tmp_path, status=3)
    assert "INSUFFICIENT: nothing was compared" in short.stdout
    answer = world.tool("trace", "compare", "before.json", "after.json", "--format", "json", cwd=tmp_path, status=1)
    decoded = msgspec.json.decode(answer.stdout)
    assert decoded["equivalence"]["verdict"] == "FAIL"
    assert decoded["expected"] == "before"


def test_the_policy_is_read(place: Path, golden: TraceDocument, world: World, tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "line.json").write_bytes(trace_document.encode(golden))
    (tmp_path / "after.json").write_bytes(trace_document.encode(traced(place, "memory")))
    policy = '[semantic_equivalence]\nbaseline_dir = "traces"\ncheck_memory_allocations = true\n'
    (tmp_path / "renacer.toml").write_text(policy)
    strict = world.tool("trace", "compare", "line", "after.json", cwd=tmp_path)
    assert "WARN: score" in strict.stdout
    assert "asks for memory by mmap" in strict.stdout
    (tmp_path / "lax.toml").write_text("[semantic_equivalence]\ncheck_memory_allocations = false\n")
    lax = world.tool("trace", "compare", "traces/line.json", "after.json", "--policy", "lax.toml", cwd=tmp_path)
    assert "PASS: score 1.0000" in lax.stdout
    assert "not counted: check_memory_allocations is off; asks for memory" in lax.stdout
    (tmp_path / "off.toml").write_text("[semantic_equivalence]\nenabled = false\n")
    off = world.tool(
        "trace", "compare", "traces/line.json", "after.json", "--policy", "off.toml", cwd=tmp_path, status=2
    )
    assert "comparing is switched off" in off.stderr


def test_runs_and_golden_traces_have_their_files_compared(world: World, tiny: Path) -> None:
    same = world.tool("trace", "compare", "line", "line", cwd=tiny)
    assert "PASS: score 1.0000" in same.stdout
    world.tool("run", "line", "--set", "rate=0.01", "--quiet", cwd=tiny)
    run = max(path.name for path in (tiny / "runs").iterdir())
    other = world.tool("trace", "compare", "line", run, cwd=tiny, status=1)
    assert "leaves experiments/line/result/curve.csv with another content than before" in other.stdout
