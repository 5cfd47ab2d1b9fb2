"""Which span a call belongs to, and what the calls of a span come to."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces import document, normalisation
from entrenar_research.core.traces.spans import attribution, span_table
from entrenar_research.models.documented import DocumentedSpan, TraceDocument
from entrenar_research.models.trace import SystemCall, Trace
from tests.unit.traces.conftest import TraceOf

BEGAN = 1700000000.0
MS = 1_000_000


def span(
    name: str, began: float, ended: float | None, *, pid: int = 7, parent: str | None = None, attributes: str = "{}"
) -> DocumentedSpan:
    """A span whose id is its name; times in milliseconds since the trace began."""
    after = None if ended is None else round(ended * MS)
    return DocumentedSpan(name, parent, name, attributes, pid, round(began * MS), after, False)


def spans_of(trace: Trace, *spans: DocumentedSpan, **threads: int) -> list[str | None]:
    """The span of each call, in order."""
    found = attribution.attribute(trace, spans, BEGAN, threads=threads)
    return [found.get(place) for place in range(len(trace.calls))]


def reads(*times: float, pid: int = 7) -> Trace:
    """A trace of reads at these milliseconds."""
    calls = tuple(SystemCall(pid, BEGAN + time / 1000, "read", "3", "1", None, 1e-6) for time in times)
    return Trace(tracer="strace", level="full", command=("./run",), calls=calls)


def test_the_innermost_span_that_is_open_counts() -> None:
    trace = reads(0, 1, 2, 3, 4, 5, 6)
    outer, inner, late = span("outer", 0.5, 4.5), span("inner", 1.5, 3.5, parent="outer"), span("late", 5.5, None)
    assert spans_of(trace, outer, inner, late) == [None, "outer", "inner", "inner", "outer", None, "late"]
    assert spans_of(trace, late, inner, outer) == [None, "outer", "inner", "inner", "outer", None, "late"]
    assert spans_of(trace) == [None] * 7


def test_what_overlaps_without_lying_inside_goes_to_the_one_begun_last() -> None:
    assert spans_of(reads(0, 1, 2, 3), span("first", -1, 1.5), span("second", 0.5, 2.5)) == [
        "first", "second", "second", None,
    ]  # fmt: skip


def test_times_are_cut_to_microseconds_as_those_of_the_tracer_are() -> None:
    """The tracer says 1.000 ms of a call that began at 1.0009: after the span began at 1.0004, before it ended."""
    cut = DocumentedSpan("cut", None, "cut", "{}", 7, MS + 400, 2 * MS + 900, False)
    assert spans_of(reads(0.999, 1, 1.999, 2), cut) == [None, "cut", "cut", None]


def test_a_child_process_belongs_to_the_span_it_was_created_in_for_life(trace_of: TraceOf) -> None:
    trace = trace_of(
        "7 getpid() = 7",
        "7 vfork() = 8",  # 1 ms: in `epoch`
        "8 read(3, 1) = 1",
        "8 clone(child_stack=NULL, flags=SIGCHLD) = 9",
        "7 read(3, 1) = 1",  # 4 ms: in `next`
        "8 read(3, 1) = 1",
        "9 read(3, 1) = 1",
        "7 read(3, 1) = 1",
    )
    found = spans_of(trace, span("epoch", 0.5, 3.5), span("next", 3.6, 6.5))
    assert found == [None, "epoch", "epoch", "epoch", "next", "epoch", "epoch", None]


def test_a_child_process_created_outside_of_spans_belongs_to_none(trace_of: TraceOf) -> None:
    trace = trace_of("7 vfork() = 8", "8 read(3, 1) = 1", "7 read(3, 1) = 1")
    assert spans_of(trace, span("epoch", 0.5, None)) == [None, None, "epoch"]
    own = span("child", 0.9, 1.5, pid=8)
    assert spans_of(trace, own) == [None, "child", None]


def test_a_span_of_the_child_itself_comes_before_the_one_it_was_created_in(trace_of: TraceOf) -> None:
    trace = trace_of("7 vfork() = 8", *["8 read(3, 1) = 1"] * 3)
    found = spans_of(trace, span("epoch", -1, 0.5), span("child", 1.5, 2.5, pid=8, parent="epoch"))
    assert found == ["epoch", "epoch", "child", "epoch"]


THREAD = "7 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD}, 88) = 8"


def test_a_thread_goes_by_its_own_spans_and_then_by_those_of_who_started_it(trace_of: TraceOf) -> None:
    trace = trace_of(THREAD, *["8 read(3, 1) = 1", "7 read(3, 1) = 1"] * 3)
    epochs = (span("one", 0.5, 2.5), span("two", 2.6, 4.5))
    assert spans_of(trace, *epochs) == [None, "one", "one", "two", "two", None, None]
    own = span("batch", 2.7, 3.5)  # entered by thread 8 of process 7
    assert spans_of(trace, *epochs, own, batch=8) == [None, "one", "one", "batch", "two", None, None]
    assert spans_of(trace, *epochs, own) == [None, "one", "one", "batch", "two", None, None]
    long = span("batch", 0.5, 9)
    assert spans_of(trace, long, batch=8) == [None, "batch", None, "batch", None, "batch", None]


def test_a_number_given_out_again_is_another_process(trace_of: TraceOf) -> None:
    trace = trace_of(
        "7 vfork() = 8",
        "8 read(3, 1) = 1",
        "8 +++ exited with 0 +++",
        "7 vfork() = 8",  # 3 ms
        "8 read(3, 1) = 1",
        "8 +++ exited with 0 +++",
    )
    assert spans_of(trace, span("first", -1, 1.5), span("second", 2.5, 3.5)) == ["first", "first", "second", "second"]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=12), st.lists(st.integers(0, 40)))
def test_as_a_search_through_all_spans_finds_it(ranges: list[tuple[int, int]], times: list[int]) -> None:
    spans = [span(str(place), began, ended) for place, (began, ended) in enumerate(ranges)]
    found = spans_of(reads(*times), *spans)
    for time, name in zip(times, found, strict=True):
        around = [one for one in spans if one.began <= time * MS < (one.ended or 0)]
        latest = max(around, key=lambda one: (one.began, int(one.id)), default=None)
        assert name == (latest.id if latest is not None else None)


# --- what they come to


@pytest.fixture
def documented(trace_of: TraceOf) -> TraceDocument:
    """Two epochs in a root, the first with a span `load` around half of it, which holds another `load`."""
    trace = trace_of(
        '7 execve("./run", ["./run"], 0x1 /* 2 vars */) = 0',
        '7 openat(AT_FDCWD</s>, "/s/a", O_RDONLY) = 3</s/a>',
        '7 read(3</s/a>, "x"..., 10) = 10',
        '7 pread64(3</s/a>, "x"..., 10, 0) = 5',
        "7 read(9, 0x1, 10) = -1 EBADF (Bad file descriptor)",
        '7 write(1<pipe:[5]>, "x"..., 4) = 4',
        "7 copy_file_range(3</s/a>, NULL, 4</s/b>, NULL, 100, 0) = 100",
        "7 exit_group(0) = ?",
        "7 +++ exited with 0 +++",
    )
    spans = (
        span("root", 0.5, 9, attributes='{"at":"/home/ada/x"}'),
        span("epoch", 0.6, 4.5, parent="root", attributes='{"index":0}'),
        span("load", 1.5, 3.5, parent="epoch"),
        msgspec.structs.replace(span("deep", 2.5, 3.4, parent="load"), name="load"),
        span("again", 4.6, 6.5, parent="root", attributes='{"index":true}'),
        span("empty", 8, 8.1, parent="gone"),
    )
    steps = normalisation.normalised_steps(trace, replacements={"/s": "$STUDY"})
    found = attribution.attribute(trace, spans, BEGAN)
    return document.document(trace, steps, version=None, replacements={"/s": "$STUDY"}, spans=spans, span_of=found)


def test_a_span_counts_what_is_within_it(documented: TraceDocument) -> None:
    rows = {row.id: row for row in attribution.per_span(documented)}
    assert list(rows) == ["root", "epoch", "load", "deep", "again", "empty", None]
    assert [(row.calls, row.own, row.errors, row.read, row.written) for row in rows.values()] == [
        (7, 1, 1, 115, 104), (4, 2, 1, 15, 0), (2, 1, 0, 15, 0), (1, 1, 0, 5, 0), (2, 2, 0, 100, 104),
        (0, 0, 0, 0, 0), (1, 1, 0, 0, 0),
    ]  # fmt: skip
    assert rows["epoch"].by_name == (("read", 2), ("openat", 1), ("pread64", 1))
    assert rows["epoch"].seconds == pytest.approx(4e-5)
    assert (rows["epoch"].index, rows["again"].index, rows["load"].index) == (0, None, None)
    assert sum(row.own for row in rows.values()) == documented.recorded


def test_spans_of_a_name_are_summed_and_those_within_their_own_kind_count_once(documented: TraceDocument) -> None:
    rows = {row.name: row for row in attribution.by_name(documented)}
    assert [(name, row.spans, row.calls, row.own) for name, row in rows.items()] == [
        ("again", 1, 2, 2), ("empty", 1, 0, 0), ("epoch", 1, 4, 2), ("load", 2, 2, 2), ("root", 1, 7, 1),
        ("", 0, 1, 1),
    ]  # fmt: skip


def test_homes_do_not_appear_in_spans(documented: TraceDocument) -> None:
    assert documented.spans[0].attributes == '{"at":"$HOME/x"}'
    assert document.decode(document.encode(documented), "x.json") == documented


def test_the_last_value_in_a_span_or_within_it_stands_beside_its_calls(documented: TraceDocument) -> None:
    values = {
        "deep": {"loss": (5, 0.5), "rate": (1, 0.1)}, "epoch": {"loss": (4, 0.4)}, "root": {"loss": (3, 0.3)},
        "unknown": {"loss": (9, 9.0)},
    }  # fmt: skip
    rows = {row.calls.id: row.metrics for row in span_table.rows(documented, values)}
    both = {"loss": 0.5, "rate": 0.1}
    assert rows == {"root": both, "epoch": both, "load": both, "deep": both, "again": {}, "empty": {}, None: {}}
    assert [row.calls for row in span_table.summed(documented)] == list(attribution.by_name(documented))


def test_spans_that_name_each_other_as_parents_end_the_search() -> None:
    spans = [span("a", 0, 1, parent="b"), span("b", 0, 1, parent="a")]
    assert attribution.lines_of(spans) == {"a": ("a", "b"), "b": ("b", "a")}
