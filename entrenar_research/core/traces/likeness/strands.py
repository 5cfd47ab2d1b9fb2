"""The normalised lines of a trace, process by process, without what is a matter of buffers, retries and schedules.

Transfers are taken out and added up by path: how many at once is a matter of buffers. What failed and was tried again
in the same way counts once. What the threads of a process do is kept together: which of them does it, and in which
order, is the scheduler's affair. A call that makes a process says which program that one runs instead of its number.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import islice
from typing import Final

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
    moved: dict[tuple[str, str], int]
    tally: Counter[int]


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
    plain, own, take = reading.plain, reading.own, reading.take
    for item in islice(document.lines, int(started), None):
        label, _, text = item.line.partition(" ")
        number = plain.get(text)
        if number is None:
            take(label, text)
        else:
            own[label].append(number)
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


class _Reading:
    """The strands so far: the lines of each thread as numbers; `plain` has those that need no second look."""

    def __init__(self, texts: Texts, programs: dict[str, str], threads: set[str]) -> None:
        self._texts = texts
        self._programs = programs
        self._threads = threads
        self._owners: dict[str, str] = {}
        self.own: defaultdict[str, list[int]] = defaultdict(list)
        self._moved: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._tally: Counter[int] = Counter()
        self._transfers: dict[str, tuple[tuple[str, str], int]] = {}
        self._unsynced: defaultdict[str, set[str]] = defaultdict(set)
        self.plain: dict[str, int] = {}

    def take(self, label: str, text: str) -> None:
        """Reads one line that is not in `plain`."""
        name = name_of(text)
        if name in TRANSFERS or name in POSITIONAL:
            self._transfer(label, name, text)
        elif name in CREATION:
            kind, _, child = text[len(name) + 1 :].partition(") = ")
            program = f": {self._programs[child]}" if child in self._programs else ""
            self._append(label, f"new({kind}{program}) = ok")
        elif name in SYNCS:
            path = inside(text).partition(", ")[0]
            fresh = path in self._unsynced[self._owner(label)]
            self._unsynced[self._owner(label)].discard(path)
            self._append(label, text if fresh else f"{text} (nothing new)")
        elif failed(text):
            self._try(label, text)
        else:
            self.plain[text] = self._append(label, text)

    def strands(self) -> Strands:
        """What was read."""
        processes: dict[str, Strand] = {}
        for label in sorted(self.own, key=_order):
            owner = self._owner(label)
            strand = processes.get(owner)
            if strand is None:
                above = owner.rpartition(".")[0]
                parent = self._owner(above) if above else None
                strand = Strand(owner, parent, self._programs.get(owner, ""), [], [], [])
                processes[owner] = strand
            (strand.main if label == owner else strand.others).extend(self.own[label])
        for label, strand in processes.items():
            if strand.parent in processes:
                processes[strand.parent].children.append(label)
        for numbers in self.own.values():
            self._tally.update(numbers)
        return Strands(processes, dict(self._moved), self._tally)

    def _append(self, label: str, text: str) -> int:
        number = self._texts.number(text)
        self.own[label].append(number)
        return number

    def _transfer(self, label: str, name: str, text: str) -> None:
        known = self._transfers.get(text)
        if known is None:
            known = self._transfers[text] = _transfer(name, text)
        key, size = known
        if size:
            self._moved[key] += size
        if key[0] == "write":
            self._unsynced[self._owner(label)].add(key[1])

    def _try(self, label: str, text: str) -> None:
        """Something that failed: left out where it only repeats the try before, with all that led to it."""
        number = self._texts.number(text)
        own = self.own[label]
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
