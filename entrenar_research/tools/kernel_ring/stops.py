"""Following a command and all that it starts from stop to stop (ptrace(2), with PTRACE_SEIZE).

Threads stop at the calls of the filter, at the birth of a process or thread, at execve, and where a signal arrives,
which is passed on. Everything else they do undisturbed.
"""

from __future__ import annotations

import os
import struct
import time

from entrenar_research.tools.kernel_ring import libc, log, memory
from entrenar_research.tools.kernel_ring.seccomp import OURS
from entrenar_research.tools.kernel_ring.waiting import Waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, Protocol

    from entrenar_research.tools.kernel_ring.signatures import Plan

    class Sink(Protocol):
        """Where frames go."""

        def write(self, kind: int, payload: bytes, /) -> None:
            """Adds a frame."""
            ...


_STOPPED: Final = 0x7F
_CALL_STOP: Final = 5 | 0x80  # SIGTRAP, marked by PTRACE_O_TRACESYSGOOD
_TRAP: Final = 5
_BIRTHS: Final = (libc.EVENT_FORK, libc.EVENT_VFORK, libc.EVENT_CLONE)
_VFORK_FLAGS: Final = 0x4000 | 0x100
_CHILD_ENDED: Final = 17
_FLUSH_BYTES: Final = 32 << 10
_FLUSH_NANOSECONDS: Final = 50_000_000
_SET_ID: Final = 0o6000


