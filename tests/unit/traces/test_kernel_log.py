"""The log of the kernel tracer: what is written is what is read, however it is cut; the kernel's rings, decoded."""

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.errors import IntegrityError
from entrenar_research.tools.kernel_ring import events, log, reading

ITEMS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=40)), max_size=4, unique_by=lambda item: item[0])
WORD = st.integers(0, 2**64 - 1)
MOMENT = st.integers(0, 2**62)
ENTER, EXIT = 443, 442


def written(path: Path, *frames: tuple[int, bytes]) -> bytes:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    writer = log.Writer(descriptor)
    for kind, payload in frames:
        writer.write(kind, payload)
    os.close(descriptor)
    return path.read_bytes()


@given(st.tuples(*[WORD] * 7), st.tuples(MOMENT, MOMENT), st.integers(-(2**63), 2**63 - 1), ITEMS)
def test_a_call_reads_back_as_written(
    call: tuple[int, ...], times: tuple[int, int], result: int, items: list[tuple[int, bytes]]
) -> None:
    other = log.record(log.ENDED, 8, 5, (3, 0, 0), [])
    first, second = log.records(log.call_record(7, times, result, log.DONE, call, items) + other)
    assert (first.tid, first.moment, first.ended, first.result) == (7, *times, result)
    assert (first.numbers, first.how_far, first.items) == (call, log.DONE, dict(items))
    assert (second.kind, second.tid, second.moment, second.numbers) == (log.ENDED, 8, 5, (3, 0, 0))


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 400))
def test_a_log_that_is_cut_holds_what_came_before(payloads: list[bytes], cut: int) -> None:
    data = log.MAGIC + b"".join(b"".join(log.frame(log.RING, payload, 3)) for payload in payloads)
    found = [bytes(content) for _, _, content in log.frames(data[: len(log.MAGIC) + cut])]
    assert found == payloads[: len(found)]
    assert [bytes(content) for _, _, content in log.frames(data)] == payloads


@given(st.lists(st.binary(max_size=30), max_size=5), st.integers(0, 60))
def test_a_stream_of_frames_comes_apart_again(payloads: list[bytes], missing: int) -> None:
    stream = b"".join(b"".join(log.frame(log.STOPS, payload)) for payload in payloads)
    rest, found = stream[: len(stream) - missing], []
    while (first := log.first_frame(rest)) is not None:
        _, content, rest = first
        found.append(content)
    assert found == payloads[: len(found)]
    assert len(found) == len(payloads) or missing


def test_after_a_write_that_failed_nothing_is_written() -> None:
    descriptor = os.open("/dev/full", os.O_WRONLY)
    writer = log.Writer(descriptor)
    os.close(descriptor)
    writer.write(log.RING, b"x")
    assert writer.failed is not None
    assert writer.failed.errno == 28


def sample(tracepoint: int, tid: int, time: int, *numbers: int) -> bytes:
    words = [number & 0xFFFFFFFFFFFFFFFF for number in numbers]
    body = struct.pack(f"=Hxxi{len(words)}Q", tracepoint, tid, *words)
    raw = struct.pack("=I", len(body) + 4) + body + bytes(4)
    content = struct.pack("=IIQ", tid, tid, time) + raw
    return struct.pack("=IHH", 9, 0, 8 + len(content)) + content


def enter(tid: int, time: int, number: int, *arguments: int) -> bytes:
    return sample(ENTER, tid, time, number, *arguments, *[0] * (6 - len(arguments)))


def leave(tid: int, time: int, number: int, result: int) -> bytes:
    return sample(EXIT, tid, time, number, result)


def test_rings_are_read_in_the_order_of_time() -> None:
    rings = {0: enter(5, 10, 39) + leave(5, 40, 39, 5), 1: enter(6, 20, 3, 9) + leave(6, 30, 3, -9)}
    found = events.decode(rings, ENTER, EXIT)
    assert [(time, tid, number, result) for time, tid, number, _, result in found.events] == [
        (10, 5, 39, 0), (20, 6, 3, 0), (30, 6, 3, -9), (40, 5, 39, 5),
    ]  # fmt: skip
    assert found.events[1][3] == (9, 0, 0, 0, 0, 0)
    assert (found.lost, found.damaged) == (0, False)


def test_events_of_other_kinds_are_passed_over_and_lost_ones_counted() -> None:
    told = struct.pack("=IHHQQ", 2, 0, 24, 77, 40) + struct.pack("=IHHQ", 13, 0, 16, 2)
    found = events.decode({0: sample(1, 5, 1, 7, 7) + told + enter(5, 10, 39)}, ENTER, EXIT)
    assert (len(found.events), found.lost, found.damaged) == (1, 42, False)


@pytest.mark.parametrize("cut", [1, 40, 95])
def test_a_ring_that_is_cut_is_damaged(cut: int) -> None:
    data = enter(5, 10, 39) + enter(5, 20, 39)
    found = events.decode({0: data[:-cut]}, ENTER, EXIT)
    assert (len(found.events), found.damaged) == (1, True)


HEAD = (log.HEAD, log.head("x86_64", "full", 1000, (ENTER, EXIT), 5))


