"""A trace document as a file of columns (`.trace`): lossless, versioned, with a checksum over every byte.

Layout, in this order: the magic, the version (2 bytes, least first), the length of the header (4 bytes), the header
(JSON: algorithm, sizes, how each column lies), the parts, each compressed on its own, and the SHA-256 of all before.
Columns of the calls lie by the name of the call, in the order of the trace within a name, but names, threads and
beginnings, which lie in the order of the trace: what is alike lies together, and a summary reads three columns of ten.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Sequence
from itertools import starmap
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from entrenar_research.core.traces import document
from entrenar_research.core.traces.storing import codecs, columns
from entrenar_research.core.traces.storing.columns import NumbersForm, WordsForm
from entrenar_research.core.traces.summary import SummaryRow
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import (
    DocumentedCall,
    DocumentedEnd,
    DocumentedExit,
    DocumentedLine,
    DocumentedSpan,
    TraceDocument,
)
from entrenar_research.models.policy import Algorithm

MAGIC: Final = b"\x89TRACE\r\n"
"""How a packed trace begins; one that was mangled as text begins otherwise."""
VERSION: Final = 1
_FIXED: Final = len(MAGIC) + 6
_DIGEST: Final = hashlib.sha256().digest_size
_LARGEST: Final = 8 << 30
_LISTS: Final = ("spans", "ends", "lines", "calls")
_LINES: Final = ("line", "began", "took")
_ENDS: Final = ("thread", "at", "status", "signal")
_SPANS: Final = ("id", "parent", "name", "attributes", "process", "began", "ended", "failed")
_BY_NAME: Final = ("took", "arguments", "result", "error", "span")


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """How a document was stored: `original_bytes` are those of its JSON, `stored_bytes` those of the packed file.

    `algorithm` is the one that was used: `none` where the document is not above the threshold.
    """

    algorithm: Algorithm
    level: int | None
    original_bytes: int
    stored_bytes: int

    @property
    def ratio(self) -> float:
        """Stored bytes for one original byte."""
        return self.stored_bytes / self.original_bytes

    @property
    def words(self) -> str:
        """The figures in words, and that it grew where it did."""
        how = self.algorithm if self.level is None else f"{self.algorithm} (level {self.level})"
        grew = "; it grew" if self.ratio > 1 else ""
        return f"{how}: {self.stored_bytes} of {self.original_bytes} bytes, {100 * self.ratio:.1f} %{grew}"


class _Part(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    plain: int
    stored: int


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`forms` says how each column lies, by its name (`calls.took`); its parts follow in the order of the columns."""

    algorithm: Algorithm
    level: int | None
    original: int
    forms: dict[str, NumbersForm | WordsForm]
    parts: tuple[_Part, ...]


class _Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schema: int
    tracer: str
    tracer_version: str | None
    level: str
    rules: int
    command: tuple[str, ...]
    exit: DocumentedExit
    complete: bool
    problems: tuple[str, ...]
    lost: int
    recorded: int
    counts: dict[str, int]
    trace_id: str


def pack(
    found: TraceDocument, *, algorithm: Algorithm, level: int | None = None, threshold: int = 0
) -> tuple[bytes, Stored]:
    """The document as a file, the same bytes for the same document; not compressed up to `threshold` bytes of JSON.

    Raises:
        UsageError: if there is no such algorithm or level.
    """
    level = codecs.level_of(algorithm, level)
    original = sum(map(len, document.pieces(found)))
    if original <= threshold:
        algorithm, level = "none", None
    writing = _Writing()
    writing.part(msgspec.json.encode(_Head(**{name: getattr(found, name) for name in _Head.__struct_fields__})))
    _write_calls(writing, found.calls)
    _write_others(writing, found)
    stored = [codecs.compress(algorithm, part, level) for part in writing.parts]
    header = msgspec.json.encode(
        _Header(
            algorithm=algorithm,
            level=level,
            original=original,
            forms=writing.forms,
            parts=tuple(_Part(len(plain), len(part)) for plain, part in zip(writing.parts, stored, strict=True)),
        )
    )
    start = MAGIC + VERSION.to_bytes(2, "little") + len(header).to_bytes(4, "little")
    data = b"".join([start, header, *stored])
    data += hashlib.sha256(data).digest()
    return data, Stored(algorithm=algorithm, level=level, original_bytes=original, stored_bytes=len(data))


