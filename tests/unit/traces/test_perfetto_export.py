"""Perfetto's format, read field by field: tracks, slices that end where they should, interned names."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.foreign.protobuf_wire import Message, fields, signed, varint
from entrenar_research.core.traces.exports import perfetto, protobuf
from tests.unit.traces.exported import CALLS, DOCUMENT, EPOCH, OTHER, SPANS, STEP

PACKETS = Message(perfetto.export(DOCUMENT)).messages(1)
BEGIN, END, INSTANT = 1, 2, 3


def interned(packets: list[Message], kind: int) -> dict[int, str]:
    """Names by number: all in the first packet of the sequence."""
    return {
        entry.number(1): entry.text(2)
        for packet in packets
        for message in packet.messages(12)
        for entry in message.messages(kind)
    }


def tracks() -> dict[int, Message]:
    found = [track for packet in PACKETS for track in packet.messages(60)]
    assert len({track.number(1) for track in found}) == len(found), "every track has a number of its own"
    return {track.number(1): track for track in found}


def slices(packets: list[Message] = PACKETS) -> list[tuple[int, str, str, int, int | None, int]]:
    """Track, name, category, beginning, length, depth: as a viewer would pair beginnings and ends."""
    names, categories = interned(packets, 2), interned(packets, 1)
    stacks: defaultdict[int, list[int]] = defaultdict(list)
    found: list[tuple[int, str, str, int, int | None, int]] = []
    for packet in packets:
        for event in packet.messages(11):
            track, kind, at = event.number(11), event.number(9), packet.number(8)
            if kind == END:
                place = stacks[track].pop()
                found[place] = (*found[place][:4], at - found[place][3], found[place][5])
                continue
            row = (track, names[event.number(10)], categories[event.number(3)], at, None, len(stacks[track]))
            if kind == BEGIN:
                stacks[track].append(len(found))
            found.append(row)
    assert not any(stacks.values()), "what begins ends"
    return found


def test_tracks_are_those_of_processes_threads_and_spans() -> None:
    found = tracks()
    processes = {key: track.messages(3)[0] for key, track in found.items() if track.messages(3)}
    assert [(item.number(1), item.text(6), item.texts(2)) for item in processes.values()] == [
        (10, "python3", ["python3", "train.py"]),
        (12, "ls", []),
    ]
    threads = [(track.messages(4)[0], track.number(5)) for track in found.values() if track.messages(4)]
    told = [(item.number(1), item.number(2), item.text(5), processes[above].number(1)) for item, above in threads]
    assert told == [(10, 10, "python3", 10), (10, 11, "thread", 10), (12, 12, "ls", 12)]
    lanes = [track for track in found.values() if not track.messages(3) and not track.messages(4)]
    assert [(track.text(2), processes[track.number(5)].number(1)) for track in lanes] == [("spans", 10), ("spans", 10)]


def test_slices_are_where_the_calls_are() -> None:
    thread = {track.messages(4)[0].number(2): key for key, track in tracks().items() if track.messages(4)}
    found = [row for row in slices() if row[2] == "syscall"]
    assert sorted(found, key=str) == sorted(
        [
            (thread[10], "execve", "syscall", 0, 1500, 0),
            (thread[10], "openat", "syscall", 2000, 1001, 0),
            (thread[10], "read", "syscall", 4000, 1000, 0),
            (thread[10], "read", "syscall", 5000, 500, 0),
            (thread[11], "futex", "syscall", 4500, 3000, 0),
            (thread[12], "execve", "syscall", 6000, 400, 0),
            (thread[12], "exit_group", "syscall", 7000, None, 0),
        ],
        key=str,
    )
    assert [row[1:5] for row in slices() if row[2] == "exit"] == [
        ("exited with 0", "exit", 7500, None),
        ("killed by SIGKILL", "exit", 10000, None),
    ]


def test_spans_nest() -> None:
    found = [row[1:] for row in slices() if row[2] == "span"]
    assert found == [
        ("epoch; one", "span", 1000, 8000, 0),
        ("step", "span", 3000, 5000, 1),
        ("step", "span", 5000, 5000, 0),
    ]


def test_a_span_that_follows_at_once_is_no_child() -> None:
    after = msgspec.structs.replace(SPANS[0], id=OTHER, name="next", began=9_000, ended=9_500)
    found = Message(perfetto.export(msgspec.structs.replace(DOCUMENT, spans=(SPANS[0], after)))).messages(1)
    spans = [row[1:] for row in slices(found) if row[2] == "span"]
    assert spans == [("epoch; one", "span", 1000, 8000, 0), ("next", "span", 9000, 500, 0)]


def test_slices_tell_what_was_asked_and_said() -> None:
    keys, texts = interned(PACKETS, 3), interned(PACKETS, 29)
    told = []
    for packet in PACKETS:
        for event in packet.messages(11):
            notes = event.messages(4)
            told.append({keys[note.number(1)]: texts[note.number(17)] if note.every(17) else True for note in notes})
    assert {"arguments": CALLS[1].arguments, "result": "-1", "error": "ENOENT", "span": EPOCH} in told
    deep = {"index": "3", "rate": "0.5", "last": "true", "who": "x", "deep": '{"a": 1}'}
    assert {"id": EPOCH, **deep} in told
    assert {"id": STEP, "failed": True} in told
    assert {"id": OTHER, "unfinished": True} in told


def test_packets_are_of_one_sequence_and_in_order() -> None:
    assert {packet.number(10) for packet in PACKETS} == {1}
    assert [packet.number(13) for packet in PACKETS].count(1) == 1
    first = next(place for place, packet in enumerate(PACKETS) if packet.number(13) == 1)
    events = [place for place, packet in enumerate(PACKETS) if packet.every(11)]
    assert all(place > first and PACKETS[place].number(13) == 2 for place in events)
    times = [PACKETS[place].number(8) for place in events]
    assert times == sorted(times)


@given(st.integers(-(2**63), 2**64 - 1), st.binary(max_size=300), st.integers(1, 2**29 - 1))
def test_what_is_written_is_read(value: int, raw: bytes, field: int) -> None:
    written = protobuf.number(field, value) + protobuf.data(field, raw) + protobuf.text(field, "ä\ud800")
    assert [(number, found) for number, _, found in fields(written)] == [
        (field, value % 2**64),
        (field, raw),
        (field, "ä?".encode()),
    ]
    found, place = varint(protobuf.varint(value), 0)
    assert place == len(protobuf.varint(value))
    assert (signed(found) if value < 0 else found) == value
