"""A trace reduced to what the program did: the same lines for the same program, wherever it runs.

A line reads `LIFE NAME(ARGUMENTS) = RESULT`, grouped by process and thread (`core.trace_processes` says
what the labels are), each in its own order: how the kernel interleaves them is no doing of the program.

What is left out, because it differs between repetitions, directories or users, or follows from the
machine: process and descriptor numbers, addresses, times, file sizes, owners, random bytes and all contents;
the calls in `trace_calls.UNTOLD`; calls that were interrupted or would have blocked; looks (stat, access,
readlink, failed open and exec) at what lies outside the study; everything done with a file outside the study,
or with a library, a Python module or a log of metrics, apart from opening it; whether a module came from its
source or from byte code. Reads and writes of one file in a row are one line with the sum of their bytes.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

import msgspec

from entrenar_research.core.traces.calls import (
    EXECUTIONS,
    LOOKS,
    ON_DESCRIPTORS,
    ON_PATHS,
    OPENS,
    SIGNALS,
    TRANSFERS,
    TRANSIENT,
    UNTOLD,
    paths_among,
)
from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.processes import CREATION, Directories, Life, Processes, path_arguments
from entrenar_research.core.traces.syntax import (
    descriptor,
    first_descriptor,
    internet_addresses,
    split_arguments,
    unquote,
)
from entrenar_research.models.trace import SystemCall, Trace

RULES: Final = 1
"""The version of these rules: lines of different versions are not compared."""

_ADDRESS: Final = re.compile(r"0x[0-9a-f]{6,}")
_TIMES: Final = re.compile(r"\{tv_sec=[^{}]*\}|UTIME_NOW|UTIME_OMIT")
_LINE: Final = re.compile(r"\S+ (\w+)\(")
_PIECE: Final = 4096  # lines that are digested at once


class Step(msgspec.Struct, frozen=True, gc=False):
    """One line, when it began (seconds since the epoch) and how long it and those folded into it took."""

    line: str
    time: float
    duration: float


def normalise(trace: Trace, *, replacements: Mapping[str, str]) -> tuple[str, ...]:
    """The lines of `trace`.

    `replacements` gives absolute directories, free of symbolic links, their names: the study is `$STUDY`.
    """
    return tuple(step.line for step in normalised_steps(trace, replacements=replacements))


def normalised_steps(trace: Trace, *, replacements: Mapping[str, str]) -> tuple[Step, ...]:
    """The lines of `trace` with their times."""
    processes = Processes(trace)
    reduction = _Reduction(processes, Names(trace, processes, replacements))
    for call in trace.calls:
        reduction.take(call)
    return reduction.steps()


def trace_id(lines: Iterable[str]) -> str:
    """`sha256:<hex>` of the lines, each ended by a newline."""
    digest, rest = hashlib.sha256(), iter(lines)
    while piece := list(islice(rest, _PIECE)):
        digest.update(("\n".join(piece) + "\n").encode())
    return "sha256:" + digest.hexdigest()


def counts_of(lines: Iterable[str]) -> dict[str, int]:
    """How many of the lines there are of each call, by name. `exit` counts the processes that ended."""
    found = Counter[str]()
    for line, times in Counter(lines).items():
        match = _LINE.match(line)
        if match is not None:
            found[match[1]] += times
    return dict(sorted(found.items()))


class _Draft(msgspec.Struct):
    """A line in the making: what it says apart from the bytes, which later calls may add to."""

    text: str
    time: float
    duration: float
    moved: int | None = None
    foldable: bool = False

    def step(self, label: str) -> Step:
        result = "" if self.moved is None else f" = {self.moved}"
        return Step(f"{label} {self.text}{result}", self.time, self.duration)


class _Reduction:
    """The lines of each life so far."""

    def __init__(self, processes: Processes, names: Names) -> None:
        self.names = names
        self.processes = processes
        self.directories = Directories(processes)
        self.drafts: dict[Life, list[_Draft]] = {}

    def take(self, call: SystemCall) -> None:
        life = self.processes.of(call)
        drafts = self.drafts.setdefault(life, [])
        if call.name not in UNTOLD and call.error not in TRANSIENT:
            draft = self.draft(call, life)
            if draft is not None and not _fold(drafts, draft):
                drafts.append(draft)
        self.directories.follow(call, life)

    def draft(self, call: SystemCall, life: Life) -> _Draft | None:
        if call.name in TRANSFERS or call.name in ON_DESCRIPTORS:
            return self.on_descriptor(call)
        if call.name in LOOKS:
            return self.look(call, life)
        if call.name in OPENS:
            return self.open(call, life)
        if call.name in EXECUTIONS:
            return self.execution(call, life)
        if call.name in CREATION:
            return self.creation(call)
        return self.other(call, life)

    def paths(self, call: SystemCall, life: Life) -> list[str]:
        return [self.names.path(path) for path in path_arguments(call, life, self.directories)]

    def look(self, call: SystemCall, life: Life) -> _Draft | None:
        path = next(iter(self.paths(call, life)), None)
        if path is None or not self.names.is_study(path) or self.names.is_code(path) or _is_cache(path):
            return None
        if "AT_EMPTY_PATH" in call.arguments or "st_mode=S_IFDIR" in call.arguments:
            return None
        return _draft(call, [path], foldable=True)

    def open(self, call: SystemCall, life: Life) -> _Draft | None:
        path = next(iter(self.paths(call, life)), None)
        if path is None:
            return None
        flags = split_arguments(call.arguments)[-1 if call.name == "open" else 2 :] or [""]
        source = self.names.source_of(path)
        if _is_cache(path) and (call.error is not None or source is None or "O_RDONLY" not in call.arguments):
            return None
        if call.error is not None and not self.names.is_study(path):
            return None
        shown = [path if source is None else source, *(flag for flag in flags if "O_" in flag)]
        return _draft(call, [part.replace("|O_CLOEXEC", "") for part in shown])

    def on_descriptor(self, call: SystemCall) -> _Draft | None:
        shown = first_descriptor(call.arguments)
        if shown is None:
            return None
        target = self.names.object(*shown)
        counted = self.names.is_study(target) and not self.names.is_code(target)
        counted = counted and not self.names.is_event_log(target)
        if call.name in TRANSFERS:
            return self.transfer(call, target, counted=counted)
        if not counted:
            return None
        arguments = split_arguments(call.arguments)
        if call.name == "lseek" and arguments[1:] == ["0", "SEEK_CUR"]:
            return None
        details = [_plain(argument) for argument in arguments if descriptor(argument) is None]
        if call.name in ("mmap", "getdents", "getdents64"):
            details = [part for part in details if part.startswith(("PROT_", "MAP_"))]
        return _draft(call, [target, *filter(None, details)], foldable=call.name.startswith("getdents"))

    def transfer(self, call: SystemCall, target: str, *, counted: bool) -> _Draft | None:
        if not counted and not self.names.is_stream(target):
            return None
        moved = int(call.result) if counted and call.result.isdecimal() else None
        peers = internet_addresses(call.arguments) if target == "[socket]" else []
        return _draft(call, [target, *map(self.names.endpoint, peers)], moved=moved, foldable=call.error is None)

    def execution(self, call: SystemCall, life: Life) -> _Draft | None:
        path = next(iter(self.paths(call, life)), None)
        if path is None or (call.error is not None and not self.names.is_study(path)):
            return None
        words = next((part for part in split_arguments(call.arguments) if part.startswith("[")), "[]")
        here = self.directories.current(life)
        argv = [self.names.text(unquote(word) or "", here) for word in split_arguments(words[1:-1])]
        return _draft(call, [path, "[" + ", ".join(argv) + "]"])

    def creation(self, call: SystemCall) -> _Draft:
        child = self.processes.born(call)
        kind = "thread" if "CLONE_THREAD" in call.arguments else "process"
        if child is None:
            return _draft(call, [kind])
        return _Draft(f"{call.name}({kind}) = {child.label}", call.time, call.duration or 0.0)

    def other(self, call: SystemCall, life: Life) -> _Draft | None:
        """A call of no special kind: its paths and whatever else is sure to repeat."""
        paths = iter(self.paths(call, life)[: paths_among(call.name)] if call.name in ON_PATHS else ())
        parts: list[str] = []
        for argument in split_arguments(call.arguments)[-1 if call.name in SIGNALS else 0 :]:
            shown = descriptor(argument)
            if shown is not None and shown[0] is not None:
                parts.append(self.names.object(*shown))
            elif unquote(argument) is not None:
                parts.append(next(paths, ""))
            elif internet_addresses(argument):
                parts.extend(self.names.endpoint(address) for address in internet_addresses(argument))
            elif shown is None:
                parts.append(_plain(argument))
        if any(_is_cache(part) for part in parts):
            return None
        return _draft(call, [part for part in parts if part])

    def steps(self) -> tuple[Step, ...]:
        found: list[Step] = []
        for life in sorted(self.drafts, key=lambda life: life.order):
            found.extend(draft.step(life.label) for draft in self.drafts[life])
            if life.end is not None and not life.thread:
                how = life.end.signal or life.end.status
                found.append(Step(f"{life.label} exit({how})", life.end.time, 0.0))
        return tuple(found)


def _draft(call: SystemCall, parts: list[str], *, moved: int | None = None, foldable: bool = False) -> _Draft:
    text = f"{call.name}({', '.join(parts)})"
    if moved is None or call.error is not None:
        text, moved = f"{text} = {call.error or 'ok'}", None
    return _Draft(text, call.time, call.duration or 0.0, moved, foldable)


def _fold(drafts: list[_Draft], draft: _Draft) -> bool:
    """Adds `draft` to the line before where both are the same transfer or question: whether it did."""
    if not (drafts and draft.foldable and drafts[-1].text == draft.text and drafts[-1].foldable):
        return False
    last = drafts[-1]
    last.duration += draft.duration
    if draft.moved is not None:
        last.moved = (last.moved or 0) + draft.moved
    return True


def _is_cache(path: str) -> bool:
    return path.endswith("/__pycache__") or "/__pycache__/" in path


def _plain(argument: str) -> str:
    """An argument without what differs from run to run: structures, contents, times and addresses."""
    if argument.startswith(("{", "[", '"')) or argument == "NULL" or _TIMES.search(argument):
        return ""
    return _ADDRESS.sub("ADDR", argument)
