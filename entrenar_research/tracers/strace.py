"""Tracing with strace: everywhere that ptrace is permitted, every call decoded."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from entrenar_research.core.traces.syntax import end_of_arguments
from entrenar_research.errors import IntegrityError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import ProcessEnd, SystemCall, Trace
from entrenar_research.tools import strace
from entrenar_research.tracers.port import Tracer

_STAMP: Final = r"(\d+) +(\d+\.\d+) "
_VALUE: Final = r"((?:-?\w+|\?)(?:<[^<>]*>(?:\(deleted\))?)?)"
_RESULT: Final = _VALUE + r"(?: (E[A-Z0-9]+) \([^<>]*\)|| .*?)(?: <(\d+\.\d+)>)?"
# The last `) = ` of the line is taken for the end of the arguments; `_call` looks again where there are two.
_CALL: Final = re.compile(rf"{_STAMP}(\w+)\((.*)\) += {_RESULT}", re.DOTALL)
_AFTER: Final = re.compile(rf"\) += {_RESULT}", re.DOTALL)
_START: Final = re.compile(rf"{_STAMP}(\w+)\((.*)", re.DOTALL)
_OTHER: Final = re.compile(rf"{_STAMP}(.*)", re.DOTALL)
_RESUMED: Final = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_END: Final = re.compile(r"\+\+\+ (?:exited with (\d+)|killed by (\w+)(?: \(core dumped\))?) \+\+\+")
_SUPERSEDED: Final = re.compile(r"\+\+\+ superseded by execve in pid (\d+) \+\+\+")
_REMARK: Final = re.compile(r"--- .* ---|\[ Process PID=\d+ runs in .* mode\. \]", re.DOTALL)
_UNFINISHED: Final = " <unfinished ...>"


class Strace:
    """strace -f into a log of its own; for `observe` behind a seccomp filter, for `full` without ASLR."""

    name = "strace"

    def version(self) -> str | None:
        """The version of strace, or None where it is not installed."""
        return strace.version()

    def unavailable(self) -> str | None:
        """Why strace cannot trace here, or None if it has just traced a program."""
        return strace.unavailable()

    def wrap(self, argv: Sequence[str], *, level: TraceLevel, log: Path) -> list[str]:
        """The command line that runs `argv` under strace; it ends as `argv` ends, by status or by signal."""
        if level == "none":
            return list(argv)
        return strace.full(argv, log) if level == "full" else strace.observing(argv, log)

    def read(self, log: Path, *, command: Sequence[str], level: TraceLevel) -> Trace:
        """The trace in `log`; a log that was cut or damaged gives an incomplete one that says why.

        Raises:
            IntegrityError: if `log` is absent, empty or holds no call.
        """
        try:
            text = log.read_bytes().decode("ascii", "backslashreplace")
        except FileNotFoundError as error:
            raise IntegrityError(f"{log.name}: strace left no log", hint=_STARTED) from error
        return parse(text, log.name, command=command, level=level)


_STARTED: Final = "was the command found, and may this account trace? `strace true` tells"

TRACER: Tracer = Strace()


def parse(text: str, name: str, *, command: Sequence[str], level: TraceLevel) -> Trace:
    """The trace in the text of a log called `name`, as `strace -f -ttt -T -y -o` writes it.

    Raises:
        IntegrityError: if the log is empty or holds no call.
    """
    if not text.strip():
        raise IntegrityError(f"{name}: the trace is empty", hint=_STARTED)
    *lines, rest = text.split("\n")
    reading = _Reading()
    reading.take(lines)
    if not reading.calls:
        line = (lines or [rest])[0][:80]
        raise IntegrityError(f"{name}: not a log of strace -f -ttt: {line!r} is no `PID TIME call(...)`")
    problems = reading.close(cut=bool(rest))
    return Trace(
        tracer="strace",
        level=level,
        command=tuple(command),
        calls=tuple(reading.calls),
        ends=tuple(reading.ends),
        complete=not problems,
        problems=problems,
    )


class _Reading:
    """The lines of one log so far: finished calls, ended processes, and calls still under way by process."""

    def __init__(self) -> None:
        self.calls: list[SystemCall] = []
        self.ends: list[ProcessEnd] = []
        self._under_way: dict[int, tuple[str, str, str]] = {}
        self._alive: set[int] = set()
        self._foreign: list[int] = []

    def take(self, lines: Iterable[str]) -> None:
        alive, add = self._alive.add, self.calls.append
        for number, line in enumerate(lines, 1):
            call = None if line.endswith((_UNFINISHED, "+++", "---")) else _call(line)
            if call is not None:
                add(call)
                alive(call.pid)
            elif not self._take_other(line):
                self._foreign.append(number)

    def _take_other(self, line: str) -> bool:
        found = _OTHER.fullmatch(line)
        if found is None:
            return False
        pid, time, rest = int(found[1]), found[2], found[3]
        self._alive.add(pid)
        if rest.endswith(_UNFINISHED) and "(" in rest:
            name, _, begun = rest.removesuffix(_UNFINISHED).partition("(")
            self._under_way[pid] = (time, name, begun)
        elif resumed := _RESUMED.fullmatch(rest):
            return self._resume(pid, resumed[1], resumed[2])
        elif end := _END.fullmatch(rest):
            self._give_up(pid)
            self._end(ProcessEnd(pid, float(time), int(end[1]) if end[1] else None, end[2]))
        elif superseded := _SUPERSEDED.fullmatch(rest):
            self._supersede(pid, float(time), int(superseded[1]))
        else:
            return _REMARK.fullmatch(rest) is not None
        return True

    def _resume(self, pid: int, name: str, rest: str) -> bool:
        begun = self._under_way.pop(pid, None)
        if begun is None or begun[1] != name:
            return False
        # A call that its process did not survive is resumed as ` <unfinished ...>) = ?`.
        rest = rest.removeprefix(_UNFINISHED)
        call = _call(f"{pid} {begun[0]} {name}({begun[2]}{rest}")
        if call is not None:
            self.calls.append(call)
        return call is not None

    def _supersede(self, leader: int, time: float, thread: int) -> None:
        """A thread called execve: the process goes on under its leader's number (ptrace(2))."""
        self._give_up(leader)
        if thread in self._under_way:
            self._under_way[leader] = self._under_way.pop(thread)
        self._end(ProcessEnd(thread, time))

    def _give_up(self, pid: int) -> None:
        """The process died inside a call: it has no result."""
        if begun := self._under_way.pop(pid, None):
            self.calls.append(SystemCall(pid, float(begun[0]), begun[1], begun[2].rstrip(", "), "?"))

    def _end(self, end: ProcessEnd) -> None:
        self.ends.append(end)
        self._alive.discard(end.pid)

    def close(self, *, cut: bool) -> tuple[str, ...]:
        """What is wrong with the log, after its last line."""
        problems = []
        if self.calls[0].name != "execve":
            problems.append(f"the log begins with {self.calls[0].name}, not with the start of the command")
        if self._foreign:
            problems.append(f"{len(self._foreign)} lines are unreadable, the first is line {self._foreign[0]}")
        if cut:
            problems.append("the last line is cut off")
        if self._alive:
            problems.append(f"the log stops before {len(self._alive)} of the processes ended")
        return tuple(problems)


def _call(line: str) -> SystemCall | None:
    """The call of a whole line, or None where the line is no call."""
    found = _CALL.fullmatch(line)
    if found is not None:
        pid, time, name, arguments, result, error, duration = found.groups()
        if ") =" not in arguments and ")  " not in arguments:
            spent = float(duration) if duration else None
            return SystemCall(int(pid), float(time), sys.intern(name), arguments, result, error, spent)
    return _ambiguous_call(line)


def _ambiguous_call(line: str) -> SystemCall | None:
    """The call of a line that may hold `) = ` in a string or in a path, by its real closing parenthesis."""
    start = _START.fullmatch(line)
    end = end_of_arguments(start[4]) if start else None
    found = _AFTER.fullmatch(start[4], end) if start and end is not None else None
    if start is None or found is None:
        return None
    result, error, duration = found.groups()
    spent = float(duration) if duration else None
    name = sys.intern(start[3])
    return SystemCall(int(start[1]), float(start[2]), name, start[4][:end], result, error, spent)
