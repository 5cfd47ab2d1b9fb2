"""Adding a note to a run that is open, as one more process of the run would: in an event log of its own."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrenar_research.client import layout
from entrenar_research.client.event_log import EventLog
from entrenar_research.store import files


def add(directory: Path, kind: str, fields: Mapping[str, Any]) -> None:
    """Writes one note, whole or not at all: its mark is set last.

    Raises:
        StorageError: if the file system refuses.
    """
    raw = json.dumps({"kind": kind, **fields}, ensure_ascii=False).encode()
    size = layout.TEXT_BYTES
    parts = [raw[start : start + size] for start in range(0, len(raw), size)]
    length = layout.HEADER_SIZE + (len(parts) + 1) * layout.SLOT
    with files.refusals(f"cannot add to runs/{directory.name}"):
        log = EventLog(os.fspath(directory))
        try:
            room = log.append(length)
            now = time.time_ns()
            layout.HEADER.pack_into(room, 0, layout.MAGIC, layout.SLOT, 0, os.getpid(), now, 0, 0, 0)
            place = layout.HEADER_SIZE
            for part in parts:
                layout.TEXT_SLOT.pack_into(room, place, part, 1, layout.TEXT)
                place += layout.SLOT
            layout.STATEMENT_SLOT.pack_into(room, place, len(raw), 0, now, 1, layout.NOTE)
            layout.CLOSED.pack_into(room, layout.CLOSED_OFFSET, 1)
            log.seal(length)
        finally:
            log.close()
