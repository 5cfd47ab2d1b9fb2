"""A run's trace as evidence: normalised, without places or persons, kept packed in the run directory."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from entrenar_research.core.traces import document as trace_document
from entrenar_research.core.traces import normalisation
from entrenar_research.core.traces import summary as trace_summary
from entrenar_research.errors import UsageError
from entrenar_research.models.documented import DocumentedSpan, TraceDocument
from entrenar_research.models.policy import CompressionPolicy
from entrenar_research.models.trace import Trace
from entrenar_research.store import files
from entrenar_research.tools import python

DOCUMENT = "trace/calls.trace"
PACKED = b"\x89TRACE\r\n"
"""How a packed trace begins (core/traces/storing/packed.py)."""
SUMMARY = "trace/summary.txt"
SOURCE = "trace/source.json"
RUN = "runs/RUN"
"""How a trace names the directory of the run it is of."""


def replacements(root: Path, places: Mapping[Path, str], program: str) -> dict[str, str]:
    """Names for the places of this machine: the study, the environment of the interpreter.

    `places` are those in the study with another name than their own, which is relative to it.
    """
    names: dict[str, str] = {}
    if python.is_python(program):
        for prefix in (Path(program).resolve().parent.parent, Path(program).absolute().parent.parent):
            if str(prefix) not in ("/", "/usr", "/usr/local"):
                names[str(prefix)] = "$PYTHON"
    names[os.path.realpath(root)] = "$STUDY"
    return names | {os.path.realpath(place): f"$STUDY/{name}" for place, name in places.items()}


def relocated(trace: Trace, staged: str, shown: str) -> Trace:
    """The trace with the staging directory, as the command was given it, under the name of the result."""
    if staged == shown:
        return trace
    calls = tuple(
        msgspec.structs.replace(call, arguments=call.arguments.replace(staged, shown))
        if staged in call.arguments
        else call
        for call in trace.calls
    )
    command = tuple(word.replace(staged, shown) for word in trace.command)
    return msgspec.structs.replace(trace, calls=calls, command=command)


def document(
    trace: Trace,
    names: dict[str, str],
    *,
    version: str | None,
    spans: Sequence[DocumentedSpan] = (),
    span_of: Mapping[int, str] | None = None,
) -> TraceDocument:
    """The trace's document, with the spans that the command logged and the span of each call (`trace_spans.joined`).

    Raises:
        IntegrityError: if the trace holds no calls.
    """
    steps = normalisation.normalised_steps(trace, replacements=names)
    return trace_document.document(trace, steps, version=version, replacements=names, spans=spans, span_of=span_of)


def summary(trace: Trace) -> str:
    """The table of calls, in the layout of `strace -c`."""
    return trace_summary.format_summary(trace_summary.summarise(trace))


def write(directory: Path, found: TraceDocument, table: str, policy: CompressionPolicy) -> None:
    """Keeps document and table in a run directory, packed as `policy` says.

    Raises:
        UsageError: if there is no such level of the algorithm.
        StorageError: if the file system refuses.
    """
    files.write_atomically(directory / DOCUMENT, pack(found, policy))
    files.write_atomically(directory / SUMMARY, table)


def pack(found: TraceDocument, policy: CompressionPolicy) -> bytes:
    """The document as a packed trace: not compressed where `policy` is not enabled, or up to its smallest size.

    Raises:
        UsageError: if there is no such level of the algorithm.
    """
    from entrenar_research.core.traces.storing import packed  # with numpy: only where there is a trace

    if not policy.enabled:
        return packed.pack(found, algorithm="none")[0]
    threshold = policy.min_file_size_kb * 1024
    return packed.pack(found, algorithm=policy.algorithm, level=policy.level, threshold=threshold)[0]


def unpack(data: bytes, name: str) -> TraceDocument:
    """The document in the packed trace of the file `name`.

    Raises:
        IntegrityError: if it is damaged, empty or contradicts itself.
    """
    from entrenar_research.core.traces.storing import packed  # with numpy: only where there is a trace

    found = packed.unpack(data, name)
    trace_document.refuse_contradictions(found, name)
    return found


def load(directory: Path, run_id: str) -> TraceDocument:
    """The trace of a run.

    Raises:
        UsageError: if it was not traced.
        IntegrityError: if the document is damaged.
    """
    return unpack(read(directory, run_id), f"runs/{run_id}/{DOCUMENT}")


def read(directory: Path, run_id: str) -> bytes:
    """The packed trace of a run.

    Raises:
        UsageError: if it was not traced.
        StorageError: if it cannot be read.
    """
    path = directory / DOCUMENT
    if not path.is_file():
        raise UsageError(
            f"run {run_id} has no trace",
            hint="run the experiment with `--trace full --force`, or declare `trace: full`",
        )
    with files.refusals(f"cannot read the trace of run {run_id}"):
        return path.read_bytes()
