"""Documents of traces for tests: from a few lines of strace's notation, or of a command that is really traced."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from entrenar_research.actions.traces import reading
from entrenar_research.models.documented import TraceDocument
from entrenar_research.tools import strace

PYTHON = (str(Path(sys.executable).resolve()), "-I", "-S", "-c")
"""A Python that starts with as few calls as it can."""

_TIMED = re.compile(r"<\d+\.\d+>$|\+\+\+$")


def documented(*lines: str, took: float = 0.0001) -> TraceDocument:
    """The document of a log: lines `PID MILLISECONDS call(...) = result [<seconds>]`, or without the times."""
    log = ['7 0.000000 execve("/bin/x", ["x"], 0x7f /* 1 var */) = 0 <0.000100>']
    for number, line in enumerate(lines, 1):
        pid, _, rest = line.partition(" ")
        at, _, call = rest.partition(" ")
        if not at.isdecimal():
            at, call = str(number), rest
        spent = "" if _TIMED.search(call) else f" <{took:.6f}>"
        log.append(f"{pid} {int(at) / 1e3:.6f} {call}{spent}")
    ended = {line.split(" ")[0] for line in lines if line.endswith("+++")}
    last = max(float(line.split(" ")[1]) for line in log) + 0.001
    alive = sorted({line.split(" ")[0] for line in log} - ended, key=int, reverse=True)
    log += [f"{pid} {last:.6f} +++ exited with 0 +++" for pid in alive]
    return reading.decode(("\n".join(log) + "\n").encode(), "test.strace")


def traced(directory: Path, *argv: str) -> TraceDocument:
    """The document of a command that runs under strace, as `trace record` would run it."""
    reason = strace.unavailable()
    if reason is not None:
        pytest.skip(reason)
    log = directory / "log.strace"
    log.unlink(missing_ok=True)
    done = subprocess.run(strace.full(argv, log), cwd=directory, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return reading.decode(log.read_bytes(), log.name)
