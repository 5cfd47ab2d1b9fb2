"""Traces written down by hand, as strace writes them, with the times filled in."""

from collections.abc import Callable

import pytest

from entrenar_research.core.traces.logs.strace_log import parse
from entrenar_research.models.trace import Trace

TraceOf = Callable[..., Trace]


def log_of(*lines: str) -> str:
    """A log of lines such as `7 getpid() = 7`: a clock of 1 ms a line, 10 us for each finished call."""
    text = []
    for number, line in enumerate(lines):
        pid, rest = line.split(" ", 1)
        spent = " <0.000010>" if ") = " in rest and not rest.endswith(" = ?") else ""
        text.append(f"{pid} {1700000000 + number / 1000:.6f} {rest}{spent}\n")
    return "".join(text)


@pytest.fixture
def trace_of() -> TraceOf:
    """Makes a trace of such lines."""

    def make(*lines: str) -> Trace:
        return parse(log_of(*lines), "log", command=["./run"], level="full")

    return make
