"""Reading what strace wrote: with our own options or anybody's, whole or damaged."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from entrenar_research.core.traces.logs import strace_form
from entrenar_research.core.traces.logs.strace_form import OWN, Clock, Form
from entrenar_research.core.traces.processes import CREATION
from entrenar_research.core.traces.syntax import end_of_arguments, split_arguments, unquote
from entrenar_research.errors import IntegrityError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import ProcessEnd, SystemCall, Trace

_VALUE: Final = r"((?:-?\w+|\?)(?:<[^<>]*>(?:\(deleted\))?)?)"
_RESULT: Final = _VALUE + r"(?: (E[A-Z0-9_]+) \([^<>]*\)|| .*?)(?: <(\d+\.\d+)>)?"
# The last `) = ` of the line is taken for the end of the arguments; `_Grammar.call` looks again where there are two.
_CALL: Final = rf"([\w?]+)\((.*)\) += {_RESULT}"
_AFTER: Final = re.compile(rf"\) += {_RESULT}", re.DOTALL)
_RESUMED: Final = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
_END: Final = re.compile(r"\+\+\+ (?:exited with (\d+)|killed by (\w+)(?: \(core dumped\))?) \+\+\+")
_SUPERSEDED: Final = re.compile(r"\+\+\+ superseded by execve in pid (\d+) \+\+\+")
_REMARK: Final = re.compile(r"--- .* ---|(?:strace: )?\[ Process PID=\d+ runs in .* mode\. \]", re.DOTALL)
# strace on a terminal announces a process in the middle of the line that creates it.
_ATTACHED: Final = re.compile(r"(?:strace: )?Process (\d+) attached\n")
_SAID: Final = re.compile(r"(?:strace: )?Process (\d+) detached| > \S.*", re.DOTALL)
_UNFINISHED: Final = " <unfinished ...>"
_DETACHED: Final = "<detached ...>"
_TABLE: Final = "% time     seconds"  # -C adds the table of -c to the end
_LONG: Final = 4096  # where the quick expression would look back too often
_AGAIN: Final = "was the command found, and may this account trace? `strace true` tells"


def parse(text: str, name: str, *, command: Sequence[str] | None, level: TraceLevel, form: Form | None = OWN) -> Trace:
    """The trace in the text of a log called `name`; by default one of our own, as `strace -f -ttt -T -y -o` writes it.

    With `form` None it is found out. Without a `command` it is that of the first execve. What the log does not hold
    stays unknown and is told among the problems; without times the number of the line is the time of each call.

    Raises:
        IntegrityError: if the log is empty or holds no call.
    """
    if not text.strip():
        raise IntegrityError(f"{name}: the trace is empty", hint=_AGAIN)
    form = form or strace_form.detect(text)
    if form is None:
        raise IntegrityError(f"{name}: not a log of strace: {text[:80]!r} is no call(...) = RESULT")
    announced = _ATTACHED.findall(text) if form.foreign else []
    *lines, rest = (_ATTACHED.sub("", text) if announced else text).split("\n")
    reading = _Reading(form, _main_process(lines, announced) if form.processes == "bracket" else 0)
    reading.take(lines)
    if not reading.calls:
        line = (lines or [rest])[0][:80]
        raise IntegrityError(f"{name}: not a log of strace -f -ttt: {line!r} is no `PID TIME call(...)`")
    problems = reading.close(cut=bool(rest))
    return Trace(
        tracer="strace",
        level=level,
        command=_command(reading.calls[0]) if command is None else tuple(command),
        calls=tuple(reading.calls),
        ends=tuple(reading.ends),
        complete=not problems,
        problems=(*problems, *form.gaps, *reading.gaps()),
    )


def call_of(line: str, form: Form = OWN) -> SystemCall | None:
    """The call of one whole line of a log; None where it is none, or a part of one."""
    found = _grammar(form).call(line)
    return None if found is None else _made(int(found[0] or 0), Clock(form.stamp).seconds(found[1], 0), found)


def _made(pid: int, time: float, found: tuple[str, ...]) -> SystemCall:
    name, arguments, result, error, duration = found[2:]
    return SystemCall(pid, time, sys.intern(name), arguments, result, error, float(duration) if duration else None)


def _command(first: SystemCall) -> tuple[str, ...]:
    words = next((part for part in split_arguments(first.arguments) if part.startswith("[")), "[]")
    if first.name != "execve":
        return ()
    # `-s` cuts long words off, and says so behind them.
    return tuple((unquote(word) or "") + "..." * word.endswith('"...') for word in split_arguments(words[1:-1]))


class _Grammar:
    """The lines of logs of one form."""

    def __init__(self, form: Form) -> None:
        self._call = re.compile(form.prefix + _CALL, re.DOTALL)
        self._start = re.compile(form.prefix + r"([\w?]+)\((.*)", re.DOTALL)
        self._other = re.compile(form.prefix + "(.*)", re.DOTALL)

    def call(self, line: str) -> tuple[str, ...] | None:
        """Process, time, name, arguments, result, error and duration of a whole line; None where it is no call."""
        found = self._call.fullmatch(line) if len(line) < _LONG else None
        if found is not None and ") =" not in found[4] and ")  " not in found[4]:
            return found.groups()
        return self._ambiguous(line)

    def _ambiguous(self, line: str) -> tuple[str, ...] | None:
        """The call of a line that may hold `) = ` in a string or in a path, by its real closing parenthesis."""
        start = self._start.fullmatch(line)
        end = end_of_arguments(start[4]) if start else None
        found = _AFTER.fullmatch(start[4], end) if start and end is not None else None
        if start is None or found is None:
            return None
        return (start[1], start[2], start[3], start[4][:end], *found.groups())

    def other(self, line: str) -> tuple[str, ...] | None:
        """Process, time and the rest of a line."""
        found = self._other.fullmatch(line)
        return found.groups() if found is not None else None


_grammar = functools.cache(_Grammar)
_BARE: Final = Form(processes="none", stamp="none")


class _Reading:
    """The lines of one log so far: finished calls, ended processes, and calls still under way by process."""

    def __init__(self, form: Form, main: int) -> None:
        self.calls: list[SystemCall] = []
        self.ends: list[ProcessEnd] = []
        self._form, self._grammar, self._clock = form, _grammar(form), Clock(form.stamp)
        self._main = main
        self._under_way: dict[int, tuple[float, str, str]] = {}
        self._alive: set[int] = set()
        self._foreign: list[int] = []
        self._detached: set[int] = set()
        self._number = 0

    def take(self, lines: Iterable[str]) -> None:
        alive, add, grammar = self._alive.add, self.calls.append, self._grammar
        rich = self._form.rich
        for number, line in enumerate(lines, 1):
            if line.startswith(_TABLE):
                break
            self._number = number
            whole = strace_form.plain(line) if rich else line
            found = None if line.endswith((" ...>", "+++", "---")) else grammar.call(whole)
            if found is not None:
                call = _made(self._process(found[0]), self._clock.seconds(found[1], number), found)
                add(call)
                alive(call.pid)
            elif not self._take_other(whole):
                self._foreign.append(number)

    def _process(self, text: str | None) -> int:
        if text:
            return int(text)
        alone = self._main not in self._alive and len(self._alive) == 1 and self.ends
        return next(iter(self._alive)) if alone else self._main

    def _take_other(self, line: str) -> bool:
        found = self._grammar.other(line)
        if self._form.foreign and (said := _SAID.fullmatch(line)):
            self._detached.update([int(said[1])] if said[1] else [])
            return True
        if found is None:
            return False
        pid, time, rest = self._process(found[0]), self._clock.seconds(found[1], self._number), found[2]
        self._alive.add(pid)
        if rest.endswith(_UNFINISHED) and "(" in rest:
            name, _, begun = rest.removesuffix(_UNFINISHED).partition("(")
            self._under_way[pid] = (time, name, begun)
        elif rest.endswith(_DETACHED) and "(" in rest:
            self._detach(pid, time, rest)
        elif resumed := _RESUMED.fullmatch(rest):
            return self._resume(pid, resumed[1], resumed[2])
        elif end := _END.fullmatch(rest):
            self._give_up(pid)
            self._end(ProcessEnd(pid, time, int(end[1]) if end[1] else None, end[2]))
        elif superseded := _SUPERSEDED.fullmatch(rest):
            self._supersede(pid, time, int(superseded[1]))
        else:
            return _REMARK.fullmatch(rest) is not None
        return True

    def _resume(self, pid: int, name: str, rest: str) -> bool:
        begun = self._under_way.get(pid)
        if begun is None or begun[1] != name:
            return False
        del self._under_way[pid]
        if rest.endswith(_DETACHED):
            self._detach(pid, begun[0], f"{name}({begun[2]}")
            return True
        # A call that its process did not survive is resumed as ` <unfinished ...>) = ?`.
        rest = rest.removeprefix(_UNFINISHED)
        if self._form.foreign and begun[2].endswith(" "):
            rest = rest.removeprefix(" ")  # strace before 5.0 repeats the blank
        found = _grammar(_BARE).call(f"{name}({begun[2]}{rest}")
        if found is not None:
            self.calls.append(_made(pid, begun[0], found))
        return found is not None

    def _detach(self, pid: int, time: float, rest: str) -> None:
        name, _, begun = rest.removesuffix(_DETACHED).partition("(")
        self._under_way[pid] = (time, name, begun.rstrip())
        self._give_up(pid)
        self._detached.add(pid)

    def _supersede(self, leader: int, time: float, thread: int) -> None:
        """A thread called execve: the process goes on under its leader's number (ptrace(2))."""
        self._give_up(leader)
        if thread in self._under_way:
            self._under_way[leader] = self._under_way.pop(thread)
        self._end(ProcessEnd(thread, time))

    def _give_up(self, pid: int) -> None:
        """The process died inside a call: it has no result."""
        if begun := self._under_way.pop(pid, None):
            self.calls.append(SystemCall(pid, begun[0], sys.intern(begun[1]), begun[2].rstrip(", "), "?"))

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
        if self._detached:
            problems.append(f"strace was detached from {len(self._detached)} of the processes")
        if alive := self._alive - self._detached:
            problems.append(f"the log stops before {len(alive)} of the processes ended")
        if self._form.processes == "none" and any(_creates(call) for call in self.calls):
            problems.append("the command made processes or threads that were not followed (`strace -f` follows them)")
        return tuple(problems)

    def gaps(self) -> tuple[str, ...]:
        """What the log does not tell, beyond what its form says."""
        timed = any(call.duration is not None for call in self.calls)
        return () if timed else ("the log has no durations (`strace -T` writes them)",)


def _creates(call: SystemCall) -> bool:
    return call.name in CREATION and call.error is None and call.result not in ("?", "0")


def _main_process(lines: Sequence[str], announced: Sequence[str]) -> int:
    """The number of the process that a log to the terminal tells without it until there is a second; 0 if never."""
    told = (found[1] for line in lines if (found := re.match(r"\[pid +(\d+)", line)))
    return int(next((number for number in told if number not in announced), 0))
