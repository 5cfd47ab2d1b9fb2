"""Packed traces: what is read back is what was written, by every algorithm, and no changed byte goes unseen."""

import hashlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.actions.traces import files
from entrenar_research.core.traces.document import encode, trace_of
from entrenar_research.core.traces.storing import codecs, packed
from entrenar_research.core.traces.storing.packed import pack, summary_of, unpack
from entrenar_research.core.traces.summary import summarise
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.documented import (
    DocumentedCall,
    DocumentedEnd,
    DocumentedExit,
    DocumentedLine,
    DocumentedSpan,
    TraceDocument,
)
from entrenar_research.models.policy import CompressionPolicy

_TEXTS = st.one_of(st.sampled_from(["", "read", "a\nb", "é😀", "\x00", '"..."', "3</etc/hosts>"]), st.text(max_size=6))
_MAYBE = st.none() | _TEXTS
_NUMBERS = st.one_of(
    st.integers(0, 300), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**70), 2**70), st.just(2**63)
)
_NANOSECONDS = st.integers(0, 10**13)


def _documents(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[TraceDocument]:
    maybe = st.none() | numbers
    return st.builds(
        TraceDocument,
        schema=st.just(2),
        tracer=_TEXTS,
        tracer_version=_MAYBE,
        level=_TEXTS,
        rules=st.integers(0, 9),
        command=st.lists(_TEXTS, max_size=3).map(tuple),
        exit=st.builds(DocumentedExit, status=st.none() | st.integers(0, 255), signal=_MAYBE),
        complete=st.booleans(),
        problems=st.lists(_TEXTS, max_size=2).map(tuple),
        lost=st.integers(0, 2**40),
        recorded=st.integers(0, 2**40),
        counts=st.dictionaries(_TEXTS, st.integers(0, 9), max_size=2),
        trace_id=_TEXTS,
        spans=st.lists(
            st.builds(DocumentedSpan, _TEXTS, _MAYBE, _TEXTS, _TEXTS, numbers, numbers, maybe, st.booleans()),
            max_size=3,
        ).map(tuple),
        ends=st.lists(st.builds(DocumentedEnd, numbers, numbers, maybe, _MAYBE), max_size=3).map(tuple),
        lines=st.lists(st.builds(DocumentedLine, _TEXTS, numbers, numbers), max_size=4).map(tuple),
        calls=st.lists(
            st.builds(DocumentedCall, numbers, numbers, numbers, maybe, _TEXTS, _TEXTS, _TEXTS, _MAYBE, _MAYBE),
            max_size=12,
        ).map(tuple),
    )


def document(calls: int = 400, **changes: Any) -> TraceDocument:
    """A document of so many calls: threads, failures, unknown durations."""
    kinds = [("read", '3<$STUDY/data>, "..."', "4096", None), ("openat", 'AT_FDCWD, "$STUDY/a"', "-1", "ENOENT")]
    made = tuple(
        DocumentedCall(7, 7 + n % 3, 1000 * n, 1000 * (n % 9) if n % 5 else None, *kinds[n % 7 == 0], None)
        for n in range(calls)
    )
    whole = TraceDocument(
        schema=2,
        tracer="strace",
        tracer_version="6.1",
        level="full",
        rules=1,
        command=("x",),
        exit=DocumentedExit(status=0, signal=None),
        complete=True,
        problems=("one",),
        lost=0,
        recorded=calls,
        counts={},
        trace_id="sha256:0",
        spans=(DocumentedSpan("a" * 16, None, "epoch", "{}", 7, 5, None, False),),
        ends=(DocumentedEnd(7, 9000, None, "SIGKILL"),),
        lines=(DocumentedLine("1 read($STUDY/data) = 4096", 0, 5),),
        calls=made,
    )
    return msgspec.structs.replace(whole, **changes)


@pytest.mark.parametrize("algorithm", codecs.ALGORITHMS)
@settings(max_examples=60)
@given(found=_documents(_NUMBERS))
def test_any_document_is_read_back_as_it_was_written(algorithm: Any, found: TraceDocument) -> None:
    data, stored = pack(found, algorithm=algorithm)
    assert unpack(data, "x.trace") == found
    assert stored.stored_bytes == len(data)
    assert stored == packed.stored_of(data, "x.trace")
    assert packed.problems_of(data, "x.trace") == found.problems
    assert pack(found, algorithm=algorithm)[0] == data


@settings(max_examples=60)
@given(found=_documents(_NANOSECONDS))
def test_the_summary_is_that_of_the_calls(found: TraceDocument) -> None:
    assert summary_of(pack(found, algorithm="zstd")[0], "x.trace") == summarise(trace_of(found))


@pytest.mark.parametrize("algorithm", codecs.ALGORITHMS)
@given(data=st.binary(max_size=2000) | st.integers(0, 3000).map(lambda size: b"ab" + b"\0" * size))
def test_what_is_compressed_comes_back(algorithm: Any, data: bytes) -> None:
    level = codecs.level_of(algorithm, None)
    assert codecs.decompress(algorithm, codecs.compress(algorithm, data, level), len(data), "x") == data


@pytest.mark.parametrize("algorithm", codecs.ALGORITHMS)
def test_a_flipped_byte_anywhere_is_an_error(algorithm: Any) -> None:
    data, _ = pack(document(10), algorithm=algorithm)
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << (place % 8)
        for read in (unpack, summary_of) if place % 4 else (packed.stored_of, packed.problems_of):
            with pytest.raises(IntegrityError, match=r"x\.trace"):
                read(bytes(broken), "x.trace")


def test_every_cut_and_anything_added_is_an_error() -> None:
    data, _ = pack(document(3), algorithm="lz4")
    for broken in [*(data[:length] for length in range(len(data))), data + b"\0", b"", b"{}"]:
        with pytest.raises(IntegrityError):
            unpack(broken, "x.trace")


def _signed_again(data: bytes, old: bytes, new: bytes) -> bytes:
    """The same file with something replaced and a checksum that fits: somebody meant it."""
    assert data.count(old) == 1
    body = data[:-32].replace(old, new)
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b'"schema":2', b'"schema":3', "schema 3"),
        (packed.MAGIC + b"\1", packed.MAGIC + b"\2", "version 2"),
        (b'"original":', b'"0riginal":', "not a packed trace"),
        (b'"algorithm":"none"', b'"algorithm":"zstd"', "damaged"),
        (b'"calls.took":["n",40', b'"calls.took":["n",41', "damaged"),
        (b'"calls.took":', b'"calls.toox":', "not a packed trace"),
    ],
)
def test_what_another_wrote_is_refused_whatever_its_checksum(old: bytes, new: bytes, reason: str) -> None:
    data, _ = pack(document(40), algorithm="none")
    with pytest.raises(IntegrityError, match=reason):
        unpack(_signed_again(data, old, new), "x.trace")


