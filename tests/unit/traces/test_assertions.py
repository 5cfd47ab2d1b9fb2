"""Assertions: pass, warn, fail, skip and no data, each for its own reason."""

from typing import Any

import msgspec
import pytest

from entrenar_research.core.traces.budgets.assertions import Evidence, evaluate, exit_code
from entrenar_research.models.documented import DocumentedSpan, TraceDocument
from entrenar_research.models.measured import Measured, Repetition
from entrenar_research.models.policy import Assertion, AssertionResult, CiPolicy, TracePolicy
from tests.documented_logs import documented

SMALL = documented(
    '7 openat(AT_FDCWD, "/etc/passwd", O_RDONLY) = 3</etc/passwd>',
    '7 read(3</etc/passwd>, "x", 100) = 40',
    '7 openat(AT_FDCWD, "/no", O_RDONLY) = -1 ENOENT (No such file or directory)',
    "7 mmap(NULL, 8192, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000",
    '7 write(1</dev/null>, "x", 30) = 30',
    "7 futex(0x5000, FUTEX_WAKE_PRIVATE, 1) = 0",
)
MEASURED = Measured(
    repetitions=tuple(
        Repetition(wall=wall, user=0.1, system=0.1, peak_memory=memory, exit_status=0)
        for wall, memory in ((0.003, 5000), (0.001, 7000), (0.002, 6000))
    )
)
SPANS = tuple(DocumentedSpan(f"{n}", None, "open_data", "{}", 7, 0, 9, False) for n in range(3))


def result_of(document: TraceDocument = SMALL, measured: Measured | None = None, **keys: Any) -> AssertionResult:
    policy = TracePolicy(assertions=(Assertion(name="a", **keys),))
    return evaluate(policy, Evidence(name="train", document=document, measured=measured))[0]


def changed(**changes: Any) -> TraceDocument:
    return msgspec.structs.replace(SMALL, **changes)


def repeated(times: int) -> TraceDocument:
    return documented(*["7 getrandom(..., 8, 0) = 8"] * (times - 2), "7 exit_group(0) = ?")


def test_the_run_of_10866_calls_does_not_keep_a_budget_of_10000() -> None:
    found = result_of(repeated(10_866), type="span_count", max_spans=10_000)
    assert (found.state, found.actual, found.limit, found.unit) == ("fail", 10_866, 10_000, "calls")
    assert exit_code([found]) == 1
    assert result_of(repeated(92), type="span_count", max_spans=10_000).state == "pass"


def test_a_limit_may_be_reached() -> None:
    assert result_of(type="span_count", max_spans=7).state == "pass"
    assert result_of(type="span_count", max_spans=6).state == "fail"
    assert result_of(type="span_count", max_spans=6, fail_on_violation=False).state == "warn"


def test_a_pattern_counts_calls_and_logged_spans_of_that_name() -> None:
    found = result_of(changed(spans=SPANS), type="span_count", max_spans=4, span_name_pattern="^open")
    assert (found.state, found.actual) == ("fail", 5)
    assert found.message == "2 system calls and 3 logged spans match '^open'"
    assert result_of(type="span_count", max_spans=0, span_name_pattern="^connect$").state == "pass"


@pytest.mark.parametrize(
    "changes", [{"lost": 3}, {"complete": False, "problems": ("the last line is cut off",)}, {"level": "observe"}]
)
def test_a_limit_that_is_kept_by_half_a_trace_is_no_pass(changes: dict[str, Any]) -> None:
    document = changed(**changes)
    kept: tuple[dict[str, Any], ...] = (
        {"type": "span_count", "max_spans": 100},
        {"type": "memory_usage", "max_bytes": 1 << 30},
        {"type": "anti_pattern", "pattern": "TightLoop", "threshold": 0.7},
        {"type": "custom", "expression": "calls < 100"},
    )
    for keys in kept:
        found = result_of(document, **keys)
        assert (found.state, exit_code([found])) == ("no data", 3), found
    assert result_of(document, type="span_count", max_spans=3).state == "fail"


def test_wall_time_is_that_of_the_untraced_runs_where_there_are_any() -> None:
    traced = result_of(type="critical_path", max_duration_ms=2.5)
    assert (traced.state, traced.actual) == ("fail", 7.0)
    assert "critical path 7.000 ms, 0.700 ms in system calls (1 x)" in traced.message
    untraced = result_of(measured=MEASURED, type="critical_path", max_duration_ms=2.5)
    assert (untraced.state, untraced.actual) == ("pass", 2.0)
    assert untraced.message.startswith("wall 2.000 ms, median of 3 untraced runs; traced: critical path 7.000 ms")


def test_a_trace_without_times_says_nothing_of_durations() -> None:
    calls = tuple(msgspec.structs.replace(call, began=0, took=None) for call in SMALL.calls)
    ends = tuple(msgspec.structs.replace(end, at=0) for end in SMALL.ends)
    document = changed(calls=calls, ends=ends)
    assert result_of(document, type="critical_path", max_duration_ms=1e9).state == "no data"
    assert result_of(document, type="critical_path", max_duration_ms=1e9, measured=MEASURED).state == "pass"
    assert result_of(document, type="custom", expression="syscall_ms >= 0").state == "no data"
    assert result_of(document, type="anti_pattern", pattern="BlockingInAsync", threshold=0.8).state == "no data"
    assert result_of(document, type="span_count", max_spans=7).state == "pass"


