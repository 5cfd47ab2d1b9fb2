"""Which options of strace a log was written with: what stands before each call (strace(1), "Output format control")."""

from __future__ import annotations

import re
from typing import Final, Literal

import msgspec

Processes = Literal["column", "bracket", "none"]
Stamp = Literal["epoch", "clock", "relative", "none"]

_PREFIXES: Final[dict[Processes, str]] = {
    "column": r"(\d+)(?:<[^<>]*>)? +",
    "bracket": r"(?:\[pid +(\d+)(?:<[^<>]*>)?\] )?",
    "none": "()",
}
_SECONDS: Final = r" *(\d+\.\d+) "
_STAMPS: Final[dict[Stamp, str]] = {
    "epoch": _SECONDS,
    "relative": _SECONDS,
    "clock": r"(\d+:\d\d:\d\d(?:\.\d+)?) ",
    "none": "()",
}
# -i prints the instruction pointer, -n the number of the call.
_EXTRAS: Final = r"(?:\[ *[0-9a-f?]+\] )*"
_BODY: Final = re.compile(r"[\w?]+\(|<\.\.\. \w+ resumed>|\+\+\+ |--- ")
_HEAD: Final = 1 << 16
_EXAMINED: Final = 200
_RICH: Final = re.compile(r"[\dD]<(?:[A-Z][A-Za-z0-9-]*:\[|[^<>\"]*<(?:char|block) )")
_STRING: Final = r'"(?:[^"\\]|\\.)*"'
_RICH_OBJECT: Final = re.compile(
    rf"{_STRING}|(?<=[\dD])<(?:[A-Z][A-Za-z0-9-]*:\[(?:{_STRING}|->|[^<>\"])*\]|([^<>\"]*)<(?:char|block) [^<>]*>)>",
    re.DOTALL,
)


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How each line of a log begins: with a process (-f), with a time (-ttt, -t or -tt, -r).

    `rich`: descriptors are told with -yy, sockets with their endpoints and devices with their numbers. `foreign`: not
    written by our own tracer; there may be instruction pointers (-i), numbers of calls (-n), stacks (-k) and remarks.
    """

    processes: Processes
    stamp: Stamp
    rich: bool = False
    foreign: bool = False

    @property
    def prefix(self) -> str:
        """A regular expression of two groups: the process and the time, either of which may be empty or absent."""
        return _PREFIXES[self.processes] + _STAMPS[self.stamp] + (_EXTRAS if self.foreign else "")

    @property
    def gaps(self) -> tuple[str, ...]:
        """What a log of this form does not tell, in words."""
        found = []
        if self.processes == "none":
            found.append("the log has no process numbers (`strace -f` writes them): its calls stand under number 0")
        if self.stamp == "none":
            found.append("the log has no times (`strace -ttt` writes them): every call is told to begin at 0")
        return tuple(found)


OWN: Final = Form(processes="column", stamp="epoch")
"""What our own tracer asks for: `strace -f -ttt -o`."""


def detect(text: str) -> Form | None:
    """The form of the log in `text`, or None if it does not begin with lines of strace's."""
    examined = [line for line in text[:_HEAD].split("\n")[:_EXAMINED] if line.strip()]
    several = text.startswith("[pid ") or "\n[pid " in text
    best: tuple[int, Form, re.Match[str]] | None = None
    for processes in _PREFIXES:
        if processes == "bracket" and not several:
            continue
        for stamp in ("epoch", "clock", "none"):
            form = Form(processes=processes, stamp=stamp, foreign=True)
            prefix = re.compile(form.prefix)
            matches = [found for line in examined if (found := prefix.match(line)) and _BODY.match(line, found.end())]
            if matches and (best is None or len(matches) > best[0]):
                best = (len(matches), form, matches[0])
    if best is None:
        return None
    form = best[1]
    if form.stamp == "epoch" and _is_relative(best[2]):
        form = msgspec.structs.replace(form, stamp="relative")
    return msgspec.structs.replace(form, rich=_RICH.search(text) is not None)


def _is_relative(first: re.Match[str]) -> bool:
    """Whether the first time of a log is one of -r: 0, six digits wide before the point."""
    padding = max(1, 6 - len(first[1])) if first[1] else 0
    before = first.string[: first.start(2)]
    return float(first[2]) == 0 and len(before) - len(before.rstrip(" ")) >= padding + 5


def plain(line: str) -> str:
    """A line of a log with -yy as -y writes it: a socket is `socket:`, a device its path."""
    return _RICH_OBJECT.sub(_plain_object, line)


def _plain_object(found: re.Match[str]) -> str:
    if found[0].startswith('"'):
        return found[0]
    return "<socket:>" if found[1] is None else f"<{found[1]}>"


class Clock:
    """Turns the times of one log, line by line, into seconds: since the epoch or, where that is unknown, since a start.

    Without times the number of the line stands in, so that what follows what is known.
    """

    def __init__(self, stamp: Stamp) -> None:
        self._stamp = stamp
        self._last = 0.0
        self._days = 0.0

    def seconds(self, text: str, line: int) -> float:
        """The time of a line; each line is to be asked for once, in order."""
        if self._stamp == "epoch":
            return float(text)
        if self._stamp == "none":
            return float(line)
        if self._stamp == "relative":
            self._last = round(self._last + float(text), 6)
            return self._last
        hours, minutes, seconds = text.split(":")
        now = self._days + int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if now < self._last - 43_200:  # past midnight
            self._days += 86_400
            now += 86_400
        self._last = max(self._last, now)
        return now
