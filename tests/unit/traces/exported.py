"""A small trace with everything that an export has to show: threads, children, spans, errors, what has no duration."""

from __future__ import annotations

from entrenar_research.core.traces.document import SCHEMA
from entrenar_research.models.documented import (
    DocumentedCall,
    DocumentedEnd,
    DocumentedExit,
    DocumentedLine,
    DocumentedSpan,
    TraceDocument,
)

EPOCH, STEP, OTHER = "a" * 16, "b" * 16, "c" * 16

CALLS = (
    DocumentedCall(10, 10, 0, 1_500, "execve", '"/usr/bin/python3", ["python3", "train.py"]', "0", None, None),
    DocumentedCall(10, 10, 2_000, 1_001, "openat", 'AT_FDCWD, "/nowhere", O_RDONLY', "-1", "ENOENT", EPOCH),
    # Ends, as far as rounding goes, after the next one of its thread began.
    DocumentedCall(10, 10, 4_000, 2_000, "read", '3</data>, "...", 100', "100", None, STEP),
    DocumentedCall(10, 11, 4_500, 3_000, "futex", "0x1, FUTEX_WAIT_PRIVATE, 0, NULL", "0", None, STEP),
    DocumentedCall(10, 10, 5_000, 500, "read", '3</data>, "...", 100', "100", None, STEP),
    DocumentedCall(12, 12, 6_000, 400, "execve", '"/bin/ls", ["ls"]', "0", None, None),
    DocumentedCall(12, 12, 7_000, None, "exit_group", "0", "?", None, None),
)
ATTRIBUTES = '{"index": 3, "rate": 0.5, "last": true, "who": "x", "deep": {"a": 1}}'
SPANS = (
    DocumentedSpan(EPOCH, None, "epoch; one", ATTRIBUTES, 10, 1_000, 9_000, False),
    DocumentedSpan(STEP, EPOCH, "step", "{}", 10, 3_000, 8_000, True),
    # Runs beside the first step, in the same epoch, and never ended.
    DocumentedSpan(OTHER, EPOCH, "step", "{}", 10, 5_000, None, False),
)
ENDS = (DocumentedEnd(12, 7_500, 0, None), DocumentedEnd(10, 10_000, None, "SIGKILL"))
DOCUMENT = TraceDocument(
    schema=SCHEMA,
    tracer="strace",
    tracer_version="6.1",
    level="full",
    rules=1,
    command=("python3", "train.py"),
    exit=DocumentedExit(status=None, signal="SIGKILL"),
    complete=True,
    problems=(),
    lost=0,
    recorded=len(CALLS),
    counts={},
    trace_id="sha256:" + "0" * 64,
    spans=SPANS,
    ends=ENDS,
    lines=(DocumentedLine("1 execve /usr/bin/python3", 0, 1),),
    calls=CALLS,
)
