import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.foreign import protobuf_wire as wire
from entrenar_research.core.foreign.protobuf_wire import Message, WireError
from tests.unit.importing.foreign import field, single, varint

VALUES = st.one_of(st.integers(0, 2**64 - 1), st.floats(allow_nan=False), st.binary(max_size=300))


@given(st.lists(st.tuples(st.integers(1, 2**20), VALUES), max_size=20))
def test_what_was_written_is_read(written: list[tuple[int, int | float | bytes]]) -> None:
    data = b"".join(field(number, value) for number, value in written)
    read = [(number, wire.double(v) if kind == wire.FIXED64 else v) for number, kind, v in wire.fields(data)]
    assert read == written


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed_numbers(number: int) -> None:
    raw, place = wire.varint(varint(number), 0)
    assert wire.signed(raw) == number
    assert place == len(varint(number))


@given(st.binary(max_size=100))
def test_garbage_is_a_message_or_an_error_of_ours(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert all(number > 0 for number, _, _ in wire.fields(data))


@given(st.lists(st.tuples(st.integers(1, 30), VALUES), min_size=1, max_size=5), st.data())
def test_a_message_that_is_cut_off_inside_a_field_is_refused(
    written: list[tuple[int, int | float | bytes]], data: st.DataObject
) -> None:
    parts = [field(number, value) for number, value in written]
    whole = b"".join(parts)
    ends = {0}
    for part in parts:
        ends.add(max(ends) + len(part))
    cut = data.draw(st.integers(0, len(whole)))
    if cut in ends:
        list(wire.fields(whole[:cut]))
    else:
        with pytest.raises(WireError):
            list(wire.fields(whole[:cut]))


@pytest.mark.parametrize("data", [b"\x0b", b"\x0c", b"\x07", b"\x00\x01", b"\x08" + b"\xff" * 10])
def test_what_no_writer_writes_is_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        Message(data)


def test_a_message_at_hand() -> None:
    message = Message(
        field(1, "é") + field(2, -3 & (1 << 64) - 1) + field(3, field(1, "in")) + field(4, "a") + field(4, "b")
    )
    assert (message.text(1), message.number(2), message.texts(4), message.text(9), message.number(9)) == (
        "é", -3, ["a", "b"], "", 0,
    )  # fmt: skip
    inner = message.message(3)
    assert inner is not None
    assert inner.text(1) == "in"
    assert message.message(9) is None
    assert Message(field(1, b"\xff")).text(1) == "\\xff"
    assert wire.single(next(wire.fields(single(1, 0.1)))[2]) == 0.10000000149011612