class Tracing:
    """Follows one command. `everything` at the level `full`; `names` of the calls by number."""

    def __init__(
        self, sink: Sink, plans: Mapping[int, Plan], names: Mapping[int, str], machine: str, *, everything: bool
    ) -> None:
        self._sink = sink
        self._plans = plans
        self._names = names
        self._machine = machine
        self._everything = everything
        self._under_way: dict[int, tuple[Plan, tuple[int, ...], int, list[tuple[int, bytes]]]] = {}
        self._alive: set[int] = set()
        # Children that stopped before the event of their birth came: they wait for it, so that it is told first.
        self._early: set[int] = set()
        self._pieces: list[bytes] = []
        self._bytes = 0
        self._flushed = time.monotonic_ns()
        self._now = self._flushed

    def follow(self, root: int, reader: int | None) -> int:
        """Follows `root`, which was seized, until it and all that it started have ended: how `root` did (wait(2)).

        `reader` is a child of ours that is none of them.
        """
        self._alive.add(root)
        outcome = 0
        wait = Waiting()
        while self._alive:
            try:
                tid, status = wait()
            except ChildProcessError:
                break
            if tid == reader:
                continue
            self._now = time.monotonic_ns()
            if status & 0xFF == _STOPPED:
                self._stopped(tid, status >> 16, status >> 8 & 0xFF)
            else:
                outcome = status if tid == root else outcome
                self._ended(tid, status)
            if self._bytes > _FLUSH_BYTES or self._now - self._flushed > _FLUSH_NANOSECONDS:
                self.flush()
        self.flush()
        return outcome

    def flush(self) -> None:
        """Hands on what was recorded so far."""
        if self._pieces:
            self._sink.write(log.STOPS, b"".join(self._pieces))
            self._pieces, self._bytes = [], 0
        self._flushed = self._now

    def _add(self, record: bytes) -> None:
        self._pieces.append(record)
        self._bytes += len(record)

    def _stopped(self, tid: int, event: int, signal: int) -> None:
        if event == libc.EVENT_SECCOMP:
            self._call_begins(tid)
        elif signal == _CALL_STOP:
            self._call_ended(tid)
            libc.resume(libc.CONT, tid, 0)
        elif event in _BIRTHS:
            self._born(tid)
            libc.resume(libc.CONT, tid, 0)
        elif event == libc.EVENT_EXEC:
            self._executed(tid)
            libc.resume(libc.CONT, tid, 0)
        elif event == libc.EVENT_STOP:
            if tid in self._alive:
                libc.resume(libc.CONT if signal == _TRAP else libc.LISTEN, tid, 0)
            else:
                self._early.add(tid)
        else:
            libc.resume(libc.CONT, tid, signal)

    def _call_begins(self, tid: int) -> None:
        found = libc.syscall_entry(tid)
        if found is None:
            return
        call = found[:7]
        plan = self._plans.get(call[0])
        if found[7] != OURS or plan is None:
            self._cannot_decode(tid)
            libc.resume(libc.CONT, tid, 0)
            return
        items: list[tuple[int, bytes]] = []
        for place, kind in plan.before:
            content = memory.before(tid, kind, call, place)
            if content is not None:
                items.append((place, content))
        for place in plan.descriptor:
            number = memory.signed(call[place + 1])
            shown = memory.behind(tid, number) if number >= 0 else None
            if shown is not None:
                items.append((log.BEHIND + place, shown))
        if plan.stop_after:
            self._under_way[tid] = (plan, call, self._now, items)
            libc.resume(libc.SYSCALL, tid, 0)
        else:
            self._add(log.call_record(tid, (self._now, self._now), 0, log.LEFT, call, items))
            libc.resume(libc.CONT, tid, 0)

    def _cannot_decode(self, tid: int) -> None:
        self._add(log.record(log.UNDECODED, tid, self._now, (0, 0, 0), []))

    def _call_ended(self, tid: int) -> None:
        begun = self._under_way.pop(tid, None)
        result = libc.syscall_exit(tid) if begun is not None else None
        if begun is None or result is None:
            return
        plan, call, moment, items = begun
        if result >= 0:
            items += self._after(tid, plan, call, result)
        self._add(log.call_record(tid, (moment, self._now), result, log.DONE, call, items))

    def _after(self, tid: int, plan: Plan, call: tuple[int, ...], result: int) -> list[tuple[int, bytes]]:
        items = []
        for place, kind in plan.after:
            for part, content in memory.after(tid, kind, call, place, result):
                items.append((log.DESCRIPTORS if part else log.AFTER + place, content))
        shown = None
        if plan.returns == "fd":
            shown = memory.behind(tid, result)
        elif plan.returns:
            shown = memory.directory(tid)
        if shown is not None:
            items.append((log.RESULT if plan.returns == "fd" else log.DIRECTORY, shown))
        return items

    def _born(self, tid: int) -> None:
        child = libc.event_message(tid)
        number, first = libc.call_under_way(tid, self._machine)
        name = self._names.get(number, "")
        flags = first if name == "clone" else _VFORK_FLAGS if name == "vfork" else 0
        if name in ("fork", "vfork"):
            flags |= _CHILD_ENDED
        if name == "clone3":
            # struct clone_args: flags first, the signal at the end of the child fifth.
            arguments = libc.peek(tid, first, 40)
            if len(arguments) == 40:
                flags = struct.unpack("=Q24xQ", arguments)[0] | struct.unpack("=Q24xQ", arguments)[1]
        self._alive.add(child)
        self._add(log.record(log.BORN, tid, self._now, (child, number, flags), []))
        if child in self._early:
            self._early.discard(child)
            libc.resume(libc.CONT, child, 0)

    def _executed(self, tid: int) -> None:
        former = libc.event_message(tid)
        begun = self._under_way.pop(former, None)
        if former != tid:
            self._alive.discard(former)
            self._under_way.pop(tid, None)
        if begun is not None:
            _, call, moment, items = begun
            self._add(log.call_record(former, (moment, self._now), 0, log.DONE, call, items))
        found = memory.directory(tid)
        items = [(log.DIRECTORY, found)] if found is not None else []
        if self._everything:
            items.append((log.DESCRIPTORS, memory.descriptors(tid)))
        self._add(log.record(log.EXECUTED, tid, self._now, (former, 0, 0), items))
        self._look_at_rights(tid)

    def _look_at_rights(self, tid: int) -> None:
        """Says so where a program did not get the rights of its owner because it is traced (execve(2))."""
        own = os.geteuid()
        if own == 0:
            return
        try:
            program = os.stat(f"/proc/{tid}/exe")
            name = os.readlink(f"/proc/{tid}/exe")  # noqa: PTH115 - pathlib takes time to load
        except OSError:
            return  # it was killed
        if program.st_mode & _SET_ID and program.st_uid != own:
            text = f"{name} is a set-user-id program: while it is traced it runs without its owner's rights"
            self._sink.write(log.PROBLEM, text.encode("utf-8", "surrogateescape"))

    def _ended(self, tid: int, status: int) -> None:
        self._alive.discard(tid)
        self._early.discard(tid)
        begun = self._under_way.pop(tid, None)
        if begun is not None:
            _, call, moment, items = begun
            self._add(log.call_record(tid, (moment, self._now), 0, log.BEGUN, call, items))
        killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if killed == 0 else 0
        self._add(log.record(log.ENDED, tid, self._now, (code, killed, 0), []))
