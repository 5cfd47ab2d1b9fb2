"""The normalised lines of a trace, process by process, without what is a matter of buffers, retries and schedules.

Transfers are taken out and added up by path: how many at once is a matter of buffers. What failed and was tried again
in the same way counts once. What the threads of a process do is kept together: which of them does it, and in which
order, is the scheduler's affair. A call that makes a process says which program that one runs instead of its number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec

from entrenar_research.core.traces.calls import TRANSFERS
from entrenar_research.core.traces.processes import CREATION
from entrenar_research.models.documented import TraceDocument

POSITIONAL: Final = frozenset(
    {"pread64", "pwrite64", "preadv", "preadv2", "pwritev", "pwritev2", "copy_file_range"},
)
SYNCS: Final = frozenset({"fsync", "fdatasync", "sync_file_range", "msync"})
WRITING: Final = frozenset(
    {"write", "writev", "pwrite64", "pwritev", "pwritev2", "send", "sendto", "sendmsg", "sendmmsg", "sendfile"}
)
_LONGEST_CYCLE: Final = 4
"""So many calls may lie between two tries: a socket, its options, the connection."""


class Strand(msgspec.Struct):
    """A process: what its first thread does in order, what its others do, as numbers of `Texts`; its children."""

    label: str
    parent: str | None
    program: str
    main: list[int]
    others: list[int]
    children: list[str]


class Strands(msgspec.Struct):
    """All processes of a trace by label, in the order of their labels, and the bytes of each (direction, path)."""

    processes: dict[str, Strand]
    moved: Mapping[tuple[str, str], int]
    tally: Mapping[int, int]


class Texts:
    """Lines without labels, each with a number: the same one in all traces that are read with this."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        """The number of `text`."""
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.all)
            self.all.append(text)
        return found


def gather(document: TraceDocument, texts: Texts) -> Strands:
    """The strands of a trace, in time linear in its lines."""
    programs, threads = _births(document)
    reading = _Reading(texts, programs, threads)
    # That the command itself was started is no doing of the program.
    started = document.lines[0].line.partition(" ")[2].startswith("exec")
    known, learn = reading.known, reading.learn
    for item in islice(document.lines, int(started), None):
        line = item.line
        act, what = known.get(line) or learn(line)
        act(what)
    return reading.strands()


def name_of(text: str) -> str:
    """The name of the call in a line without its label."""
    return text[: text.find("(")]


def inside(text: str) -> str:
    """What stands between the parentheses of a line."""
    return text[text.find("(") + 1 : text.rfind(") = ") if ") = " in text else text.rfind(")")]


def failed(text: str) -> bool:
    """Whether the call of a line failed."""
    return text.rpartition(") = ")[2].startswith("E")


def _births(document: TraceDocument) -> tuple[dict[str, str], set[str]]:
    """The program that each process came to run, and which labels are those of threads."""
    programs: dict[str, str] = {}
    threads: set[str] = set()
    if not any(name in document.counts for name in CREATION):
        return programs, threads  # only children have programs to be known by
    for item in document.lines:
        if " execve" not in item.line and "(thread) = " not in item.line:
            continue
        label, _, text = item.line.partition(" ")
        if text.startswith("exec") and label not in programs and not failed(text):
            programs[label] = inside(text).partition(", [")[0]
        elif "(thread) = " in text and name_of(text) in CREATION:
            threads.add(text.rpartition(" = ")[2])
    return programs, threads


class _Transfer(NamedTuple):
    """What a line of a transfer moves, and where it is noted, if it writes, that its path is not synced."""

    key: tuple[str, str]
    size: int
    unsynced: set[str] | None


class _Reading:
    """The strands so far: the lines of each thread as numbers; `known` says what to do, and with what, at a line."""

    def __init__(self, texts: Texts, programs: dict[str, str], threads: set[str]) -> None:
        self._texts = texts
        self._programs = programs
        self._threads = threads
        self._owners: dict[str, str] = {}
        self._own: defaultdict[str, list[int]] = defaultdict(list)
        self._transfers: list[_Transfer] = []
        self._moves: list[int] = []
        self._unsynced: defaultdict[str, set[str]] = defaultdict(set)
        self.known: dict[str, tuple[Callable[[Any], object], Any]] = {}

    def learn(self, line: str) -> tuple[Callable[[Any], object], Any]:
        """Notes in `known` what is to be done at a line; lines that are the same are most of a long trace."""
        label, _, text = line.partition(" ")
        name = name_of(text)
        act: tuple[Callable[[Any], object], Any]
        if name in TRANSFERS or name in POSITIONAL:
            key, size = _transfer(name, text)
            writes = key[0] == "write"
            self._transfers.append(_Transfer(key, size, self._unsynced[self._owner(label)] if writes else None))
            act = (self._write if writes else self._moves.append, len(self._transfers) - 1)
        elif name in CREATION:
            kind, _, child = text[len(name) + 1 :].partition(") = ")
            program = f": {self._programs[child]}" if child in self._programs else ""
            act = self._own[label].append, self._texts.number(f"new({kind}{program}) = ok")
        elif name in SYNCS:
            act = self._sync, (label, text)
        elif failed(text):
            act = self._try, (label, self._texts.number(text))
        else:
            act = self._own[label].append, self._texts.number(text)
        self.known[line] = act
        return act

    def strands(self) -> Strands:
        """What was read."""
        processes: dict[str, Strand] = {}
        for label in sorted(self._own, key=_order):
            owner = self._owner(label)
            strand = processes.get(owner)
            if strand is None:
                above = owner.rpartition(".")[0]
                parent = self._owner(above) if above else None
                strand = Strand(owner, parent, self._programs.get(owner, ""), [], [], [])
                processes[owner] = strand
            (strand.main if label == owner else strand.others).extend(self._own[label])
        for label, strand in processes.items():
            if strand.parent in processes:
                processes[strand.parent].children.append(label)
        tally = Counter[int]()
        for numbers in self._own.values():
            tally.update(numbers)
        moved: defaultdict[tuple[str, str], int] = defaultdict(int)
        for number, times in Counter(self._moves).items():
            transfer = self._transfers[number]
            if transfer.size:
                moved[transfer.key] += times * transfer.size
        return Strands(processes, dict(moved), tally)

    def _write(self, number: int) -> None:
        transfer = self._transfers[number]
        self._moves.append(number)
        if transfer.unsynced is not None:
            transfer.unsynced.add(transfer.key[1])

    def _sync(self, what: tuple[str, str]) -> None:
        label, text = what
        path, unsynced = inside(text).partition(", ")[0], self._unsynced[self._owner(label)]
        self._own[label].append(self._texts.number(text if path in unsynced else f"{text} (nothing new)"))
        unsynced.discard(path)

    def _try(self, what: tuple[str, int]) -> None:
        """Something that failed: left out where it only repeats the try before, with all that led to it."""
        label, number = what
        own = self._own[label]
        for between in range(_LONGEST_CYCLE):
            before = own[-between - 1 - between : -between - 1] if between else []
            last = own[-between:] if between else []
            if len(own) > between and own[-between - 1] == number and before == last:
                del own[len(own) - between :]
                return
        own.append(number)

    def _owner(self, label: str) -> str:
        """The process that a thread belongs to; a process itself."""
        owner = self._owners.get(label)
        if owner is None:
            owner = label
            while owner in self._threads:
                owner = owner.rpartition(".")[0]
            self._owners[label] = owner
        return owner


def _transfer(name: str, text: str) -> tuple[tuple[str, str], int]:
    """What a line of a transfer moves: (direction, path) and bytes, none of them for what is no file."""
    path, _, result = text[len(name) + 1 :].rpartition(") = ")
    if name in POSITIONAL:
        path = path.rsplit(", ", 2)[0] if name.startswith("p") else path.partition(", ")[0]
    moved = int(result) if result.isdecimal() and not path.startswith("[") else 0
    return ("write" if name in WRITING else "read", path), moved


def _order(label: str) -> tuple[int, ...]:
    return tuple(map(int, label.split(".")))
