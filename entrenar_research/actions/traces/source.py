"""Where a traced command's calls come from in its code: before, and after it ran.

    environment = trace_source.prepare(environment, area)             before: what the command is to have around it
    wrapped = trace_source.with_stacks(wrapped, program)              native programs under strace: with -k
    ... the command runs ...
    trace_source.take_stacks(log, area)                               before the tracer reads its log
    trace = trace_source.without_ours(trace, area)                    before anything is made of the trace
    data = trace_source.collect(area, trace, names, document)         `<name>_source.json`

Without `prepare` nothing is installed anywhere, and nothing costs anything.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.client import source_hook
from entrenar_research.core.traces.logs import frames
from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.processes import Processes
from entrenar_research.core.traces.sources import source, source_document, source_marks
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.trace import Trace
from entrenar_research.store import files
from entrenar_research.tools import python, source_stacks
from entrenar_research.tools.source_lines import DebugLines, is_native

SUFFIX: Final = "_source.json"
"""What the document's name ends in, after the trace's."""
_OURS: Final = "source"
_STACKS: Final = "stacks"
_PATH: Final = "PYTHONPATH"


def prepare(environment: Mapping[str, str], area: Path) -> dict[str, str]:
    """The environment with which Python programs below the command say where their calls come from.

    What they need and write is in the directory `source` in `area`, which must exist and be private to this trace.

    Raises:
        StorageError: if the file system refuses.
    """
    ours = area.absolute() / _OURS
    with files.refusals("cannot make a place for what the command says of its source"):
        (ours / "hook").mkdir(parents=True)
        (ours / "marks").mkdir()
        text = Path(source_hook.__file__).read_bytes()
        (ours / "hook" / "sitecustomize.py").write_bytes(text)
    theirs = environment.get(_PATH)
    return {**environment, _PATH: f"{ours / 'hook'}{os.pathsep}{theirs}" if theirs else str(ours / "hook")}


def with_stacks(wrapped: Sequence[str], program: str | None) -> list[str]:
    """A tracer's command line that writes native stacks too, where it is strace's and the program is in machine code.

    `program` is what the command starts. Python, which tells of itself, is left as it is, and so is everything where
    this strace cannot (`-k` needs libunwind or libdw).
    """
    words = list(wrapped)
    if program is None or "strace" not in words or python.is_python(program) or not is_native(Path(program)):
        return words
    if not source_stacks.shown():
        return words
    place = words.index("strace") + 1
    return [*words[:place], "-k", *words[place:]]


def take_stacks(log: Path, area: Path) -> None:
    """Takes the stacks out of a tracer's log, if there are any, into `area`: the log is as it is without them.

    Raises:
        StorageError: if the file system refuses.
    """
    if not log.is_file():
        return
    with files.refusals("cannot divide the tracer's log"):
        data = log.read_bytes()
        if b"\n > " in data:
            divided = frames.divide(data.decode("utf-8", "surrogateescape"))
            (area / _OURS).mkdir(exist_ok=True)
            files.write_atomically(area / _OURS / _STACKS, msgspec.msgpack.encode(_kept(divided)))
            files.write_atomically(log, divided.log.encode("utf-8", "surrogateescape"))


class _Stacked(msgspec.Struct, array_like=True):
    stacks: list[tuple[int, int, tuple[tuple[bytes, int, str], ...]]]
    unreadable: int


def _kept(divided: frames.Divided) -> _Stacked:
    rows = [
        (thread, moment, tuple((os.fsencode(frame.file), frame.place, _written(frame.symbol)) for frame in found))
        for (thread, moment), found in divided.stacks.items()
    ]
    return _Stacked(rows, divided.unreadable)


def _written(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def without_ours(trace: Trace, area: Path) -> Trace:
    """The trace without the calls on what `prepare` put into `area`: what the command does without it."""
    places = {_in_strace(str(path / _OURS)) for path in (area.absolute(), Path(os.path.realpath(area)))}
    calls = tuple(
        call for call in trace.calls if not any(place in call.arguments or place in call.result for place in places)
    )
    return trace if len(calls) == len(trace.calls) else msgspec.structs.replace(trace, calls=calls)


def collect(area: Path, trace: Trace, names: Mapping[str, str], document: TraceDocument) -> bytes:
    """The document `<name>_source.json` of a trace: from what the command and its tracer left in `area`.

    `trace` is the one (`without_ours`) that `document` was made from, with the same replacements, `names`.

    Raises:
        StorageError: if the file system refuses.
    """
    ours = area / _OURS
    with files.refusals("cannot read what the command said of its source"):
        marks = source_marks.read(path.read_bytes() for path in sorted((ours / "marks").glob("*")))
        kept = ours / _STACKS
        stacked = msgspec.msgpack.decode(kept.read_bytes(), type=_Stacked) if kept.is_file() else _Stacked([], 0)
    stacks = {
        (thread, moment): tuple(frames.Frame(os.fsdecode(file), place, symbol) for file, place, symbol in found)
        for thread, moment, found in stacked.stacks
    }
    evidence = source.Evidence(marks=marks, stacks=stacks, lines=DebugLines().of, unreadable=stacked.unreadable)
    found = source.correlate(trace, document, Names(trace, Processes(trace), names), evidence)
    return source_document.encode(found)


def _in_strace(path: str) -> str:
    """A path as strace writes it: bytes that are no printable ASCII in octal."""
    raw = os.fsencode(path)
    signs = {0x22: '\\"', 0x5C: "\\\\"}
    return "".join(signs.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:o}") for byte in raw)
