import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.foreign.record_logs import is_wandb, tf_records, wandb_records
from tests.unit.importing.foreign import mask, slow_crc32c, tf_record, wandb_log

RECORDS = st.lists(st.binary(max_size=60), max_size=30)


def read_tf(data: bytes) -> tuple[list[bytes], list[tuple[int, str]]]:
    damaged: list[tuple[int, str]] = []
    return list(tf_records(data, lambda place, what: damaged.append((place, what)))), damaged


def read_wandb(data: bytes) -> tuple[list[bytes], list[tuple[int, str]]]:
    damaged: list[tuple[int, str]] = []
    found = list(wandb_records(data, lambda place, what: damaged.append((place, what))))
    return [record for _, record in found], damaged


@given(RECORDS)
def test_a_whole_event_file(records: list[bytes]) -> None:
    assert read_tf(b"".join(map(tf_record, records))) == (records, [])


@given(RECORDS.filter(bool), st.data())
def test_a_torn_event_file_gives_what_was_whole(records: list[bytes], data: st.DataObject) -> None:
    framed = list(map(tf_record, records))
    whole = b"".join(framed)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(map(len, framed[:count])) for count in range(len(framed) + 1)]
    complete = max(count for count, end in enumerate(ends) if end <= cut)
    found, damaged = read_tf(whole[:cut])
    assert found == records[:complete]
    assert [place for place, _ in damaged] == ([] if cut in ends else [ends[complete]])


@given(st.lists(st.binary(min_size=1, max_size=60), min_size=3, max_size=30), st.data())
def test_a_flipped_bit_costs_one_record_of_an_event_file(records: list[bytes], data: st.DataObject) -> None:
    framed = list(map(tf_record, records))
    hit = data.draw(st.integers(0, len(records) - 1))
    place = sum(map(len, framed[:hit]))
    at = place + data.draw(st.integers(0, len(framed[hit]) - 1))
    whole = bytearray(b"".join(framed))
    whole[at] ^= 1 << data.draw(st.integers(0, 7))
    found, damaged = read_tf(bytes(whole))
    assert found == records[:hit] + records[hit + 1 :]
    assert [where for where, _ in damaged] == [place]


def test_long_records_and_garbage_in_an_event_file() -> None:
    long = random.Random(1).randbytes(200_000)
    found, damaged = read_tf(tf_record(b"a") + b"garbage" * 100 + tf_record(long) + tf_record(b"z"))
    assert found == [b"a", long, b"z"]
    assert damaged == [(17, "the checksum of a record's length is wrong: 700 bytes are passed over")]
    assert read_tf(b"no event file at all, but a text")[0] == []


@given(st.lists(st.binary(max_size=200) | st.integers(30_000, 70_000).map(bytes), max_size=12))
def test_a_whole_wandb_log(records: list[bytes]) -> None:
    data = wandb_log(records)
    assert is_wandb(data)
    assert read_wandb(data) == (records, [])


@pytest.fixture(scope="module")
def records() -> list[bytes]:
    source = random.Random(2)
    return [source.randbytes(source.choice([5, 50, 500, 5000, 40_000])) for _ in range(40)]


def test_a_torn_wandb_log_gives_what_was_whole(records: list[bytes]) -> None:
    data = wandb_log(records)
    source = random.Random(3)
    for cut in [7, 8, 13, 14, *(source.randrange(7, len(data)) for _ in range(200))]:
        found, damaged = read_wandb(data[:cut])
        assert found == records[: len(found)]
        assert len(damaged) <= 2
        assert damaged or wandb_log(records[: len(found)]) == data[:cut].rstrip(b"\0") or not data[cut - 1]


def test_a_flipped_bit_of_a_wandb_log_is_named_and_costs_its_block_at_most(records: list[bytes]) -> None:
    data = wandb_log(records)
    source = random.Random(4)
    for _ in range(100):
        at = source.randrange(7, len(data))
        flipped = bytearray(data)
        flipped[at] ^= 1 << source.randrange(8)
        found, damaged = read_wandb(bytes(flipped))
        missing = [record for record in records if record not in found]
        assert all(record in records for record in found)
        assert bool(missing) == bool(damaged)
        assert sum(map(len, missing)) <= 2 * 32768 + 2 * 40_000


def test_leveldb_s_own_checksum_is_taken_too() -> None:
    chunk = b"words"
    data = b":W&B\xe1\xbe\x00" + struct.pack("<IHB", mask(slow_crc32c(b"\x01" + chunk)), len(chunk), 1) + chunk
    assert read_wandb(data) == ([chunk], [])


def test_what_is_no_wandb_log() -> None:
    assert not is_wandb(b"")
    assert not is_wandb(b":W&")
    assert not is_wandb(b"{}")
