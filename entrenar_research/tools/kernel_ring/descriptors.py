"""What the descriptors of every process stand for, and where it stands, followed call by call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from entrenar_research.tools.kernel_ring import log
from entrenar_research.tools.kernel_ring.memory import signed
from entrenar_research.tools.kernel_ring.notation import listed

_SHARES_FILES: Final = 0x400
_SHARES_DIRECTORY: Final = 0x200
_DUPLICATIONS: Final = (0, 1030)  # F_DUPFD, F_DUPFD_CLOEXEC
_MARK_ONLY: Final = 4  # CLOSE_RANGE_CLOEXEC
_PAIRS: Final = {"pipe": 0, "pipe2": 0, "socketpair": 3}
"""Which argument of a call that makes two descriptors holds them."""
_EMPTY: Final[Mapping[int, bytes]] = {}
_LAST: Final = 0xFFFFFFFF


class Descriptors:
    """A table for every group of threads that share one."""

    def __init__(self) -> None:
        self._tables: dict[int, dict[int, bytes]] = {}
        self._directories: dict[int, list[bytes | None]] = {}

    def table(self, tid: int) -> Mapping[int, bytes]:
        """What every descriptor of a thread stands for."""
        return self._tables.get(tid, _EMPTY)

    def behind(self, tid: int, number: int) -> bytes | None:
        """What a descriptor stands for, or None where that is unknown or it is not open."""
        return self.table(tid).get(number & _LAST)

    def directory(self, tid: int) -> bytes | None:
        """The working directory, or None where it is unknown."""
        cell = self._directories.get(tid)
        return cell[0] if cell is not None else None

    def stands(self, tid: int, directory: bytes) -> None:
        """Takes note of a working directory."""
        self._directories.setdefault(tid, [None])[0] = directory

    def born(self, parent: int, child: int, flags: int) -> None:
        """A thread or process begins with its parent's descriptors: the same ones or a copy."""
        table = self._tables.get(parent, {})
        self._tables[child] = table if flags & _SHARES_FILES else dict(table)
        cell = self._directories.get(parent, [None])
        self._directories[child] = cell if flags & _SHARES_DIRECTORY else list(cell)

    def executed(self, tid: int, former: int, items: Mapping[int, bytes]) -> None:
        """A thread, formerly known as `former`, became another program."""
        cell = self._directories.pop(former, None) or self._directories.get(tid) or [None]
        self._tables.pop(former, None)
        self._directories[tid] = cell
        self._tables[tid] = dict(listed(items.get(log.DESCRIPTORS, b"")))
        if log.DIRECTORY in items:
            cell[0] = items[log.DIRECTORY]

    def ended(self, tid: int) -> None:
        """A thread ended."""
        self._tables.pop(tid, None)
        self._directories.pop(tid, None)

    def before(self, tid: int, name: str, arguments: Sequence[int]) -> None:
        """What is no more from the beginning of a call on."""
        if name == "close":
            self._tables.get(tid, {}).pop(arguments[0] & _LAST, None)
        elif name == "close_range" and not arguments[2] & _MARK_ONLY:
            table = self._tables.get(tid, {})
            for number in [one for one in table if arguments[0] & _LAST <= one <= arguments[1] & _LAST]:
                del table[number]

    def after(self, tid: int, name: str, arguments: Sequence[int], result: int, items: Mapping[int, bytes]) -> None:
        """What is there from the end of a call on that succeeded."""
        if log.RESULT in items:
            self._tables.setdefault(tid, {})[result] = items[log.RESULT]
        elif name in ("dup", "dup2", "dup3") or (name == "fcntl" and self.duplicates(arguments)):
            self._copy(tid, arguments[0] & _LAST, result)
        elif name == "unshare" and arguments[0] & _SHARES_FILES:
            self._tables[tid] = dict(self._tables.get(tid, {}))
        if log.DIRECTORY in items:
            self.stands(tid, items[log.DIRECTORY])
        for place, content in items.items():
            if place == log.DESCRIPTORS or (name in _PAIRS and place == log.AFTER + _PAIRS[name]):
                self._tables.setdefault(tid, {}).update(listed(content))

    @staticmethod
    def duplicates(arguments: Sequence[int]) -> bool:
        """Whether these arguments of fcntl ask for another descriptor of the same."""
        return signed(arguments[1]) in _DUPLICATIONS

    def _copy(self, tid: int, number: int, result: int) -> None:
        table = self._tables.setdefault(tid, {})
        if number in table:
            table[result] = table[number]
        else:
            table.pop(result, None)
