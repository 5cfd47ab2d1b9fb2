"""The stacks that `strace -k` writes below each call: taken out of its log, and kept by thread and call.

    12 1700000000.000001 write(1<pipe:[7]>, "a", 1) = 1 <0.000009>
     > /usr/lib/x86_64-linux-gnu/libc.so.6(__write+0x14) [0xf8a44]
     > /home/me/a.out(save+0x1f) [0x1158]

The number in brackets is the place in the file (not the address that it is linked to) behind the instruction.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_FRAME: Final = re.compile(r" > (?P<file>.*?)\((?P<symbol>.*?)(?:\+0x[0-9a-f]+)?\) \[0x(?P<place>[0-9a-f]+)\]")
_CALL: Final = re.compile(r"(?P<thread>\d+) +(?P<time>\d+\.\d+) (?P<resumed><\.\.\. )?\w+(?:\(| resumed>)")

_ENDED: Final = re.compile(r"(\d+) +\d+\.\d+ \+\+\+ ")


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One level of a stack: the file that the code is from, the place in it, and its symbol, if it has one."""

    file: str
    place: int
    symbol: str


Stacks = dict[tuple[int, int], tuple[Frame, ...]]
"""The frames, from the inside out, by the thread of a call and when that began (microseconds since 1970)."""


class Divided(msgspec.Struct, frozen=True):
    """A log without stacks, as strace writes it without -k; the stacks; how many of their lines were unreadable."""

    log: str
    stacks: Stacks
    unreadable: int


def divide(text: str) -> Divided:
    """Takes the stacks out of the text of a log."""
    lines: list[str] = []
    stacks: dict[tuple[int, int], list[Frame]] = {}
    under_way: dict[int, int] = {}
    last: dict[int, tuple[int, int]] = {}
    call: tuple[int, int] | None = None
    unreadable = 0
    for line in text.split("\n"):
        if line.startswith(" > "):
            found = _FRAME.fullmatch(line)
            if found is None or call is None:
                unreadable += 1
            else:
                frame = Frame(found["file"], int(found["place"], 16), found["symbol"])
                stacks.setdefault(call, []).append(frame)
            continue
        lines.append(line)
        call = _finished(line, under_way)
        if call is not None:
            last[call[0]] = call
        elif found := _ENDED.match(line):
            call = last.pop(int(found[1]), None)  # the stack of a call that did not come back follows its end
    return Divided("\n".join(lines), {call: tuple(frames) for call, frames in stacks.items()}, unreadable)


def _finished(line: str, under_way: dict[int, int]) -> tuple[int, int] | None:
    """Thread and beginning of the call that a line finishes; None if it finishes none."""
    found = _CALL.match(line)
    if found is None:
        return None
    thread, moment = int(found["thread"]), round(float(found["time"]) * 1e6)
    if found["resumed"]:
        moment = under_way.pop(thread, moment)
    if line.endswith("<unfinished ...>"):
        under_way[thread] = moment
        return None
    return thread, moment
