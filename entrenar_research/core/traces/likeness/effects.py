"""What a trace shows of a program's effects, as quantities that two traces can be compared in.

An effect is a number with a kind (`core.traces.effect_kinds`) and a subject: how many bytes were written to which
path, how often which path was opened, which program was executed. The lines tell of files, programs and ends; the
calls, which are complete, tell of what the normalisation leaves out: streams, sockets, memory, waiting.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from entrenar_research.core.traces.calls import LOOKS, ON_PATHS, OPENS, TRANSFERS, UNTOLD
from entrenar_research.core.traces.likeness.strands import (
    POSITIONAL,
    SYNCS,
    WRITING,
    Strands,
    Texts,
    failed,
    inside,
    name_of,
)
from entrenar_research.core.traces.names import PLACE, STUDY
from entrenar_research.core.traces.syntax import internet_addresses, split_arguments
from entrenar_research.models.documented import DocumentedCall, TraceDocument

STREAMS: Final = frozenset({"[stdin]", "[stdout]", "[stderr]", "[pipe]", "[socket]"})
ALLOCATING: Final = frozenset({"mmap", "mremap", "brk"})
_RELEASING: Final = frozenset({"munmap", "madvise", "mprotect"})
_WAITING: Final = frozenset(
    {"sched_yield", "nanosleep", "clock_nanosleep", "poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait",
     "epoll_pwait2", "futex", "futex_waitv", "wait4", "waitid", "restart_syscall", "rt_sigsuspend", "pause"}
)  # fmt: skip
_QUIET: Final = UNTOLD - ALLOCATING - _RELEASING - _WAITING
_CONTACTING: Final = frozenset({"connect", "bind", "sendto", "sendmsg", "sendmmsg"})
_OWN_NUMBER: Final = frozenset({"[socket]", "[pipe]"})
_UNIX: Final = re.compile(r'sun_path=@?"((?:[^"\\]|\\.)*)"')
_FIRST_EPHEMERAL_PORT: Final = 32768


Effects = dict[tuple[str, str], float]
"""A number for each (kind, subject)."""


def effects(document: TraceDocument, strands: Strands, texts: Texts) -> Effects:
    """The quantities of a trace."""
    found: defaultdict[tuple[str, str], float] = defaultdict(float)
    for number, times in strands.tally.items():
        _of_line(texts.all[number], times, found)
    for (direction, path), size in strands.moved.items():
        found["read" if direction == "read" else "written", path] += size
    _Calls(found).take(document)
    how = document.exit.signal or document.exit.status
    found["ended", f"the command's exit({how})"] = 1
    return dict(found)


def waited(found: Effects, *, threads: bool) -> Effects:
    """The same; with `threads` in one of the traces, what waits for others may do so much more or less often."""
    waits = "waits of threads" if threads else "waits"
    return {(waits if kind == "waits" else kind, subject): number for (kind, subject), number in found.items()}


def _of_line(text: str, times: int, found: defaultdict[tuple[str, str], float]) -> None:
    name = name_of(text)
    if name in OPENS:
        _of_open(text, times, found)
    elif failed(text) or name in LOOKS:
        return
    elif name == "close":
        found["closed", inside(text)] += times
    elif name in SYNCS:
        found["synced", inside(text).partition(", ")[0]] += times
    elif name.startswith("execve"):
        found["executed", inside(text).replace(", [", " [", 1)] += times
    elif name == "new":
        found["created", "threads" if inside(text).startswith("thread") else "processes"] += times
    elif name == "exit":
        found["ended", text] += times
    elif name in ON_PATHS or name in ("ftruncate", "fallocate", "fchmod", "fchown"):
        found["changed", f"{name}({inside(text)})"] += times


def _of_open(text: str, times: int, found: defaultdict[tuple[str, str], float]) -> None:
    path, _, flags = inside(text).rpartition(", O_")
    if failed(text):
        return
    if "RDONLY" not in flags and not path.startswith("/dev/"):
        found["opened to write", path or inside(text)] += times
    else:
        found["opened to read" if is_own(path) else "loaded", path] += times


def is_own(name: str) -> bool:
    """Whether a name lies in the study or nobody knows where, and is no code (as `core.traces.names` has it)."""
    if name.startswith(("/", "$", "[")) and not name.startswith((f"{STUDY}/", f"{PLACE}/", "$TMP/TEMP")):
        return False
    code = name.endswith((".py", ".pyc", ".so")) or "/__pycache__/" in name or ".so." in name
    return not code and not name.endswith("/PROCESS.events")


class _Calls:
    """Adds what the calls themselves tell, those of a name together: their order is told by the lines."""

    def __init__(self, found: defaultdict[tuple[str, str], float]) -> None:
        self._found = found
        self._breaks: dict[int, int] = {}

    def take(self, document: TraceDocument) -> None:
        """Reads all calls once."""
        by_name: defaultdict[str, list[DocumentedCall]] = defaultdict(list)
        for call in document.calls:
            by_name[call.name].append(call)
        for name, calls in by_name.items():
            kind = "waits" if name in _WAITING else "quiet" if name in _QUIET else None
            if kind is not None:
                self._found[kind, name] = len(calls)
            if name in TRANSFERS or name in POSITIONAL:
                self._move(name, calls)
            if name in _CONTACTING:
                for call in calls:
                    self._contact(call)
            elif name in ALLOCATING:
                for call in calls:
                    self._allocate(call)
            elif name == "close":
                self._close(calls)

    def _close(self, calls: Sequence[DocumentedCall]) -> None:
        for call in calls:
            if call.arguments.endswith("]>") and call.error is None and _behind(call.arguments) in _OWN_NUMBER:
                self._found["closed", _behind(call.arguments)] += 1

    def _move(self, name: str, calls: Sequence[DocumentedCall]) -> None:
        pieces = Counter[str]()
        for call in calls:
            if call.error is None:
                subject = _behind(call.arguments)
                pieces[subject] += 1
                if subject in STREAMS and call.result.isdecimal() and call.result != "0":
                    self._found["through", subject] += int(call.result)
        kind = "pieces written" if name in WRITING else "pieces read"
        for subject, times in pieces.items():
            if subject and (subject in STREAMS or is_own(subject)):
                self._found[kind, subject] += times

    def _contact(self, call: DocumentedCall) -> None:
        for address in internet_addresses(call.arguments) if "sa_family=AF_INET" in call.arguments else ():
            host, _, port = address.rpartition(":")
            shown = f"{host}:{port if int(port) < _FIRST_EPHEMERAL_PORT else 'PORT'}"
            self._found["contacted", f"{call.name} {shown}"] = 1
        unix = _UNIX.search(call.arguments)
        if unix is not None and call.error is None:
            self._found["contacted", f"{call.name} {unix[1]}"] = 1

    def _allocate(self, call: DocumentedCall) -> None:
        size = self._size(call) if call.error is None else 0
        if size > 0:
            self._found["bytes asked", call.name] += size
            self._found["allocations", call.name] += 1

    def _size(self, call: DocumentedCall) -> int:
        """Bytes that a call asks for: private, writable, of no file, no stack of a thread (`memory.steady_peak`).

        A reserve that cannot be written is none.
        """
        if call.name == "brk":
            now = _number(call.result)
            before = self._breaks.get(call.process, now)
            self._breaks[call.process] = now
            return now - before
        words = split_arguments(call.arguments)
        if call.name == "mremap":
            return _number(words[2]) - _number(words[1]) if len(words) > 2 else 0
        writable = "MAP_ANONYMOUS" in call.arguments and "PROT_WRITE" in call.arguments
        writable = writable and "MAP_STACK" not in call.arguments
        return _number(words[1]) if writable and len(words) > 1 else 0


def _behind(arguments: str) -> str:
    """The name behind the first descriptor of a call."""
    begin = arguments.find("<")
    return arguments[begin + 1 : arguments.find(">", begin)] if begin >= 0 else ""


def _number(text: str) -> int:
    """`4096`, `0x1000`, `2*1024`; 0 for anything else."""
    total = 1
    for factor in text.split("*"):
        try:
            total *= int(factor, 0)
        except ValueError:
            return 0
    return total
