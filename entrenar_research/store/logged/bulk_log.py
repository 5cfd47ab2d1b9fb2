"""Writing a whole event log at once, from points that are all there already. The format is `client.layout`."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from entrenar_research.client import layout
from entrenar_research.store import files

_AT_ONCE = 1 << 16


class Column(Protocol):
    """The points of one metric: steps (not negative), values, times in ns since 1970."""

    @property
    def steps(self) -> Sequence[int]:
        """Its steps."""
        ...

    @property
    def values(self) -> Sequence[float]:
        """Its values."""
        ...

    @property
    def times(self) -> Sequence[int]:
        """Its times."""
        ...


def write(path: Path, started: int, columns: Mapping[str, Column], notes: Iterable[Mapping[str, Any]]) -> None:
    """Writes the log of a run that is over: a metric after the other, each in its order, then the notes.

    It is on the disk when this returns. `started` is in ns since 1970.

    Raises:
        StorageError: if the file system refuses.
    """
    with files.refusals(f"cannot write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as stream:
            header = layout.HEADER.pack(layout.MAGIC, layout.SLOT, 0, 0, started, 0, 0, 1)
            stream.write(header.ljust(layout.HEADER_SIZE, b"\0"))
            ref = 0
            for name, column in columns.items():
                ref += 1
                time = column.times[0] if column.times else started
                _statement(stream, name, layout.KEY, ref, time)
                _points(stream, column, ref)
            for note in notes:
                ref += 1
                _statement(stream, json.dumps(note, ensure_ascii=False), layout.NOTE, ref, started)
            stream.flush()
            os.fsync(stream.fileno())


def _statement(stream: BinaryIO, text: str, mark: int, ref: int, time: int) -> None:
    raw = text.encode("utf-8", "backslashreplace")
    parts = (raw[start : start + layout.TEXT_BYTES] for start in range(0, len(raw), layout.TEXT_BYTES))
    stream.writelines(layout.TEXT_SLOT.pack(part, ref, layout.TEXT) for part in parts)
    stream.write(layout.STATEMENT_SLOT.pack(len(raw), 0, time, ref, mark))


def _points(stream: BinaryIO, column: Column, ref: int) -> None:
    """Packs one slot a point, with no line of Python for each."""
    same, mark = itertools.repeat(ref), itertools.repeat(layout.POINT)
    for start in range(0, len(column.values), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        slots = map(layout.POINT_SLOT.pack, column.steps[part], column.values[part], column.times[part], same, mark)
        stream.write(b"".join(slots))
