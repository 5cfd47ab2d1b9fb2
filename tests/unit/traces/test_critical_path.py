"""The critical path: nothing counts twice, and it goes over to what was waited for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.activity import Activity
from entrenar_research.core.traces.budgets.critical_path import CriticalPath, critical_path
from entrenar_research.core.traces.spans.innermost import innermost
from entrenar_research.models.documented import DocumentedSpan
from tests.documented_logs import documented

FORK = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD)"
THREAD = "clone(child_stack=0x7f, flags=CLONE_VM|CLONE_THREAD)"
STATUS = "[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL)"


def path_of(*lines: str) -> CriticalPath:
    return critical_path(Activity(documented(*lines)))


def labels(path: CriticalPath) -> list[tuple[str, int, int]]:
    return [(item.label, item.began // 1_000_000, item.ended // 1_000_000) for item in path.segments]


def test_a_parent_that_waits_is_passed_over() -> None:
    path = path_of(
        f"7 10 {FORK} = 8 <0.001000>",
        "8 12 nanosleep({tv_sec=0, tv_nsec=50000000}, NULL) = 0 <0.050000>",
        "8 80 +++ exited with 0 +++",
        f"7 20 wait4(-1, {STATUS} = 8 <0.065000>",
        "7 100 write(1, ..., 4) = 4 <0.002000>",
    )
    assert labels(path) == [("1", 0, 10), ("1.1", 10, 80), ("1", 80, 101)]
    assert path.wall == 101_000_000
    # 0.1 of execve, the child's sleep, the wait from the child's end on, the write until the end of the trace.
    assert path.in_calls == 100_000 + 50_000_000 + 5_000_000 + 1_000_000


def test_a_child_that_was_over_already_held_nobody_up() -> None:
    path = path_of(
        f"7 10 {FORK} = 8 <0.001000>",
        "8 30 +++ exited with 0 +++",
        f"7 60 wait4(-1, {STATUS} = 8 <0.000100>",
    )
    assert [label for label, _, _ in labels(path)] == ["1"]


def test_of_two_children_the_one_that_was_waited_for_counts() -> None:
    path = path_of(
        f"7 10 {FORK} = 8 <0.001000>",
        f"7 20 {FORK} = 9 <0.001000>",
        "8 40 +++ exited with 0 +++",
        f"7 30 wait4(-1, {STATUS} = 8 <0.011000>",
        "9 90 +++ exited with 0 +++",
        "8 35 getpid() = 8 <0.000100>",
        "9 35 getpid() = 9 <0.000100>",
        f"7 45 wait4(-1, {STATUS} = 9 <0.046000>",
    )
    assert labels(path) == [("1", 0, 20), ("1.2", 20, 90), ("1", 90, 91)]


def test_who_joins_a_thread_waits_for_it() -> None:
    path = path_of(
        f"7 10 {THREAD} = 8 <0.001000>",
        "8 20 write(1, ..., 4) = 4 <0.001000>",
        "8 70 +++ exited with 0 +++",
        "7 15 futex(0x7f10, FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, 8, NULL, FUTEX_BITSET_MATCH_ANY) = 0 <0.056000>",
    )
    assert labels(path)[:2] == [("1", 0, 10), ("1.1", 10, 70)]


def test_who_is_woken_waits_for_the_one_that_woke_it() -> None:
    path = path_of(
        f"7 10 {THREAD} = 8 <0.001000>",
        "8 60 futex(0x7f20, FUTEX_WAKE_PRIVATE, 1) = 1 <0.000100>",
        "7 15 futex(0x7f20, FUTEX_WAIT_PRIVATE, 0, NULL) = 0 <0.046000>",
        "8 75 +++ exited with 0 +++",
        "7 90 write(1, ..., 4) = 4 <0.001000>",
    )
    assert labels(path) == [("1", 0, 10), ("1.1", 10, 60), ("1", 60, 91)]


def test_what_goes_on_after_the_command_ended_counts() -> None:
    path = path_of(f"7 10 {FORK} = 8 <0.001000>", "7 20 +++ exited with 0 +++", "8 50 getpid() = 8 <0.000100>")
    assert labels(path) == [("1", 0, 10), ("1.1", 10, 51)]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 30), st.booleans()), min_size=1, max_size=8))
def test_it_is_as_long_as_the_trace_and_has_no_overlaps(children: list[tuple[int, int, bool]]) -> None:
    """Any children, waited for or not: the path covers the time from the first call to the last end, once."""
    lines, at = [], 1
    for number, (gap, length, waited) in enumerate(children, 10):
        at += gap
        lines.append(f"7 {at} {FORK} = {number} <0.000500>")
        lines.append(f"{number} {at + 1} getpid() = {number} <0.000100>")
        lines.append(f"{number} {at + 1 + length} +++ exited with 0 +++")
        if waited:
            lines.append(f"7 {at + 1} wait4({number}, {STATUS} = {number} <{(length + 1) / 1000:.6f}>")
            at += length + 3
        at += 1
    document = documented(*lines)
    path = critical_path(Activity(document))
    assert path.wall == max(end.at for end in document.ends)
    assert 0 <= path.in_calls <= path.wall
    for before, after in zip(path.segments, path.segments[1:], strict=False):
        assert before.ended == after.began


def span(name: str, began: int, ended: int | None, process: int = 7) -> DocumentedSpan:
    return DocumentedSpan(name, None, name, "{}", process, began, ended, False)


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([span("epoch", 0, 100), span("step", 10, 30), span("step", 40, 60)], {"epoch": 60, "step": 40}),
        ([span("a", 0, 50), span("b", 30, 100)], {"a": 30, "b": 70}),
        ([span("a", 0, 100), span("other", 0, 100, process=8)], {"a": 100}),
        ([span("endless", 0, None)], {}),
        ([], {}),
    ],
)
def test_time_belongs_to_the_innermost_span(spans: list[DocumentedSpan], expected: dict[str, int]) -> None:
    assert {name: time for name, time in innermost(spans, [(7, 0, 100)]).items() if time} == expected


def test_only_what_lies_on_the_path_counts_in_a_span() -> None:
    spans = [span("epoch", 20, 80)]
    assert innermost(spans, [(7, 0, 30), (9, 30, 70), (7, 70, 100)]) == {"epoch": 20}
