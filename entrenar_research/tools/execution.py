"""Executing a study's own command: streams into files, resources measured, signals passed on.

The command runs in a process group of its own, led by a guard: a shell that waits for the end of a pipe whose
other end is here, then kills the group. However this process ends, by SIGKILL too, nothing of the command
outlives it: neither the tracer's tracee nor what a shell has started (PR_SET_PDEATHSIG reaches only the child).
A signal from the terminal reaches this process alone and is passed on once, to all of the group.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from entrenar_research.errors import UsageError
from entrenar_research.models.run import Usage

_GUARD = 'trap "" HUP INT QUIT TERM; echo; read -r end; kill -s KILL 0'
_GRACE_SECONDS = 5.0
_ECHO_SECONDS = 0.05


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended: status as a shell gives it (128 + n for signal n), signal name, resources."""

    exit_status: int
    signal: str | None
    usage: Usage
    seconds: float
    interrupted: bool


def execute(
    argv: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdout: Path,
    stderr: Path,
    echo: bool = False,
) -> Outcome:
    """Runs `argv` to its end. With `echo` what it writes also appears on our own streams while it runs.

    An interrupt (Ctrl-C, SIGTERM) is given to the command's process group as SIGINT (as SIGTERM where SIGINT is
    ignored, as in the background of a script); it has five seconds, or until the second interrupt, before it is
    killed. When this returns, no process of the group is left.

    Raises:
        OSError: if the files for its output cannot be made.
        UsageError: if the program cannot be started.
    """
    started = time.monotonic()
    with _guarded_group() as group:
        child = _start(argv, cwd, env, (stdout, stderr), group)
        followers = [_Follower(stdout, sys.stdout.buffer), _Follower(stderr, sys.stderr.buffer)] if echo else []
        waited, interrupted = _wait(child.pid, group, followers)
        child.returncode = os.waitstatus_to_exitcode(waited[0])
    for follower in followers:
        follower.copy()
    return _outcome(waited, time.monotonic() - started, interrupted=interrupted)


@contextlib.contextmanager
def _guarded_group() -> Iterator[int]:
    """A process group that is killed at the end of the block, and when this process dies before that."""
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD], cwd="/", env={}, process_group=0,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        if guard.stdout is not None:
            guard.stdout.read(1)  # from here on it ignores what is sent to its group
        yield guard.pid
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


def _wait(pid: int, group: int, followers: Sequence[_Follower]) -> tuple[tuple[int, float, float, int], bool]:
    """Waits for the child; (wait status, user s, system s, peak KiB) and whether we were interrupted."""
    descriptor = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline: float | None = None
    interrupted = False
    try:
        while True:
            try:
                timeout = _ECHO_SECONDS if followers or deadline is not None else None
                if poll.poll(None if timeout is None else timeout * 1000):
                    break
                for follower in followers:
                    follower.copy()
                if deadline is not None and time.monotonic() > deadline:
                    os.killpg(group, signal.SIGKILL)
            except KeyboardInterrupt:
                os.killpg(group, signal.SIGKILL if interrupted else _gentle())
                interrupted, deadline = True, time.monotonic() + _GRACE_SECONDS
        _, status, usage = os.wait4(pid, 0)
    finally:
        os.close(descriptor)
    return (status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss), interrupted


def _gentle() -> signal.Signals:
    """What asks a command to stop: an ignored SIGINT stays ignored in what we start (execve(2))."""
    return signal.SIGTERM if signal.getsignal(signal.SIGINT) is signal.SIG_IGN else signal.SIGINT


def _outcome(waited: tuple[int, float, float, int], seconds: float, *, interrupted: bool) -> Outcome:
    code = os.waitstatus_to_exitcode(waited[0])
    name: str | None = None
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
        name = name or f"signal {-code}"
    usage = Usage(user_seconds=round(waited[1], 6), system_seconds=round(waited[2], 6), peak_memory=waited[3] * 1024)
    return Outcome(
        exit_status=128 - code if code < 0 else code,
        signal=name,
        usage=usage,
        seconds=round(seconds, 6),
        interrupted=interrupted,
    )
