"""Documents of more rows than are written and checked at once, with so few at once that a short one is long."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrenar_research.core.traces import document, normalisation
from entrenar_research.core.traces.activity import Activity
from entrenar_research.core.traces.document import decode, encode, pieces, trace_of
from entrenar_research.core.traces.summary import of_document, summarise
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import DocumentedCall, DocumentedEnd, TraceDocument
from tests.unit.traces.made import file_lines, made

LINES = [line for number in range(7) for line in file_lines(f"$STUDY/data-{number}\n", size=number)]
CALLS = [(f"read{number}", f'3<$STUDY/data-{number}>, "...", 4096', str(number)) for number in range(11)]
CALLER = st.builds(
    DocumentedCall,
    st.just(1), st.integers(1, 3), st.integers(0, 50), st.none() | st.integers(0, 5000),
    st.sampled_from(["read", "brk"]), st.just(""), st.just("0"), st.none() | st.just("ENOENT"), st.none(),
)  # fmt: skip
ENDS = st.lists(st.builds(DocumentedEnd, st.integers(1, 3), st.integers(0, 50), st.just(0), st.none()), max_size=4)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows at once."""
    monkeypatch.setattr(document, "_PIECE", 3)
    monkeypatch.setattr(normalisation, "_PIECE", 3)


@pytest.mark.parametrize("rows", range(1, 12))
def test_the_bytes_are_the_same_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    found = made(LINES, CALLS)
    whole, digest = encode(found), normalisation.trace_id(found.texts)
    monkeypatch.setattr(document, "_PIECE", rows)
    monkeypatch.setattr(normalisation, "_PIECE", rows)
    assert encode(found) == whole
    assert len(list(pieces(found))) > 2 * len(CALLS) // rows
    assert normalisation.trace_id(found.texts) == digest
    assert decode(whole, "x.json") == found


@pytest.mark.usefixtures("few")
def test_every_changed_byte_is_refused_or_seen_in_the_content() -> None:
    found = made(LINES, CALLS)
    whole = encode(found)
    refused = 0
    for place in range(len(whole)):
        touched = bytearray(whole)
        touched[place] ^= 1 << (place % 8)
        try:
            assert decode(bytes(touched), "x.json") != found
        except IntegrityError:
            refused += 1
    assert refused > len(whole) / 2


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("other", [b",\n     ", b",\n   ", b",", b", ", b"\n    ,", b",\n\n    ", b",\r\n    "])
def test_rows_stand_one_on_a_line_and_nowhere_else(other: bytes) -> None:
    whole = encode(made(LINES, CALLS))
    ends = [match.start() for match in re.finditer(rb",\n    \[", whole)]
    assert len(ends) == len(LINES) + len(CALLS)
    for end in ends:
        with pytest.raises(IntegrityError, match="not as this tool writes"):
            decode(whole[:end] + other + whole[end + 6 :], "x.json")


@pytest.mark.usefixtures("few")
def test_what_is_cut_off_or_added_is_refused() -> None:
    whole = encode(made(LINES, CALLS))
    for broken in (*(whole[:length] for length in range(len(whole))), whole + b" ", b" " + whole, whole + whole):
        with pytest.raises(IntegrityError):
            decode(broken, "x.json")


def _with(calls: list[DocumentedCall], ends: list[DocumentedEnd]) -> TraceDocument:
    return msgspec.structs.replace(made([]), calls=tuple(calls), ends=tuple(ends))


@given(st.lists(CALLER, max_size=30))
def test_the_table_of_a_document_is_that_of_its_trace(calls: list[DocumentedCall]) -> None:
    found = _with(calls, [])
    assert of_document(found) == summarise(trace_of(found))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(CALLER, max_size=30), ENDS)
def test_the_lives_are_those_behind_the_calls(calls: list[DocumentedCall], ends: list[DocumentedEnd]) -> None:
    one, other = (Activity(_with(calls, ends)) for _ in range(2))
    assert [life.label for life in one.lives] == [other.life(call).label for call in calls]
    for life, places in one.by_thread.items():
        assert places == sorted(
            (place for place in range(len(calls)) if one.lives[place] is life), key=lambda place: calls[place].began
        )
