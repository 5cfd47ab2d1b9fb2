"""Tracing with renacer, and with a saved trace: what they give, and what they say they cannot."""

import subprocess
import sys
from pathlib import Path

import pytest

from entrenar_research.core.traces import document
from entrenar_research.core.traces.normalisation import normalised_steps
from entrenar_research.core.traces.storing import packed
from entrenar_research.core.traces.summary import counts
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.tools import strace as strace_tool
from entrenar_research.tracers import renacer, replay, strace

with_strace = pytest.mark.skipif(strace_tool.unavailable() is not None, reason=str(strace_tool.unavailable()))
_REASON = renacer.TRACER.unavailable()
with_renacer = pytest.mark.skipif(_REASON is not None, reason=str(_REASON))

SCRIPT = "import os\nfor n in range(50):\n    os.path.exists(f'/nonexistent/{n}')\n    os.write(1, b'x')"
COMMAND = [sys.executable, "-I", "-S", "-B", "-c", SCRIPT]


@with_renacer
@with_strace
def test_renacer_counts_what_strace_counts_but_for_what_it_has_no_name_for(tmp_path: Path) -> None:
    found = {}
    for tracer in (renacer.TRACER, strace.TRACER):
        log = tmp_path / tracer.name
        done = subprocess.run(tracer.wrap(COMMAND, level="full", log=log), capture_output=True, check=True)
        assert done.stdout == b"x" * 50
        found[tracer.name] = counts(tracer.read(log, command=COMMAND, level="full"))
    known = {name: number for name, number in found["renacer"].items() if name != "unknown"}
    steady = {name: number for name, number in found["strace"].items() if name in known}
    # Where the memory lies is chance; strace runs without that chance, renacer with it.
    for name in {"brk", "mmap", "munmap"} & set(known):
        del known[name], steady[name]
    assert known == steady
    nameless = sum(number for name, number in found["strace"].items() if name not in found["renacer"])
    assert nameless - found["strace"]["exit_group"] == found["renacer"].get("unknown", 0)


@with_renacer
def test_under_renacer_a_command_keeps_its_own_output_and_status(tmp_path: Path) -> None:
    log = tmp_path / "a 'log'"
    command = ["sh", "-c", 'cat; echo \'{"format": "renacer-json-v1"}\'; exit 7']
    done = subprocess.run(
        renacer.TRACER.wrap(command, level="full", log=log), input=b"in\n", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (7, b'in\n{"format": "renacer-json-v1"}\n')
    trace = renacer.TRACER.read(log, command=command, level="full")
    assert trace.calls[0].name == "execve"
    assert trace.ends[-1].status == 7
    assert not trace.complete
    assert any("whose calls renacer may have missed" in problem for problem in trace.problems)


@with_renacer
def test_under_renacer_a_killed_command_ends_with_its_signal_as_status(tmp_path: Path) -> None:
    argv = renacer.TRACER.wrap(["sh", "-c", "kill -KILL $$"], level="observe", log=tmp_path / "log")
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 128 + 9


@pytest.fixture
def saved(tmp_path: Path) -> TraceDocument:
    log = tmp_path / "log"
    subprocess.run(strace.TRACER.wrap(["/bin/true"], level="full", log=log), check=True)
    trace = strace.TRACER.read(log, command=["/bin/true"], level="full")
    return document.document(trace, normalised_steps(trace, replacements={}), version="6", replacements={})


@with_strace
@pytest.mark.parametrize("packs", [False, True])
def test_a_saved_trace_stands_in(
    tmp_path: Path, saved: TraceDocument, monkeypatch: pytest.MonkeyPatch, *, packs: bool
) -> None:
    path = tmp_path / "true.trace"
    path.write_bytes(packed.pack(saved, algorithm="zstd")[0] if packs else document.encode(saved))
    monkeypatch.setenv(replay.VARIABLE, str(path))
    tracer = replay.TRACER
    assert tracer.unavailable() is None
    assert tracer.unavailable("observe") == "the saved trace is of level 'full', 'observe' was asked for"
    assert tracer.version() == "1"
    assert tracer.wrap(["true"], level="full", log=tmp_path / "no") == ["true"]
    trace = tracer.read(tmp_path / "no", command=["true"], level="full")
    assert trace.calls == document.trace_of(saved).calls
    assert (trace.tracer, trace.complete) == ("replay", False)
    assert "was not looked at" in trace.problems[-1]
    with pytest.raises(IntegrityError, match="is of `/bin/true`, not of `false`"):
        tracer.read(tmp_path / "no", command=["false"], level="full")
    with pytest.raises(IntegrityError, match="'observe' was asked for"):
        tracer.read(tmp_path / "no", command=["true"], level="observe")
    path.write_bytes(path.read_bytes()[:-1])
    assert tracer.unavailable()


def test_without_a_trace_there_is_nothing_to_replay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(replay.VARIABLE, raising=False)
    assert replay.TRACER.version() is None
    assert "names none" in str(replay.TRACER.unavailable())
    monkeypatch.setenv(replay.VARIABLE, str(tmp_path / "gone"))
    assert "No such file" in str(replay.TRACER.unavailable())