def test_other_traces_are_skipped() -> None:
    found = result_of(type="critical_path", max_duration_ms=0, trace_name_pattern="^infer")
    assert (found.state, found.message) == ("skip", "for other traces: 'train' does not match '^infer'")
    assert result_of(type="critical_path", max_duration_ms=0, trace_name_pattern="rai").state == "fail"


def test_memory_is_what_was_allocated_or_what_was_resident() -> None:
    assert result_of(type="memory_usage", max_bytes=8192).state == "pass"
    assert result_of(type="memory_usage", max_bytes=8191).actual == 8192
    resident: Any = {"type": "memory_usage", "tracking_mode": "rss"}
    assert result_of(max_bytes=1 << 40, **resident).state == "no data"
    assert result_of(max_bytes=7000, measured=MEASURED, **resident).state == "pass"
    assert result_of(max_bytes=6999, measured=MEASURED, **resident).state == "fail"


def test_memory_calls_without_their_arguments_are_no_data() -> None:
    document = documented("7 mmap(0x0, 0x1000, 0x3) = 0x7f0000")
    found = result_of(document, type="memory_usage", max_bytes=1 << 40)
    assert (found.state, "1 memory calls are not in the trace" in found.message) == ("no data", True)


POLLING = documented(*['7 access("/etc/lock", F_OK) = -1 ENOENT (No such file or directory)'] * 1500)


def test_a_pattern_that_reaches_its_threshold_is_a_violation() -> None:
    keys: Any = {"type": "anti_pattern", "pattern": "TightLoop"}
    found = result_of(POLLING, threshold=0.7, **keys)
    assert (found.state, found.limit, found.unit) == ("fail", 0.7, "confidence")
    assert found.actual == pytest.approx(0.7528, abs=1e-4)
    assert "access is repeated 1500 times" in found.message
    assert result_of(POLLING, threshold=0.9, **keys).state == "pass"
    assert result_of(POLLING, threshold=0.7, fail_on_violation=False, **keys).state == "warn"
    assert result_of(POLLING, threshold=0.7, process_name_pattern="^x$", **keys).state == "fail"
    assert result_of(POLLING, threshold=0.7, process_name_pattern="python", **keys).state == "no data"


@pytest.mark.parametrize(
    ("expression", "state"),
    [
        ("calls == 7 and errors == 1", "pass"),
        ('count("openat") > 2', "fail"),
        ("bytes_read == 40 and bytes_written == 30", "pass"),
        ("processes == 1 and threads == 1 and spans == 0", "pass"),
        ("peak_bytes == 8192", "pass"),
        ('syscall_ms < 0.71 and seconds("read") < 0.00011 and share("read") < 0.15', "pass"),
        ("wall_ms == 7", "pass"),
        ("rss_bytes < 3", "no data"),
        ("calls / (errors - 1) > 3", "no data"),
    ],
)
def test_custom_expressions(expression: str, state: str) -> None:
    assert result_of(type="custom", expression=expression).state == state


def test_what_was_measured_beside_it_is_used() -> None:
    assert result_of(type="custom", expression="rss_bytes == 7000 and wall_ms == 2", measured=MEASURED).state == "pass"


def test_what_a_trace_of_files_shows_can_be_asked_of_it() -> None:
    document = changed(level="observe")
    assert result_of(document, type="custom", expression='count("openat") == 2 and processes == 1').state == "pass"
    assert result_of(document, type="custom", expression='count("futex") == 1').state == "no data"
    assert result_of(document, type="custom", expression='share("openat") < 1').state == "no data"


def several(*, fail_fast: bool) -> tuple[AssertionResult, ...]:
    policy = TracePolicy(
        assertions=(
            Assertion(name="off", type="span_count", max_spans=0, enabled=False),
            Assertion(name="warns", type="span_count", max_spans=0, fail_on_violation=False),
            Assertion(name="fails", type="span_count", max_spans=1),
            Assertion(name="after", type="span_count", max_spans=100),
            Assertion(name="unknown", type="memory_usage", max_bytes=1, tracking_mode="rss"),
        ),
        ci=CiPolicy(fail_fast=fail_fast),
    )
    return evaluate(policy, Evidence(name="x", document=SMALL))


def test_fail_fast_stops_at_the_first_failure_only() -> None:
    assert [item.state for item in several(fail_fast=False)] == ["skip", "warn", "fail", "pass", "no data"]
    fast = several(fail_fast=True)
    assert [item.state for item in fast] == ["skip", "warn", "fail", "skip", "skip"]
    assert fast[0].message == "switched off: enabled = false"
    assert fast[3].message == "not looked at: fails failed, and [ci] says fail_fast"


def test_the_exit_code_tells_the_worst() -> None:
    results = several(fail_fast=False)
    assert exit_code(results) == 1
    assert exit_code(item for item in results if item.state != "fail") == 3
    assert exit_code(item for item in results if item.state in ("pass", "warn", "skip")) == 0
    assert exit_code([]) == 0