class _Writing:
    """The columns so far."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.forms: dict[str, Any] = {}

    def part(self, data: bytes) -> None:
        self.parts.append(data)

    def numbers(self, name: str, values: Sequence[int | None] | columns.Numbers, *, differences: bool = False) -> None:
        self.forms[name], part = columns.pack_numbers(values, differences=differences)
        self.parts.append(part)

    def words(self, name: str, values: Sequence[str | None]) -> None:
        self.forms[name], parts = columns.pack_words(values)
        self.parts.extend(parts)


def _write_calls(writing: _Writing, calls: Sequence[DocumentedCall]) -> None:
    writing.words("calls.name", [call.name for call in calls])
    known: dict[str, int] = {}
    kinds = np.fromiter((known.setdefault(call.name, len(known)) for call in calls), dtype=np.int64, count=len(calls))
    by_name = [calls[place] for place in np.argsort(kinds, kind="stable").tolist()]
    writing.numbers("calls.took", [call.took for call in by_name])
    for name in _BY_NAME[1:]:
        writing.words(f"calls.{name}", [getattr(call, name) for call in by_name])
    writing.numbers("calls.thread", [call.thread for call in calls])
    writing.numbers("calls.process", [call.process - call.thread for call in calls])
    writing.numbers("calls.began", _since_last([call.began for call in calls], [call.took or 0 for call in calls]))


def _since_last(began: list[int], took: list[int]) -> Any:
    """What passed from the end of the call before to the beginning of each: smaller numbers than those since the start.

    Modulo 2**64; the beginnings themselves, as texts, where 64 bits do not hold one of the numbers.
    """
    try:
        ends = np.array(began, dtype=np.int64).view(np.uint64) + np.array(took, dtype=np.int64).view(np.uint64)
    except OverflowError:
        return began
    before = np.concatenate((np.zeros(1, dtype=np.uint64), ends))[:-1]
    return (np.array(began, dtype=np.int64).view(np.uint64) - before).view(np.int64)


def _write_others(writing: _Writing, found: TraceDocument) -> None:
    writing.words("lines.line", [line.line for line in found.lines])
    writing.numbers("lines.began", [line.began for line in found.lines], differences=True)
    writing.numbers("lines.took", [line.took for line in found.lines])
    for name in _ENDS[:3]:
        writing.numbers(f"ends.{name}", [getattr(end, name) for end in found.ends], differences=name == "at")
    writing.words("ends.signal", [end.signal for end in found.ends])
    for name in _SPANS[:4]:
        writing.words(f"spans.{name}", [getattr(span, name) for span in found.spans])
    for name in _SPANS[4:]:
        writing.numbers(f"spans.{name}", [getattr(span, name) for span in found.spans])


def unpack(data: bytes, name: str) -> TraceDocument:
    """The document in the bytes of the file `name`: equal to what was packed.

    Raises:
        IntegrityError: if a byte of it is not as it was written, or another version wrote it.
    """
    reading = _Reading(data, name)
    try:
        head = msgspec.json.decode(reading.part(0), type=_Head)
        document.refuse_schema(head.schema, name)
        return TraceDocument(
            **msgspec.structs.asdict(head),
            spans=tuple(starmap(DocumentedSpan, _rows(_span_fields(reading)))),
            ends=tuple(starmap(DocumentedEnd, _rows(reading.column(f"ends.{field}") for field in _ENDS))),
            lines=tuple(starmap(DocumentedLine, _rows(reading.column(f"lines.{field}") for field in _LINES))),
            calls=_read_calls(reading),
        )
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, KeyError, IndexError) as error:
        raise IntegrityError(f"{name}: not a packed trace: {error}") from error


def _span_fields(reading: _Reading) -> list[list[Any]]:
    *fields, failed = (reading.column(f"spans.{field}") for field in _SPANS)
    return [*fields, [bool(flag) for flag in failed]]


def _rows(fields: Iterable[list[Any]]) -> Iterable[tuple[Any, ...]]:
    return zip(*fields, strict=True)


def _read_calls(reading: _Reading) -> tuple[DocumentedCall, ...]:
    words, places = reading.words("calls.name")
    order = np.argsort(places, kind="stable")
    took, arguments, result, error, span = (reading.column(f"calls.{field}", order) for field in _BY_NAME)
    thread = reading.column("calls.thread")
    process = map(operator.add, thread, reading.column("calls.process"))
    names = columns.chosen(words, places)
    fields = (process, thread, _began(reading, order), took, names, arguments, result, error, span)
    return tuple(starmap(DocumentedCall, zip(*fields, strict=True)))


def _began(reading: _Reading, order: NDArray[np.int64]) -> list[Any]:
    """The inverse of `_since_last`."""
    if any(reading.header.forms[name].width == -1 for name in ("calls.began", "calls.took")):  # type: ignore[union-attr]
        return reading.column("calls.began")
    since = reading.array("calls.began").view(np.uint64)
    spent = columns.placed(reading.array("calls.took"), order).view(np.uint64)
    since[1:] += spent[:-1]
    return list(np.cumsum(since, dtype=np.uint64).view(np.int64).tolist())


def summary_of(data: bytes, name: str) -> tuple[SummaryRow, ...]:
    """The rows of the summary of the calls in a packed trace, as `summary.summarise` gives them for its document.

    Raises:
        IntegrityError: if a byte of it is not as it was written, or another version wrote it.
    """
    reading = _Reading(data, name)
    try:
        words, places = reading.words("calls.name")
        calls = np.bincount(places, minlength=len(words))
        kinds = np.repeat(np.arange(len(words)), calls)
        errors, which = reading.words("calls.error")
        none = errors.index(None) if None in errors else -1
        failed = np.bincount(kinds[which != none], minlength=len(words))
        took = reading.array("calls.took")
        spent = np.bincount(kinds, weights=_microseconds(took), minlength=len(words))
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError, KeyError, IndexError) as error:
        raise IntegrityError(f"{name}: not a packed trace: {error}") from error
    rows = (
        SummaryRow(name=word or "", calls=int(calls[at]), errors=int(failed[at]), microseconds=int(spent[at]))
        for at, word in enumerate(words)
    )
    return tuple(sorted(rows, key=lambda row: (-row.microseconds, row.name)))


def _microseconds(took: columns.Numbers) -> NDArray[np.float64]:
    """Each duration as `summary.summarise` rounds it, from nanoseconds."""
    spent: NDArray[np.float64] = took / 1e9
    spent *= 1e6
    return np.rint(spent, out=spent)


class _Reading:
    """A packed trace whose bytes are as they were written; a column is decompressed when it is asked for."""

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = memoryview(data), name
        if data[: len(MAGIC)] != MAGIC:
            raise IntegrityError(f"{name}: not a packed trace: it begins {data[: len(MAGIC)]!r}, not {MAGIC!r}")
        version = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 2], "little")
        if hashlib.sha256(self._data[:-_DIGEST]).digest() != data[-_DIGEST:] or len(data) < _FIXED + _DIGEST:
            raise IntegrityError(
                f"{name}: damaged: its checksum is not that of its {len(data)} bytes",
                hint="it was changed or cut off after it was written: restore it",
            )
        if version != VERSION:
            raise IntegrityError(
                f"{name}: version {version} of packed traces, this version reads {VERSION}",
                hint="read it with the version that wrote it, or a newer one",
            )
        self.header, start = self._read_header(data)
        self._starts = [start]
        for part in self.header.parts:
            self._starts.append(self._starts[-1] + part.stored)
        if self._starts[-1] != len(data) - _DIGEST or sum(part.plain for part in self.header.parts) > _LARGEST:
            raise IntegrityError(f"{name}: not a packed trace: its parts are not as long as its header says")
        self._first: dict[str, int] = {}
        following = 1
        for column, form in self.header.forms.items():
            self._first[column] = following
            following += 3 if isinstance(form, WordsForm) else 1

    def _read_header(self, data: bytes) -> tuple[_Header, int]:
        end = _FIXED + int.from_bytes(data[_FIXED - 4 : _FIXED], "little")
        try:
            return msgspec.json.decode(data[_FIXED:end], type=_Header), end
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise IntegrityError(f"{self._name}: not a packed trace: {error}") from error

    def part(self, number: int) -> bytes:
        stored = self._data[self._starts[number] : self._starts[number + 1]]
        return codecs.decompress(self.header.algorithm, stored, self.header.parts[number].plain, self._name)

    def column(self, name: str, order: NDArray[np.int64] | None = None) -> list[Any]:
        """A column; with `order`, each value at the place that this gives it."""
        form, first = self.header.forms[name], self._first[name]
        if isinstance(form, WordsForm):
            return columns.unpack_words(form, [self.part(first + place) for place in range(3)], self._name, order)
        return columns.unpack_numbers(form, self.part(first), self._name, order)

    def words(self, name: str) -> tuple[list[str | None], columns.Numbers]:
        """The words of a column and the place of each of its texts among them."""
        form, first = self.header.forms[name], self._first[name]
        if not isinstance(form, WordsForm):
            raise IntegrityError(f"{self._name}: not a packed trace: {name} has no words")
        words = columns.unpack_list(form, self.part(first), self.part(first + 1), self._name)
        return words, columns.unpack_places(form.places, self.part(first + 2), self._name, len(words))

    def array(self, name: str) -> columns.Numbers:
        """The numbers of a column, 0 for None."""
        form = self.header.forms[name]
        if not isinstance(form, NumbersForm):
            raise IntegrityError(f"{self._name}: not a packed trace: {name} has no numbers")
        return columns.unpack_array(form, self.part(self._first[name]), self._name)[0]


def stored_of(data: bytes, name: str) -> Stored:
    """How the packed trace of the file `name` was stored.

    Raises:
        IntegrityError: if a byte of it is not as it was written, or another version wrote it.
    """
    header = _Reading(data, name).header
    return Stored(
        algorithm=header.algorithm, level=header.level, original_bytes=header.original, stored_bytes=len(data)
    )


def problems_of(data: bytes, name: str) -> tuple[str, ...]:
    """What the packed trace of the file `name` says is wrong with it.

    Raises:
        IntegrityError: if a byte of it is not as it was written, or another version wrote it.
    """
    try:
        head = msgspec.json.decode(_Reading(data, name).part(0), type=_Head)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise IntegrityError(f"{name}: not a packed trace: {error}") from error
    return head.problems
