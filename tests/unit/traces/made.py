"""Documents of traces, made by hand: lines and calls as given."""

from __future__ import annotations

from collections.abc import Sequence

from entrenar_research.core.traces.normalisation import RULES, counts_of, trace_id
from entrenar_research.models.documented import DocumentedCall, DocumentedExit, DocumentedLine, TraceDocument

START = "1 execve(/usr/bin/python, [python, a.py]) = ok"


def made(lines: Sequence[str], calls: Sequence[tuple[str, str, str]] = (), **other: object) -> TraceDocument:
    """A document of the lines (the first program's start goes before them) and of calls (name, arguments, result)."""
    texts = [START, *lines]
    every = [("execve", '"/usr/bin/python", ["python", "a.py"]', "0"), *calls]
    document = TraceDocument(
        schema=2,
        tracer="strace",
        tracer_version="6.1",
        level="full",
        rules=RULES,
        command=("python", "a.py"),
        exit=DocumentedExit(status=0, signal=None),
        complete=True,
        problems=(),
        lost=0,
        recorded=len(every),
        counts=counts_of(texts),
        trace_id=trace_id(texts),
        spans=(),
        ends=(),
        lines=tuple(DocumentedLine(text, place, 1) for place, text in enumerate(texts)),
        calls=tuple(
            DocumentedCall(1, 1, place, 1, name, arguments, result, None, None)
            for place, (name, arguments, result) in enumerate(every)
        ),
    )
    return type(document)(**{**{name: getattr(document, name) for name in document.__struct_fields__}, **other})


def file_lines(path: str, *, size: int = 10, label: str = "1") -> list[str]:
    """The lines of a file that is read."""
    return [f"{label} openat({path}, O_RDONLY) = ok", f"{label} read({path}) = {size}", f"{label} close({path}) = ok"]
