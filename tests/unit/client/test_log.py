"""What is logged is read back: any sequence of operations, cut off anywhere, and with any byte flipped."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.client import layout, reading
from entrenar_research.client.handle import Run
from entrenar_research.client.memory import MemoryStorage
from entrenar_research.client.reading import Log
from entrenar_research.client.run import start_run
from entrenar_research.errors import UsageError

Point = tuple[str, int, float, str]
NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=60)
VALUES = st.floats() | st.integers(-(2**60), 2**60)
STEPS = st.none() | st.integers(0, 2**63 - 1)
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("point"), NAMES | st.sampled_from(["loss", "acc"]), VALUES, STEPS),
        st.tuples(st.just("begin"), NAMES),
        st.tuples(st.just("end")),
        st.tuples(st.just("tag"), NAMES),
        st.tuples(st.just("warning"), NAMES),
    ),
    max_size=60,
)


def same(one: float, other: float) -> bool:
    return struct.pack("<d", one) == struct.pack("<d", other)


def carry_out(run: Run, operations: list[tuple[Any, ...]]) -> tuple[list[Point], list[str]]:
    """Does them all; the points and notes that should be in the log."""
    points: list[Point] = []
    notes: list[str] = []
    spans: list[Any] = []
    counted: dict[str, int] = {}
    for kind, *given_ in operations:
        if kind == "point":
            key, value, step = given_
            run.log_metric(key, value, step)
            if step is None:
                step = counted[key] = counted.get(key, -1) + 1
            points.append((key, step, float(value), spans[-1].name if spans else "fuzz"))
        elif kind == "begin":
            spans.append(run.span(given_[0]))
            spans[-1].__enter__()
        elif kind == "end" and spans:
            spans.pop().__exit__(None, None, None)
        elif kind == "tag" and given_[0] not in notes:
            run.add_tag(given_[0])
            notes.append(given_[0])
        elif kind == "warning":
            run.add_warning(given_[0])
            notes.append(given_[0])
    while spans:
        spans.pop().__exit__(None, None, None)
    return points, notes


def found_points(log: Log) -> list[Point]:
    names = {span.ref: span.name for span in log.spans}
    rows = zip(log.refs, log.steps, log.values, strict=True)
    return [(log.keys[ref], step, value, names.get(log.key_spans[ref], "")) for ref, step, value in rows]


def assert_same(found: list[Point], wanted: list[Point]) -> None:
    assert [(key, step, span) for key, step, _, span in found] == [(key, step, span) for key, step, _, span in wanted]
    assert all(same(one[2], other[2]) for one, other in zip(found, wanted, strict=True))


@given(OPERATIONS)
def test_whatever_is_logged_is_read_back(operations: list[tuple[Any, ...]]) -> None:
    storage = MemoryStorage()
    run = start_run("fuzz", storage=storage)
    try:
        points, notes = carry_out(run, operations)
        open_log = storage.log()
    finally:
        run.finish()
    log = storage.log()
    assert not log.damaged
    assert log.closed
    assert_same(found_points(log), points)
    assert_same(found_points(open_log), points)
    assert [note.get("value", note.get("text")) for note in log.notes[:-1]] == notes
    assert log.notes[-1] == {"kind": "end", "status": "completed"}
    assert all(span.ended is not None and not span.failed for span in log.spans)
    assert log.times == sorted(log.times)


@pytest.fixture(scope="module")
def written() -> bytes:
    """A log with two keys, a span and notes, not closed."""
    storage = MemoryStorage()
    run = start_run("fuzz", storage=storage)
    with run.span("epoch", index=1):
        for step in range(20):
            run.log_metric("loss", 1 / (step + 1), step)
    run.add_warning("a longer text that takes several slots to write down")
    run.log_metric("acc", 0.5)
    data = storage.read()
    run.finish()
    return data


def used(data: bytes) -> int:
    return layout.HEADER_SIZE + -(-(len(data.rstrip(b"\0")) - layout.HEADER_SIZE) // layout.SLOT) * layout.SLOT


def test_a_torn_tail_loses_nothing_before_it(written: bytes) -> None:
    """Cut off anywhere, as the copy of a file that is written to may be: what is whole is read, nothing is invented."""
    whole = reading.parse(written)
    points = found_points(whole)
    assert len(points) == 21
    for length in range(used(written)):
        log = reading.parse(written[:length])
        assert not log.damaged or length < layout.HEADER_SIZE
        rows = list(zip(log.refs, log.steps, log.values, strict=True))
        assert rows == list(zip(whole.refs, whole.steps, whole.values, strict=True))[: len(rows)]
        slots = max(length - layout.HEADER_SIZE, 0) // layout.SLOT
        marks = [written[layout.HEADER_SIZE + (n + 1) * layout.SLOT - 4] for n in range(slots)]
        assert len(rows) >= marks.count(layout.POINT)


def test_a_slot_without_its_mark_is_no_record(written: bytes) -> None:
    """A process killed within `pack_into` leaves fields without the mark, which is written last."""
    end = used(written)
    for fields in (8, 16, 24, 28):
        torn = bytearray(written)
        torn[end : end + fields] = struct.pack("<QdQI", 7, 0.5, 1, 1)[:fields]
        log = reading.parse(bytes(torn))
        assert (log.torn, log.damaged) == (1, [])
        assert found_points(log) == found_points(reading.parse(written))


def test_an_empty_slot_between_others_is_no_damage(written: bytes) -> None:
    """A thread was given the slot and was killed before it packed anything."""
    end = used(written)
    later = bytearray(written)
    last = later[end - layout.SLOT : end]
    later[end + layout.SLOT : end + 2 * layout.SLOT] = last
    log = reading.parse(bytes(later))
    assert not log.damaged
    assert len(log.values) == len(reading.parse(written).values) + 1


def test_any_flipped_bit_is_survived(written: bytes) -> None:
    """A flip changes one value, or loses what hangs on it and says so; it never raises, and touches nothing else."""
    before = found_points(reading.parse(written))
    for position in range(used(written)):
        for bit in (0, 3, 7):
            data = bytearray(written)
            data[position] ^= 1 << bit
            log = reading.parse(bytes(data))
            after = found_points(log) if not log.damaged else []
            if not log.damaged and len(after) == len(before):
                assert sum(repr(a) != repr(b) for a, b in zip(before, after, strict=True)) <= 20
            if len(log.values) < len(before) - 1:
                assert log.damaged
                assert all(words.startswith("byte") for words in log.damaged)


def test_a_flip_in_a_key_is_named_with_its_place(written: bytes) -> None:
    data = bytearray(written)
    place = written.index(b"loss")
    data[place + 24] ^= 1  # the ref of the text
    (slot,) = {(place - layout.HEADER_SIZE) // layout.SLOT}
    damaged = reading.parse(bytes(data)).damaged
    assert damaged[0].startswith(f"byte {layout.HEADER_SIZE + (slot + 1) * layout.SLOT}: a key (ref ")
    assert any("a point of a key (ref 3) that is not there (20 slots)" in words for words in damaged)


@given(st.binary(max_size=4000))
def test_arbitrary_bytes_are_read_without_an_error(data: bytes) -> None:
    log = reading.parse(data)
    assert log.begun == bool(data.strip(b"\0") or data.rstrip(b"\0"))
    assert len(log.damaged) <= 23


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_arbitrary_slots_are_read_without_an_error(seed: int, slots: int) -> None:
    """As above, with marks, refs and lengths that are likelier to mean something."""
    source = random.Random(seed)
    header = layout.HEADER.pack(layout.MAGIC, layout.SLOT, 0, 1, 1, 0, 0, source.randrange(2)).ljust(64, b"\0")
    body = b"".join(
        layout.STATEMENT_SLOT.pack(
            source.choice([0, 1, 4, 24, 25, 2**63]),
            source.choice([0, 1, 2, 2**40]),
            source.randrange(2**64),
            source.randrange(5),
            source.randrange(9),
        )
        for _ in range(slots)
    )
    log = reading.parse(header + body)
    assert all(ref in log.keys for ref in log.refs)
    assert all(0 <= step < 2**63 for step in log.steps)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -0.0, 5e-324, True, 7, 2**53 + 1])
def test_every_kind_of_number(value: float) -> None:
    storage = MemoryStorage()
    with start_run("fuzz", storage=storage) as run:
        run.log_metric("x", value, 3)
    (found,) = storage.log().values
    assert same(found, float(value))


class Number:
    def __float__(self) -> float:
        return 1.5


class Whole:
    def __index__(self) -> int:
        return 4


def test_any_object_that_is_a_number() -> None:
    numpy = pytest.importorskip("numpy")
    storage = MemoryStorage()
    with start_run("fuzz", storage=storage) as run:
        for value in (Number(), Whole(), numpy.float32(0.25), numpy.int64(3), numpy.array(2.0)):
            run.log_metric("x", value, Whole())
        run.log_metric("x", 1, numpy.int32(9))
    assert storage.log().points("x") == [(4, 1.5), (4, 4.0), (4, 0.25), (4, 3.0), (4, 2.0), (9, 1.0)]


WRONG = [
    ("", 1.0, None, "the name of a metric is empty, expected 1 to 250 characters"),
    ("a\nb", 1.0, None, "has '\\n' at 1"),
    ("a\x7f", 1.0, None, "has '\\x7f' at 1"),
    ("a\ud800", 1.0, None, "has '\\ud800' at 1"),
    ("x" * 251, 1.0, None, "has 251 characters"),
    (5, 1.0, None, "the name of a metric is 5 (int), expected text"),
    (["x"], 1.0, None, "the name of a metric is ['x'] (list), expected text"),
    (None, 1.0, None, "the name of a metric is None (NoneType), expected text"),
    ("x", "0.5", 1, "x is '0.5', expected a number"),
    ("x", None, 1, "x is None (NoneType), expected a number"),
    ("x", [1.0], 1, "x is [1.0] (list), expected a number"),
    ("x", 1j, 1, "x is 1j (complex), expected a number"),
    ("x", 10**400, 1, "too large for a 64-bit float"),
    ("x", 1.0, -1, "the step of x is -1 (int), expected 0 to 2^63 - 1"),
    ("x", 1.0, 1.5, "the step of x is 1.5 (float), expected a whole number"),
    ("x", 1.0, "1", "the step of x is '1', expected a whole number"),
    ("x", 1.0, 2**64, "expected 0 to 2^63 - 1"),
]


@pytest.mark.parametrize(("key", "value", "step", "said"), WRONG)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
def test_what_is_wrong_is_refused_where_it_is_said(key: Any, value: Any, step: Any, said: str, first: bool) -> None:
    storage = MemoryStorage()
    with start_run("fuzz", storage=storage) as run:
        if not first:
            run.log_metric("x", 1.0, 1)
        with pytest.raises(UsageError) as caught:
            run.log_metric(key, value, step)
        assert said in caught.value.message
        assert caught.value.hint
        run.log_metric("x", 2.0, 2)
    log = storage.log()
    assert log.points("x") == [(1, 1.0)] * (not first) + [(2, 2.0)]
    assert (log.damaged, log.torn, log.lost) == ([], 0, 0)


def test_steps_beyond_what_can_be_stored_are_named(written: bytes) -> None:
    data = bytearray(written)
    end = used(written)
    data[end - layout.SLOT : end - layout.SLOT + 8] = (2**63).to_bytes(8, "little")
    log = reading.parse(bytes(data))
    assert log.damaged == [
        f"byte {end - 32}: a point of 'acc' with the step 9223372036854775808, expected less than 2^63"
    ]


def test_ten_thousand_keys() -> None:
    storage = MemoryStorage()
    with start_run("fuzz", storage=storage) as run:
        for number in range(10_000):
            run.log_metric(f"layer.{number}.weight.norm", number)
    log = storage.log()
    assert not log.damaged
    assert sorted(log.keys.values()) == sorted(f"layer.{number}.weight.norm" for number in range(10_000))
    assert log.values == [float(number) for number in range(10_000)]


def test_a_value_that_logs_while_it_is_converted() -> None:
    """The fast path may be entered again at any moment, by a signal handler too."""
    storage = MemoryStorage()

    class Chatty:
        def __float__(self) -> float:
            run.log_metric("inner", 1.0)
            return 2.0

    with start_run("fuzz", storage=storage) as run:
        run.log_metric("outer", Chatty())
    log = storage.log()
    assert (log.points("inner"), log.points("outer")) == ([(0, 1.0)], [(0, 2.0)])
    assert not log.damaged


# --- no room --------------------------------------------------------------------------------------------------------


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    from entrenar_research.client import slots

    monkeypatch.setattr(slots, "_PATIENCE", 0.0)


@pytest.mark.parametrize("capacity", range(300, 1100, 32))
def test_a_full_storage_loses_points_and_says_so(capacity: int, capsys: pytest.CaptureFixture[str]) -> None:
    storage = MemoryStorage(capacity=capacity)
    run = start_run("fuzz", storage=storage)
    for step in range(40):
        run.log_metric("loss", 1.0, step)
    with pytest.raises(UsageError):
        run.log_metric("loss", "no number", 1)  # type: ignore[arg-type]
    log = storage.log()
    kept = len(log.values)
    assert log.steps == list(range(kept))
    assert log.lost == 40 - kept > 0
    assert log.lost_errno == 28
    run.finish()
    lost = storage.log().lost
    assert lost > 0
    said = f"entrenar-research: run {run.id}: {lost} points or notes could not be kept: No space left on device\n"
    assert capsys.readouterr().err == said
    assert not storage.log().damaged


@pytest.mark.usefixtures("_impatient")
def test_logging_goes_on_when_there_is_room_again(capsys: pytest.CaptureFixture[str]) -> None:
    storage = MemoryStorage(capacity=1024)
    run = start_run("fuzz", storage=storage)
    for step in range(100):
        run.log_metric("loss", 1.0, step)
        if step == 60:
            storage.capacity = None
    with run.span("late"):
        run.log_metric("loss", 2.0, 100)
    run.finish()
    log = storage.log()
    assert not log.damaged
    before = log.steps.index(61)
    assert log.steps == [*range(before), *range(61, 101)]
    assert log.lost == 61 - before
    assert [span.name for span in log.spans] == ["fuzz", "late"]


@pytest.mark.usefixtures("_impatient")
def test_a_span_that_did_not_fit_is_written_when_there_is_room() -> None:
    storage = MemoryStorage(capacity=300)
    run = start_run("fuzz", storage=storage)
    with run.span("epoch", index=1):
        run.log_metric("loss", 1.0, 0)
        storage.capacity = None
        run.log_metric("loss", 1.0, 1)
    run.finish()
    log = storage.log()
    assert not log.damaged
    assert log.steps == [1]
    assert [(span.name, span.ended is not None) for span in log.spans] == [("fuzz", True), ("epoch", True)]
    assert log.lost >= 2


@pytest.fixture(autouse=True)
def _finished() -> Iterator[None]:
    from entrenar_research.client import ending

    yield
    assert ending.current() is None
