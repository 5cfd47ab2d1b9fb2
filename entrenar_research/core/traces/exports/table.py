"""The calls of a trace as CSV (RFC 4180, lines end with a line feed), every field as the document has it."""

from __future__ import annotations

import csv
import io
from typing import Final

from entrenar_research.models.documented import TraceDocument

COLUMNS: Final = (
    *("process", "thread", "began_ns", "took_ns", "name"),
    *("arguments", "result", "error", "span"),
)
"""The columns, in the order of the fields of a documented call; what is unknown is empty."""


def export(document: TraceDocument) -> str:
    """A row a call, below a row of names."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (
            *(call.process, call.thread, call.began, call.took, call.name),
            *(call.arguments, call.result, call.error, call.span),
        )
        for call in document.calls
    )
    return written.getvalue()
