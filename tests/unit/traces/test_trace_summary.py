"""The table of strace -c."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.summary import SummaryRow, counts, format_summary, parse_summary, summarise
from entrenar_research.errors import IntegrityError
from entrenar_research.models.trace import Trace

TraceOf = Callable[..., Trace]

TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 80.00    1.000000      500000         2         1 openat
 20.00    0.250000       83333         3           read
  0.00    0.000000           0         1           close
------ ----------- ----------- --------- --------- ----------------
100.00    1.250000      208333         6         1 total
"""


def row(name: str, calls: int, errors: int, microseconds: int) -> SummaryRow:
    return SummaryRow(name=name, calls=calls, errors=errors, microseconds=microseconds)


ROWS = (row("openat", 2, 1, 1_000_000), row("read", 3, 0, 250_000), row("close", 1, 0, 0))


def test_the_layout_is_that_of_strace() -> None:
    assert format_summary(ROWS) == TABLE


def test_the_table_is_read_back() -> None:
    assert parse_summary(TABLE, "x_summary.txt") == ROWS


def test_a_name_longer_than_the_column_widens_the_rule() -> None:
    lines = format_summary((row("sched_get_priority_max", 1, 0, 5),)).splitlines()
    assert lines[1] == "------ ----------- ----------- --------- --------- " + "-" * 22
    assert lines[3] == lines[1]


def test_no_calls_give_no_table() -> None:
    assert format_summary(()) == ""
    assert parse_summary("", "x") == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("80.00", "81.00"),
        ("500000", "500001"),
        ("     6  ", "     7  "),
        ("read", "rea d"),
        ("total\n", "total"),
    ],
)
def test_a_table_that_does_not_add_up_is_refused(old: str, new: str) -> None:
    assert old in TABLE
    with pytest.raises(IntegrityError, match="x_summary"):
        parse_summary(TABLE.replace(old, new), "x_summary.txt")


@given(
    st.lists(
        st.builds(
            row,
            st.from_regex(r"[a-z][a-z0-9_]{0,30}", fullmatch=True).filter(lambda name: name != "total"),
            st.integers(1, 10**12),
            st.integers(0, 10**6),
            st.integers(0, 10**13),
        ),
        unique_by=lambda found: found.name,
    ).map(tuple)
)
def test_any_table_is_read_back(rows: tuple[SummaryRow, ...]) -> None:
    assert parse_summary(format_summary(rows), "x") == rows


def test_a_trace_is_summed_up_by_name(trace_of: TraceOf) -> None:
    trace = trace_of(
        '1 execve("/bin/x", ["x"], 0x1) = 0',
        '1 openat(AT_FDCWD</>, "b", O_RDONLY) = -1 ENOENT (No such file or directory)',
        '1 openat(AT_FDCWD</>, "a", O_RDONLY) = 3</a>',
        "1 close(3</a>) = 0",
        "1 exit_group(0) = ?",
        "1 +++ exited with 0 +++",
    )
    assert counts(trace) == {"close": 1, "execve": 1, "exit_group": 1, "openat": 2}
    assert summarise(trace) == (
        row("openat", 2, 1, 20),
        row("close", 1, 0, 10),
        row("execve", 1, 0, 10),
        row("exit_group", 1, 0, 0),
    )
