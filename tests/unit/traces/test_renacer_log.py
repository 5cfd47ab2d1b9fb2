"""What renacer prints: its document behind a program's own output, and what is no whole document."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.actions.traces import reading
from entrenar_research.core.traces.logs.renacer_log import parse
from entrenar_research.errors import IntegrityError

CALLS: list[dict[str, Any]] = [
    {"name": "openat", "args": ["0xffffff9c", '"data.bin"', "0x0"], "result": 3, "duration_us": 14},
    {"name": "read", "args": ["0x3", "0x7ffd10", "0x1000"], "result": -2, "source": {"file": "a.rs", "line": 3}},
    {"name": "unknown", "args": [["fd", "0x3"], "0x0", "0x0"], "result": 0, "duration_us": 2},
]


def written(calls: list[dict[str, Any]] = CALLS, **changes: Any) -> str:
    whole = {
        "version": "0.6.6",
        "format": "renacer-json-v1",
        "syscalls": calls,
        "summary": {"total_syscalls": len(calls), "total_time_us": 16, "exit_code": 3},
    }
    return json.dumps({**whole, **changes}, indent=2)


def test_the_calls_are_read() -> None:
    found = parse("out {\n" + written() + "\n", "r.json")
    assert (found.output, found.version, found.status) == ("out {\n", "0.6.6", 3)
    first, second, third = found.trace.calls
    assert (first.name, first.arguments, first.result, first.duration) == (
        "openat", '0xffffff9c, "data.bin", 0x0', "3", 14e-6,
    )  # fmt: skip
    assert (second.result, second.error, second.duration) == ("-1", "ENOENT", None)
    assert third.arguments == "0x3, 0x0, 0x0"
    assert not found.trace.complete
    told = " ".join(found.trace.problems)
    for gap in ("no processes", "no times", "signals", "no name for 1 of the calls", "1 calls took less"):
        assert gap in told


def test_only_what_is_known_gets_into_the_document() -> None:
    found = reading.decode(written().encode(), "r.json")
    assert {call.began for call in found.calls} == {0}
    assert [call.took for call in found.calls] == [14_000, None, 2_000]
    assert (found.tracer, found.tracer_version, found.exit.status) == ("renacer", "0.6.6", 3)


@given(st.text(st.sampled_from('{}"[]\\:, \nformat-renacer-json-v1'), max_size=80))
def test_whatever_the_program_printed_before(output: str) -> None:
    found = parse(output + "\n" + written(), "r.json")
    assert (len(found.trace.calls), found.output) == (3, output + "\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no whole document"),
        ("=== Training Loop Example ===\n", "no whole document"),
        (written()[:-3], "no whole document"),
        (written().replace("renacer-json-v1", "renacer-json-v2"), "no whole document"),
        (written(summary={"total_syscalls": 9, "exit_code": 0}), "counts 9 calls, 3 are listed"),
        (written([]), "no calls"),
        (written([{"name": "read", "args": [], "result": "3"}]), "not as renacer writes"),
        (written(syscalls=None), "not as renacer writes"),
    ],
)
def test_what_is_no_whole_document_is_refused(text: str, reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason):
        parse(text, "r.json")


def test_every_cut_is_refused() -> None:
    text = written()
    for length in range(0, len(text) - 1, 7):
        with pytest.raises(IntegrityError):
            parse("hello {}\n" + text[:length], "r.json")
