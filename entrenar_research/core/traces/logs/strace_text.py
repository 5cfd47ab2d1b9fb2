"""A documented trace as strace writes it (`strace -f -ttt -T -y -o`): for people and programs that read such logs."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from entrenar_research.models.documented import DocumentedCall, DocumentedEnd

_BEFORE_RESULT: Final = 39  # columns, as strace has it
_WAITING: Final = "To be restarted"


def lines(calls: Iterable[DocumentedCall], ends: Sequence[DocumentedEnd] = (), *, timed: bool = True) -> Iterator[str]:
    """The lines of a log of `calls`, in their order, and of `ends`, with seconds since the trace began if `timed`."""
    following = sorted(ends, key=lambda end: end.at) if timed else []
    for call in calls:
        while following and following[0].at < call.began + (call.took or 0):
            yield _end(following.pop(0), timed=timed)
        yield _call(call, timed=timed)
    for end in following if timed else ends:
        yield _end(end, timed=timed)


def _call(call: DocumentedCall, *, timed: bool) -> str:
    head = f"{_start(call.thread, call.began, timed=timed)}{call.name}({call.arguments})"
    said = f" {call.error} ({_meaning(call.error)})" if call.error else ""
    spent = "" if call.took is None else f" <{call.took / 1e9:.6f}>"
    return f"{head:<{_BEFORE_RESULT}} = {call.result}{said}{spent}"


def _end(end: DocumentedEnd, *, timed: bool) -> str:
    how = f"killed by {end.signal}" if end.signal else f"exited with {end.status or 0}"
    return f"{_start(end.thread, end.at, timed=timed)}+++ {how} +++"


def _start(thread: int, at: int, *, timed: bool) -> str:
    return f"{thread:<5} " + (f"{at / 1e9:.6f} " if timed else "")


def _meaning(error: str) -> str:
    number = getattr(errno, error, None)
    return os.strerror(number) if number is not None else _WAITING