def full_log(path: Path, ring: bytes, *, end: int | None = 0) -> Path:
    """A log of `true`: its execve and exit_group, and between them what is in `ring`."""
    call = (59, 1, 2, 3, 0, 0, 0)
    stops = (
        log.call_record(5, (9, 9), 0, log.LEFT, call, [(0, b"/bin/true"), (1, b"true\0")])
        + log.record(log.EXECUTED, 5, 11, (5, 0, 0), [(log.DIRECTORY, b"/home"), (log.DESCRIPTORS, b"1\0/out\0")])
        + log.record(log.ENDED, 5, 1000, (0, 0, 0), [])
    )
    data = enter(5, 1, 0) + enter(5, 10, *call) + leave(5, 12, 59, 0) + ring + enter(5, 900, 231)
    frames = [HEAD, (log.STOPS, stops), (log.RING, data)]
    written(path, *frames, *([] if end is None else [(log.END, log.end(end))]))
    return path


def texts(found: reading.Reading) -> list[str]:
    return [f"{call.name}({call.arguments}) = {call.error or call.result}" for call in found.calls]


def test_rings_and_stops_make_calls(tmp_path: Path) -> None:
    ring = enter(5, 20, 1, 1, 4096, 3) + leave(5, 25, 1, 3) + enter(5, 30, 33, 1, 7) + leave(5, 31, 33, 7)
    ring += enter(5, 40, 3, 1) + leave(5, 41, 3, 0) + enter(5, 50, 0, 1, 8, 9) + leave(5, 51, 0, -9)
    ring += enter(5, 60, 1, 7, 4096, 1) + leave(5, 61, 1, -512)
    found = reading.read(full_log(tmp_path / "log", ring))
    assert texts(found) == [
        'execve("/bin/true", ["true"], 0x3) = 0',
        'write(1</out>, ""..., 3) = 3',
        "dup2(1</out>, 7) = 7</out>",
        "close(1</out>) = 0",
        "read(1, 0x8, 9) = EBADF",
        'write(7</out>, ""..., 1) = ERESTARTSYS',
        "exit_group(0) = ?",
    ]  # fmt: skip
    assert (found.problems, found.lost) == ((), 0)
    assert (found.calls[1].time, found.calls[1].duration) == (1.02e-6, 5e-9)
    assert [(end.pid, end.status) for end in found.ends] == [(5, 0)]


OPENED = enter(5, 20, 257, 2**64 - 100, 9) + leave(5, 25, 257, 3)
TWICE = enter(5, 20, 39) + enter(5, 30, 39) + leave(5, 35, 39, 5)


@pytest.mark.parametrize(("ring", "lost"), [(OPENED, 1), (TWICE, 1), (b"", 0)])
def test_what_is_missing_is_counted(tmp_path: Path, ring: bytes, lost: int) -> None:
    found = reading.read(full_log(tmp_path / "log", ring))
    assert found.lost == lost
    assert bool(found.problems) == bool(lost)


def test_what_the_kernel_says_it_lost_counts(tmp_path: Path) -> None:
    found = reading.read(full_log(tmp_path / "log", b"", end=3))
    assert (found.lost, found.problems) == (3, ("3 events were lost",))


def test_a_log_without_an_end_is_not_complete(tmp_path: Path) -> None:
    found = reading.read(full_log(tmp_path / "log", b"", end=None))
    assert found.problems == ("the log was not finished: the tracer was killed, or the disk is full",)


def test_a_stop_without_its_event_is_lost_unless_the_thread_died_there(tmp_path: Path) -> None:
    call = (257, 2**64 - 100, 9, 0, 0, 0, 0)
    stop = log.call_record(5, (950, 950), 0, log.LEFT, call, [(1, b"a")])
    path = full_log(tmp_path / "log", b"")
    whole = path.read_bytes()
    path.write_bytes(whole + b"".join(log.frame(log.STOPS, stop)))
    found = reading.read(path)
    assert 'openat(AT_FDCWD</home>, "a", O_RDONLY) = ?' in texts(found)
    assert found.lost == 0
    again = log.call_record(5, (960, 960), 0, log.LEFT, call, [(1, b"b")])
    path.write_bytes(whole + b"".join(log.frame(log.STOPS, stop + again)))
    assert reading.read(path).lost == 1


def test_calls_of_other_processors_are_not_mistaken_for_ours(tmp_path: Path) -> None:
    foreign = log.record(log.UNDECODED, 5, 19, (0, 0, 0), [])
    path = full_log(tmp_path / "log", enter(5, 20, 20) + leave(5, 25, 20, 5))
    path.write_bytes(path.read_bytes() + b"".join(log.frame(log.STOPS, foreign)))
    found = reading.read(path)
    assert [call.name for call in found.calls] == ["execve", "exit_group"]
    assert found.lost == 1
    assert "32-bit" in found.problems[1]


@pytest.mark.parametrize(
    "frames",
    [[], [HEAD], [HEAD, (log.STOPS, b"\x01\x02")], [HEAD, (77, b"")], [(log.HEAD, b"short")], [(log.HEAD, bytes(48))]],
)
def test_a_log_without_calls_or_damaged_is_refused(tmp_path: Path, frames: list[tuple[int, bytes]]) -> None:
    written(tmp_path / "log", *frames)
    with pytest.raises(IntegrityError, match="log: "):
        reading.read(tmp_path / "log")
