import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.foreign import tensorboard_events as events
from entrenar_research.core.foreign.protobuf_wire import WireError
from tests.unit.importing.foreign import field, scalar, single

FLOATS = st.floats(width=32)


def tensor(dtype: int, *fields: bytes, shape: tuple[int, ...] = ()) -> bytes:
    dims = b"".join(field(2, field(1, size)) for size in shape)
    return field(1, dtype) + field(2, dims) + b"".join(fields)


def value(tag: str, *fields: bytes) -> bytes:
    return field(5, field(1, field(1, tag) + b"".join(fields)))


def plugin(name: str, content: bytes = b"") -> bytes:
    return field(9, field(1, field(1, name) + field(2, content)))


@given(st.text(max_size=150), st.integers(-(2**63), 2**63 - 1), FLOATS, st.floats(0, 9e9))
def test_a_scalar_is_read_the_same_either_way(tag: str, step: int, number: float, wall: float) -> None:
    record = scalar(tag, step, number, wall)
    [found] = events.event(record, {}).scalars
    assert (found.tag, found.step, found.wall_time) == (tag, step, wall)
    assert struct.pack("<d", found.value) == struct.pack("<d", number)
    quick = events.plain_scalar(record)
    if quick is not None:
        assert quick[:3] == found[:3]
        assert struct.pack("<d", quick.value) == struct.pack("<d", number)
    else:
        assert len(tag.encode()) > 118


@given(st.binary(max_size=60))
def test_garbage_is_an_event_or_an_error_of_ours(data: bytes) -> None:
    assert events.plain_scalar(data) is None or events.event(data, {}).scalars
    try:
        events.event(data, {})
    except (WireError, ValueError):
        return


def test_two_values_in_one_event_and_a_step_that_is_left_out() -> None:
    both = field(1, field(1, "a") + single(2, 1)) + field(1, field(1, "b") + single(2, 2))
    found = events.event(field(1, 5.0) + field(5, both), {})
    assert [tuple(point) for point in found.scalars] == [(5.0, 0, "a", 1.0), (5.0, 0, "b", 2.0)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (tensor(1, field(4, struct.pack("<f", 0.1))), struct.unpack("<f", struct.pack("<f", 0.1))[0]),
        (tensor(1, single(5, 0.5)), 0.5),
        (tensor(1, field(5, struct.pack("<f", 0.5))), 0.5),
        (tensor(1), 0.0),
        (tensor(2, field(4, struct.pack("<d", math.pi))), math.pi),
        (tensor(2, field(6, math.pi)), math.pi),
        (tensor(19, field(4, struct.pack("<e", 1.5))), 1.5),
        (tensor(19, field(13, 0x3E00)), 1.5),
        (tensor(14, field(4, b"\xc0\x3f")), 1.5),
        (tensor(14, field(13, 0x3FC0)), 1.5),
        (tensor(9, field(10, -3)), -3.0),
        (tensor(9, field(10, b"\x05")), 5.0),
        (tensor(3, field(7, -3)), -3.0),
        (tensor(23, field(17, 2**63)), 2.0**63),
        (tensor(10, field(11, 1)), 1.0),
        (tensor(4, field(4, b"\xff")), 255.0),
        (tensor(1, single(5, 2), shape=(1, 1)), 2.0),
        (tensor(1, single(5, 2), shape=(3,)), None),
        (tensor(1, field(5, struct.pack("<ff", 1, 2))), None),
        (tensor(1, field(4, b"\0\0")), None),
        (tensor(7, field(8, "text")), None),
        (tensor(8, field(4, bytes(8))), None),
    ],
)  # fmt: skip
def test_tensors_of_one_number(data: bytes, expected: float | None) -> None:
    assert events.tensor_number(data) == expected


def test_the_plugin_of_a_tag_is_remembered_from_its_first_value() -> None:
    known: dict[str, str] = {}
    number = field(8, tensor(1, single(5, 2)))
    first = events.event(value("pr", number, plugin("pr_curves")), known)
    later = events.event(value("pr", number), known)
    assert [(other.kind, other.plugin) for other in (*first.others, *later.others)] == [("pr_curves", "pr_curves")] * 2
    assert events.event(value("loss", number, plugin("scalars")), known).scalars[0].value == 2.0


@pytest.mark.parametrize(
    ("number", "kind"), [(3, "histogram (old form)"), (4, "image"), (5, "histogram"), (6, "audio")]
)
def test_what_is_no_scalar_is_named(number: int, kind: str) -> None:
    found = events.event(value("x", field(number, b"")), {})
    assert (found.scalars, [other.kind for other in found.others]) == ([], [kind])


def test_graphs_and_the_end_of_a_session() -> None:
    assert [other.kind for other in events.event(field(4, b"graph"), {}).others] == ["graph"]
    assert events.event(field(7, field(1, 2)), {}).stopped
    assert not events.event(field(7, field(1, 1)), {}).stopped
    assert events.event(field(3, "brain.Event:2"), {}).file_version == "brain.Event:2"


def test_hyper_parameters() -> None:
    def entry(name: str, inner: bytes) -> bytes:
        return field(1, field(1, name) + field(2, inner))

    start = (
        entry("lr", field(2, 0.5))
        + entry("name", field(3, "x"))
        + entry("flag", field(4, 1))
        + entry("none", field(1, 0))
    )
    found = events.session(field(3, start + field(4, "g") + field(5, 100.0)))
    assert found == events.Session({"lr": 0.5, "name": "x", "flag": True, "none": None}, "g", None, 100.0, None)
    assert events.session(field(4, field(1, 2) + field(2, 200.0))) == events.Session({}, "", "failed", None, 200.0)


@given(st.floats(0, 9e9))
def test_times_are_exact(wall: float) -> None:
    found = events.nanoseconds(wall)
    assert found / 10**9 == wall or wall < 1e6  # a double has more than nanoseconds near 1970
    assert abs(found - wall * 10**9) <= max(1.0, wall * 1e9 * 2**-52)


@pytest.mark.parametrize("wall", [math.nan, math.inf, -math.inf, 1e300])
def test_what_is_no_time_is_0(wall: float) -> None:
    assert events.nanoseconds(wall) == 0
