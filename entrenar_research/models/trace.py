"""A trace: the system calls that one command made, in the order in which they ended or were seen."""

from __future__ import annotations

import msgspec


class SystemCall(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One system call.

    `time` is when it began, in seconds since the epoch, `duration` seconds (None where the tracer gave none);
    `arguments` is the decoded text between the parentheses; `result` the first word after `=` (`3`, `-1`,
    `0x7f...`, `?`), with the path that a descriptor stands for where the tracer shows it (`3</etc/hosts>`);
    `error` the errno name when the call failed.
    """

    pid: int
    time: float
    name: str
    arguments: str
    result: str
    error: str | None = None
    duration: float | None = None


class ProcessEnd(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A process or thread that ended: with `status`, or killed by `signal` (its name).

    Neither is set for a thread that called execve and lives on under its process's own number.
    """

    pid: int
    time: float
    status: int | None = None
    signal: str | None = None


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of a command and its children; not `complete` when the log was cut or lines were lost.

    `lost` is how many calls the tracer knows to have missed.
    """

    tracer: str
    level: str
    command: tuple[str, ...]
    calls: tuple[SystemCall, ...]
    ends: tuple[ProcessEnd, ...] = ()
    complete: bool = True
    problems: tuple[str, ...] = ()
    lost: int = 0
