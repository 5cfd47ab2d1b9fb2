"""A run's trace as evidence: normalised, without places or persons, kept compressed in the run directory."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from entrenar_research.core.traces import document as trace_document
from entrenar_research.core.traces import normalisation
from entrenar_research.core.traces import summary as trace_summary
from entrenar_research.core.traces.document import TraceDocument
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.trace import Trace
from entrenar_research.store import files
from entrenar_research.tools import python

DOCUMENT = "trace/trace.json.gz"
SUMMARY = "trace/summary.txt"
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


def document(trace: Trace, names: dict[str, str], *, version: str | None) -> TraceDocument:
    """The trace's document.

    Raises:
        IntegrityError: if the trace holds no calls.
    """
    steps = normalisation.normalised_steps(trace, replacements=names)
    return trace_document.document(trace, steps, version=version, replacements=names)


def summary(trace: Trace) -> str:
    """The table of calls, in the layout of `strace -c`."""
    return trace_summary.format_summary(trace_summary.summarise(trace))


def write(directory: Path, found: TraceDocument, table: str) -> None:
    """Keeps document and table in a run directory.

    Raises:
        StorageError: if the file system refuses.
    """
    files.write_atomically(directory / DOCUMENT, gzip.compress(trace_document.encode(found), 6, mtime=0))
    files.write_atomically(directory / SUMMARY, table)


def load(directory: Path, run_id: str) -> TraceDocument:
    """The trace of a run.

    Raises:
        UsageError: if it was not traced.
        IntegrityError: if the document is damaged.
    """
    path = directory / DOCUMENT
    if not path.is_file():
        raise UsageError(
            f"run {run_id} has no trace",
            hint="run the experiment with `--trace full --force`, or declare `trace: full`",
        )
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise IntegrityError(f"runs/{run_id}/{DOCUMENT}: damaged: {error}") from error
    return trace_document.decode(data, f"runs/{run_id}/{DOCUMENT}")
