"""Event logs packed by hand from `client/layout.py`, for tests of those who read them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from entrenar_research.client import layout

START = 1_700_000_000_000_000_000


class EventLogWriter:
    """One process's log in memory; `write` makes the file."""

    def __init__(self, process: str = "4711-abcd", *, started: int = START) -> None:
        self.process, self.time = process, started
        pid = int(process.partition("-")[0])
        header = layout.HEADER.pack(layout.MAGIC, layout.SLOT, 0, pid, started, 0, 0, 0)
        self.data = bytearray(header.ljust(layout.HEADER_SIZE, b"\0"))
        self.ref = 0

    def tick(self) -> int:
        """A moment later."""
        self.time += 1000
        return self.time

    def _statement(self, mark: int, text: str, second: int = 0) -> int:
        self.ref += 1
        raw = text.encode()
        for start in range(0, len(raw), layout.TEXT_BYTES):
            self.data += layout.TEXT_SLOT.pack(raw[start : start + layout.TEXT_BYTES], self.ref, layout.TEXT)
        self.data += layout.STATEMENT_SLOT.pack(len(raw), second, self.tick(), self.ref, mark)
        return self.ref

    def key(self, name: str, span: int = 0) -> int:
        """Names a metric; its ref."""
        return self._statement(layout.KEY, name, span)

    def points(self, ref: int, values: Iterable[float], first: int = 0) -> None:
        """Points with steps from `first`."""
        for step, value in enumerate(values, first):
            self.data += layout.POINT_SLOT.pack(step, value, self.tick(), ref, layout.POINT)

    def begin(self, name: str, span_id: str, *, within: int = 0, **fields: Any) -> int:
        """Begins a span; its ref."""
        text = json.dumps({"id": span_id, "name": name, "attributes": {}, **fields})
        return self._statement(layout.BEGIN, text, within)

    def end(self, ref: int, *, failed: bool = False) -> None:
        """Ends a span."""
        self.data += layout.STATEMENT_SLOT.pack(int(failed), 0, self.tick(), ref, layout.END)

    def note(self, kind: str, **fields: Any) -> None:
        """Writes a note."""
        self._statement(layout.NOTE, json.dumps({"kind": kind, **fields}))

    def lost(self, count: int, errno: int) -> None:
        """Says that points could not be kept."""
        layout.LOST.pack_into(self.data, layout.LOST_OFFSET, count, errno)

    def write(self, run: Path, *, room: int = 1 << 20) -> Path:
        """Writes it into a run directory, with room behind it as a client that was killed leaves it."""
        path = run / layout.DIRECTORY / f"{self.process}{layout.SUFFIX}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(self.data).ljust(room, b"\0"))
        return path