def test_small_ones_are_left_as_they_are_and_say_so() -> None:
    found = document(400)
    size = len(encode(found))
    data, stored = pack(found, algorithm="zstd", level=3, threshold=size)
    assert (stored.algorithm, stored.level) == ("none", None)
    assert b"$STUDY/data" in data
    data, stored = pack(found, algorithm="zstd", level=3, threshold=size - 1)
    assert (stored.algorithm, stored.level, stored.original_bytes) == ("zstd", 3, size)
    assert stored.stored_bytes == len(data) < size / 10


def test_growth_is_told() -> None:
    small = document(1)
    assert pack(small, algorithm="rle")[1].words.endswith("it grew")
    assert "grew" not in pack(document(400), algorithm="rle")[1].words
    runs, noise = b"\0" * 1000, bytes(range(256))
    assert len(codecs.compress("rle", runs, None)) == 8
    assert len(codecs.compress("rle", noise, None)) == 512


@pytest.mark.parametrize(
    ("algorithm", "level", "said"),
    [
        ("zstd", 0, "1 to 22"),
        ("zstd", 23, "1 to 22"),
        ("rle", 3, "no levels"),
        ("brotli", None, "no algorithm 'brotli'"),
    ],
)
def test_a_level_that_there_is_not_is_refused(algorithm: Any, level: int | None, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        pack(document(3), algorithm=algorithm, level=level)


def test_a_level_does_something() -> None:
    found = document(5000)
    assert pack(found, algorithm="zstd", level=1)[0] != pack(found, algorithm="zstd", level=19)[0]
    assert pack(found, algorithm="lz4", level=1)[0] != pack(found, algorithm="lz4", level=9)[0]


@pytest.mark.parametrize(
    ("policy", "algorithm"),
    [
        (CompressionPolicy(), "none"),
        (CompressionPolicy(min_file_size_kb=1), "zstd"),
        (CompressionPolicy(min_file_size_kb=1, algorithm="snappy"), "snappy"),
        (CompressionPolicy(min_file_size_kb=0, enabled=False), "none"),
    ],
)
def test_the_policy_of_a_study_decides(policy: CompressionPolicy, algorithm: str) -> None:
    assert packed.stored_of(files.pack(document(100), policy), "x").algorithm == algorithm


def test_a_document_that_contradicts_itself_is_refused_where_traces_are_read() -> None:
    assert files.PACKED == packed.MAGIC
    with pytest.raises(IntegrityError, match="the counts are not those"):
        files.unpack(pack(document(10), algorithm="none")[0], "x.trace")


def test_numbers_that_compress_to_nothing_are_not_taken_on_trust() -> None:
    data, _ = pack(document(40), algorithm="zstd")
    header = data[data.index(b"{") :]
    length = int.from_bytes(data[10:14], "little")
    sizes = json.loads(header[:length])["parts"]
    plain, stored = sizes[-1]
    old = b"[%d,%d]]" % (plain, stored)
    with pytest.raises(IntegrityError):
        unpack(_signed_again(data, old, b"[%d,%d]]" % (plain + 1, stored)), "x.trace")
