"""Reading an event log back, whole or damaged: what can be read is read, and the rest is named with its place.

A log is read while it is written to, after its process was killed, and after bytes of it were flipped or cut off.
What a killed process left unmarked at the end is no record and no damage.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from operator import itemgetter
from pathlib import Path
from typing import Any

from entrenar_research.client import layout

_STEPS = 1 << 63
_IS_POINT = bytes(mark == layout.POINT for mark in range(256))
_IS_OTHER = bytes(mark != layout.POINT for mark in range(256))
_NAMED = 20
_TAIL = 256
_EMPTY = bytes(layout.HEADER_SIZE)


class LoggedSpan:
    """A span: when it was begun and ended (ns since 1970, `ended` None if it never was), and whether it failed.

    `ref` is its number in the file; `id` and `parent` are W3C span ids (16 hex digits, `parent` None for a span
    at the top). The parent may be a span of another process. `thread` is the kernel's number of the thread that
    entered it, None for the first one of the process.
    """

    __slots__ = ("attributes", "ended", "failed", "id", "name", "parent", "ref", "started", "thread")

    def __init__(self, ref: int, id: str, name: str, parent: str | None, attributes: dict[str, Any]) -> None:  # noqa: A002
        self.ref, self.id, self.name, self.parent, self.attributes = ref, id, name, parent, attributes
        self.started = 0
        self.ended: int | None = None
        self.thread: int | None = None
        self.failed = False


class Log:
    """What one process logged. `steps`, `values`, `times` (ns since 1970) and `refs` are the points, in order.

    `keys` has the name of every ref of a key, `key_spans` the ref of the span it was logged in (0: none). `lost`
    points could not be kept (`lost_errno` says why). `begun` says that there is anything in the file, `closed` that
    the process ended the log itself. `trace` is the W3C trace id of its spans. `damaged` names what could not be
    read, with the place in bytes; `torn` is the number of slots that were begun and never marked.
    """

    __slots__ = (
        *("begun", "closed", "damaged", "key_spans", "keys", "lost", "lost_errno", "notes", "pid", "process"),
        *("refs", "spans", "started", "steps", "times", "torn", "trace", "values"),
    )

    def __init__(self, process: str) -> None:
        self.process = process
        self.pid = self.started = self.lost = self.lost_errno = self.torn = 0
        self.closed = self.begun = False
        self.trace: str | None = None
        self.steps: list[int] = []
        self.values: list[float] = []
        self.times: list[int] = []
        self.refs: list[int] = []
        self.keys: dict[int, str] = {}
        self.key_spans: dict[int, int] = {}
        self.spans: list[LoggedSpan] = []
        self.notes: list[dict[str, Any]] = []
        self.damaged: list[str] = []

    def points(self, key: str) -> list[tuple[int, float]]:
        """Steps and values of one metric, in the order in which they were logged, whatever span they were in."""
        wanted = {ref for ref, name in self.keys.items() if name == key}
        return [(s, v) for s, v, ref in zip(self.steps, self.values, self.refs, strict=True) if ref in wanted]


def read(path: Path) -> Log:
    """What is in the event log at `path`.

    Raises:
        OSError: if the file cannot be opened or read.
    """
    with open(path, "rb") as stream:
        return parse(stream.read(), os.path.basename(path).removesuffix(layout.SUFFIX))  # noqa: PTH119 - as above


def parse(data: bytes, process: str = "") -> Log:
    """What is in the bytes of an event log; `process` is the name it gets. Never raises, whatever the bytes are."""
    log = Log(process)
    data = data.rstrip(b"\0")
    log.begun = bool(data)
    if not data:
        return log
    _read_header(log, data[: layout.HEADER_SIZE].ljust(layout.HEADER_SIZE, b"\0"))
    body = data[layout.HEADER_SIZE :]
    body = body.ljust(-(-len(body) // layout.SLOT) * layout.SLOT, b"\0")
    _Reader(log, body).read()
    return log


def _read_header(log: Log, header: bytes) -> None:
    magic, size, _, log.pid, log.started, log.lost, log.lost_errno, closed = layout.HEADER.unpack_from(header)
    log.closed = closed == 1
    if header == _EMPTY:
        log.damaged.append(f"bytes 0 to {layout.HEADER_SIZE}: the header is empty")
    elif magic != layout.MAGIC:
        log.damaged.append(f"byte 0: {magic!r}, expected {layout.MAGIC!r}")
    elif size != layout.SLOT:
        log.damaged.append(f"byte 8: slots of {size} bytes, expected {layout.SLOT}")
    if closed > 1:
        log.damaged.append(f"byte {layout.CLOSED_OFFSET}: {closed}, expected 0 or 1")


def _column(body: bytes, code: str, first: int) -> list[Any]:
    """One field of every slot: `first` counts in fields of that size."""
    width = struct.calcsize(code)
    if sys.byteorder == "little":
        return memoryview(body).cast(code)[first :: layout.SLOT // width].tolist()  # type: ignore[call-overload, no-any-return]
    pattern = f"<{first * width}x{code}{layout.SLOT - (first + 1) * width}x"
    return [field for (field,) in struct.iter_unpack(pattern, body)]


def _marks(body: bytes) -> Sequence[int]:
    """The mark of every slot: as bytes, of which a million are looked through in no time, if each fits into one."""
    low = body[layout.SLOT - 4 :: layout.SLOT]
    fits = all(body[layout.SLOT - place :: layout.SLOT].count(0) == len(low) for place in (3, 2, 1))
    return low if fits else _column(body, "I", 7)


def _where(marks: Sequence[int], *, points: bool) -> Sequence[int]:
    """For every slot, whether it is a point; or whether it is anything else."""
    if isinstance(marks, bytes):
        return marks.translate(_IS_POINT if points else _IS_OTHER)
    return [(mark == layout.POINT) == points for mark in marks]


class _Reader:
    """Goes through the slots of one log: statements first, so that points and spans know whom they belong to."""

    def __init__(self, log: Log, body: bytes) -> None:
        self.log, self.body = log, body
        self.marks = _marks(body)
        self.texts: dict[int, list[bytes]] = {}
        self.spans: dict[int, LoggedSpan] = {}
        self.taken: set[int] = set()
        self.faults: list[tuple[int, str]] = []

    def read(self) -> None:
        self._read_statements()
        self._read_points()
        if self.texts and self.log.closed:
            self.faults += [(0, f"a text (ref {ref}) without what it belongs to") for ref in self.texts]
        self._name_faults()

    def fault(self, slot: int, what: str) -> None:
        self.faults.append((slot, what))

    def _read_statements(self) -> None:
        readers: dict[int, Callable[[int], None]] = {
            0: self._unmarked,
            layout.TEXT: self._text,
            layout.KEY: self._key,
            layout.BEGIN: self._begin,
            layout.END: self._end,
            layout.NOTE: self._note,
        }
        for slot in compress(range(len(self.marks)), _where(self.marks, points=False)):
            reader = readers.get(self.marks[slot])
            if reader is None:
                self.fault(slot, f"an unknown mark ({self.marks[slot]})")
            else:
                reader(slot)

    def _bytes(self, slot: int) -> bytes:
        return self.body[slot * layout.SLOT : (slot + 1) * layout.SLOT]

    def _unmarked(self, slot: int) -> None:
        """A slot that was given out and not written, or not to its end: its process was killed, which is no damage.

        Content without a mark can only be where the threads of the process were when it died, near the end.
        """
        if not any(self._bytes(slot)):
            return
        if self.log.closed or slot < len(self.marks) - _TAIL:
            self.fault(slot, "content without a mark")
        else:
            self.log.torn += 1

    def _text(self, slot: int) -> None:
        part, ref, _ = layout.TEXT_SLOT.unpack(self._bytes(slot))
        self.texts.setdefault(ref, []).append(part)

    def _statement(self, slot: int, what: str) -> tuple[int, int, int, str] | None:
        """Ref, second field, time and text of a statement; None if something about it is wrong, and was named."""
        length, second, time, ref, _ = layout.STATEMENT_SLOT.unpack(self._bytes(slot))
        raw = b"".join(self.texts.pop(ref, ()))
        if len(raw) != -(-length // layout.TEXT_BYTES) * layout.TEXT_BYTES or any(raw[length:]):
            self.fault(slot, f"{what} (ref {ref}) of {length} bytes, found {len(raw)} bytes of text")
        elif ref in self.taken or not ref:
            self.fault(slot, f"{what} with the ref {ref}, which is taken" if ref else f"{what} without a ref")
        else:
            self.taken.add(ref)
            try:
                return ref, second, time, raw[:length].decode("utf-8")
            except UnicodeDecodeError as error:
                self.fault(slot, f"{what} (ref {ref}) whose text is not UTF-8 (byte {error.start})")
        return None

    def _key(self, slot: int) -> None:
        found = self._statement(slot, "a key")
        if found is None:
            return
        ref, span, _, name = found
        if span and span not in self.spans:
            self.fault(slot, f"the key {name!r} names a span (ref {span}) that is not there")
            span = 0
        self.log.keys[ref], self.log.key_spans[ref] = name, span

    def _object(self, slot: int, what: str, keys: Iterable[str]) -> tuple[int, int, int, dict[str, Any]] | None:
        found = self._statement(slot, what)
        if found is None:
            return None
        ref, second, time, text = found
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            self.fault(slot, f"{what} (ref {ref}) that is not JSON: {error}")
            return None
        if not isinstance(value, dict) or not all(isinstance(value.get(key), str) for key in keys):
            self.fault(slot, f"{what} (ref {ref}): {text[:80]}, expected an object with {' and '.join(keys)}")
            return None
        return ref, second, time, value

    def _begin(self, slot: int) -> None:
        found = self._object(slot, "a span", ("id", "name"))
        if found is None:
            return
        ref, above, time, value = found
        parent, attributes = value.get("parent"), value.get("attributes")
        if above in self.spans:
            parent = self.spans[above].id
        elif above:
            self.fault(slot, f"the span {value['name']!r} names a parent (ref {above}) that is not there")
        span = LoggedSpan(
            ref,
            value["id"],
            value["name"],
            parent if isinstance(parent, str) else None,
            attributes if isinstance(attributes, dict) else {},
        )
        span.started = time
        if isinstance(value.get("thread"), int):
            span.thread = value["thread"]
        if self.log.trace is None and isinstance(value.get("trace"), str):
            self.log.trace = value["trace"]
        self.spans[ref] = span
        self.log.spans.append(span)

    def _end(self, slot: int) -> None:
        failed, _, time, ref, _ = layout.STATEMENT_SLOT.unpack(self._bytes(slot))
        span = self.spans.get(ref)
        if span is None or span.ended is not None:
            self.fault(slot, f"the end of a span (ref {ref}) that {'is not there' if span is None else 'had ended'}")
            return
        span.ended, span.failed = time, failed != 0

    def _note(self, slot: int) -> None:
        found = self._object(slot, "a note", ("kind",))
        if found is not None:
            self.log.notes.append(found[3])

    def _read_points(self) -> None:
        log, chosen = self.log, _where(self.marks, points=True)
        columns = [_column(self.body, code, first) for code, first in (("Q", 0), ("d", 1), ("Q", 2), ("I", 6))]
        if not all(chosen):
            columns = [list(compress(column, chosen)) for column in columns]
        small = self.body[7 :: layout.SLOT].isascii()  # no step, nor any length, has its highest bit
        if set(columns[3]) - log.keys.keys() or not small:
            good = [self._sound(*found) for found in zip(compress(range(len(chosen)), chosen), *columns, strict=True)]
            columns = [list(compress(column, good)) for column in columns]
        log.steps, log.values, log.times, log.refs = columns

    def _sound(self, slot: int, step: int, value: float, time: int, ref: int) -> bool:
        del value, time
        if ref not in self.log.keys:
            self.fault(slot, f"a point of a key (ref {ref}) that is not there")
        elif step >= _STEPS:
            self.fault(slot, f"a point of {self.log.keys[ref]!r} with the step {step}, expected less than 2^63")
        else:
            return True
        return False

    def _name_faults(self) -> None:
        """Says what is wrong, once for slots that follow on each other."""
        found: list[tuple[int, int, str]] = []
        for slot, what in sorted(self.faults, key=itemgetter(0)):
            if found and found[-1][1:] == (slot, what):
                found[-1] = (found[-1][0], slot + 1, what)
            else:
                found.append((slot, slot + 1, what))
        for first, after, what in found[:_NAMED]:
            times = f" ({after - first} slots)" if after - first > 1 else ""
            self.log.damaged.append(f"byte {layout.HEADER_SIZE + first * layout.SLOT}: {what}{times}")
        if len(found) > _NAMED:
            self.log.damaged.append(f"and {len(found) - _NAMED} places more")
