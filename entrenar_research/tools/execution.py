"""Executing a study's own command: streams into files, resources measured, signals passed on.

The command runs in a process group of its own, led by a guard: a shell that waits for the end of a pipe whose
other end is here, then kills the group, and what a tracer in it traces. However this process ends, by SIGKILL too,
nothing of the command outlives it: neither the tracer's tracee nor what a shell has started (PR_SET_PDEATHSIG reaches
only the child); untraced, what has left the group does.
A signal from the terminal reaches this process alone and is passed on once, to all of the group.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from entrenar_research.errors import UsageError
from entrenar_research.models.run import Usage
from entrenar_research.tools import tracees, watching

_GUARD = f'trap "" HUP INT QUIT TERM; echo; {tracees.AFTER_US}kill -s KILL 0'
_GRACE_SECONDS = 5.0
_ECHO_SECONDS = 0.05
_HALT_SECONDS = 0.2


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended: status as a shell gives it (128 + n for signal n), signal name, resources.

    `processes` are the ids of those of its processes that were seen. `halted` is why we stopped it.
    """

    exit_status: int
    signal: str | None
    usage: Usage
    seconds: float
    interrupted: bool
    processes: frozenset[int] = frozenset()
    halted: str | None = None


def execute(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    echo: bool | Literal["stderr"] = False,
    halt: Callable[[], str | None] | None = None,
) -> Outcome:
    """Runs `argv` to its end. With `echo` what it writes also appears on our own streams while it runs, or on one.

    `halt` is asked a few times a second whether the command is to be stopped: once it says why, the group is given
    SIGTERM, and SIGKILL five seconds later.

    An interrupt (Ctrl-C, SIGTERM) is given to the command's process group as SIGINT (as SIGTERM where SIGINT is
    ignored, as in the background of a script); it has five seconds, or until the second interrupt, before it is
    killed. When this returns, no process of the group is left.

    Raises:
        OSError: if the files for its output cannot be made.
        UsageError: if the program cannot be started.
    """
    started = time.monotonic()
    with guarded_group() as guard:
        group = guard.pid
        watch = watching.Watch(group)
        try:
            child = _start(argv, cwd, env, (stdout, stderr), group)
            tracees.tell(guard, child.pid)
            watch.follow(child.pid)
            followers = [_Follower(stdout, sys.stdout.buffer)] if echo is True else []
            followers += [_Follower(stderr, sys.stderr.buffer)] if echo else []
            stop = _Stop(group, child.pid, halt)
            waited = _wait(child.pid, stop, followers)
        finally:
            seen = watch.end()
        child.returncode = os.waitstatus_to_exitcode(waited[0])
        seconds = time.monotonic() - started
    for follower in followers:
        follower.copy()
    return _outcome(waited, seconds, seen, stop)


@contextlib.contextmanager
def guarded_group() -> Iterator[subprocess.Popen[bytes]]:
    """The leader of a process group that is killed at the end of the block, and when this process dies before that."""
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD], cwd="/", env={}, process_group=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if guard.stdout is not None:
            guard.stdout.read(1)  # from here on it ignores what is sent to its group
        yield guard
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        guard.communicate()


def _start(
    argv: Sequence[str], cwd: Path, env: Mapping[str, str], streams: tuple[Path, Path], group: int
) -> subprocess.Popen[bytes]:
    out, err = (stream.open("wb") for stream in streams)
    with out, err:
        try:
            return subprocess.Popen(
                list(argv), cwd=cwd, env=dict(env), process_group=group,
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise UsageError(f"command not found: {argv[0]}") from error
        except OSError as error:
            raise UsageError(f"cannot execute {argv[0]}: {error.strerror}") from error


class _Follower:
    """Copies what is appended to a file to a stream."""

    def __init__(self, source: Path, target: BinaryIO) -> None:
        self._descriptor = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        self._target = target

    def copy(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            while data := os.read(self._descriptor, 1 << 16):
                self._target.write(data)
            self._target.flush()

    def __del__(self) -> None:
        os.close(self._descriptor)


class _Stop:
    """Ends a process group before its time: gently, and by force when that has not helped.

    By force ends also what its process `child` traces and what is in no group of ours.
    """

    def __init__(self, group: int, child: int, halt: Callable[[], str | None] | None) -> None:
        self._group, self._child, self._halt = group, child, halt
        self._deadline: float | None = None
        self.interrupted = False
        self.halted: str | None = None

    @property
    def pause(self) -> float:
        """For how long there is nothing to do here, in seconds."""
        if self._deadline is not None:
            return _ECHO_SECONDS
        return _HALT_SECONDS if self._halt is not None else math.inf

    def look(self) -> None:
        """Asks whether to stop; by force once the time is up."""
        if self._deadline is not None:
            if time.monotonic() > self._deadline:
                self._end(signal.SIGKILL)
        elif self._halt is not None:
            self.halted = self._halt()
            if self.halted is not None:
                self._end(signal.SIGTERM)

    def interrupt(self) -> None:
        """Stops it because the person said so; the second time by force."""
        again, self.interrupted = self.interrupted, True
        self._end(signal.SIGKILL if again else _gentle())

    def _end(self, number: signal.Signals) -> None:
        if number is signal.SIGKILL:
            tracees.kill(self._child)
        os.killpg(self._group, number)
        self._deadline = time.monotonic() + _GRACE_SECONDS


def _wait(pid: int, stop: _Stop, followers: Sequence[_Follower]) -> tuple[int, float, float, int]:
    """Waits for the child: wait status, user seconds, system seconds, peak KiB."""
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        while True:
            try:
                pause = min(stop.pause, _ECHO_SECONDS if followers else math.inf)
                if poll.poll(None if pause == math.inf else 1000 * pause + 1):
                    break
                for follower in followers:
                    follower.copy()
                stop.look()
            except KeyboardInterrupt:
                stop.interrupt()
        _, status, usage = os.wait4(pid, 0)
    finally:
        os.close(descriptor)
    return status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss


def _gentle() -> signal.Signals:
    """What asks a command to stop: an ignored SIGINT stays ignored in what we start (execve(2))."""
    return signal.SIGTERM if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else signal.SIGINT


def _outcome(waited: tuple[int, float, float, int], seconds: float, seen: watching.Seen, stop: _Stop) -> Outcome:
    code = os.waitstatus_to_exitcode(waited[0])
    name: str | None = None
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
        name = name or f"signal {-code}"
    usage = Usage(
        user_seconds=round(waited[1], 6),
        system_seconds=round(waited[2], 6),
        peak_memory=seen.peak(waited[3] * 1024),
        group_memory=seen.memory,
        gpu_memory=seen.gpu_memory,
        gpu_scope=seen.gpu_scope,
    )
    return Outcome(
        exit_status=128 - code if code < 0 else code,
        signal=name,
        usage=usage,
        seconds=round(seconds, 6),
        interrupted=stop.interrupted,
        processes=seen.processes,
        halted=stop.halted,
    )
