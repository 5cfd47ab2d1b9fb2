"""Executing a study's own command: streams into files, resources measured, signals passed on."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec

from entrenar_research.errors import UsageError
from entrenar_research.models.run import Usage

_PR_SET_PDEATHSIG = 1
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

    An interrupt (Ctrl-C, SIGTERM) is given to the command, which has five seconds before it is killed;
    if this process is killed, the command is killed as well (PR_SET_PDEATHSIG).

    Raises:
        UsageError: if the program cannot be started.
    """
    started = time.monotonic()
    with stdout.open("wb") as out, stderr.open("wb") as err:
        try:
            child = subprocess.Popen(
                list(argv), cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                preexec_fn=_die_with_parent(os.getpid()),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise UsageError(f"command not found: {argv[0]}") from error
        except (PermissionError, OSError) as error:
            raise UsageError(f"cannot execute {argv[0]}: {error.strerror}") from error
    followers = [_Follower(stdout, sys.stdout.buffer), _Follower(stderr, sys.stderr.buffer)] if echo else []
    waited, interrupted = _wait(child.pid, followers)
    child.returncode = os.waitstatus_to_exitcode(waited[0])
    for follower in followers:
        follower.copy()
    return _outcome(waited, time.monotonic() - started, interrupted)


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


def _die_with_parent(parent: int) -> Callable[[], None]:
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(127)

    return prepare


def _wait(pid: int, followers: Sequence[_Follower]) -> tuple[tuple[int, float, float, int], bool]:
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
                    os.kill(pid, signal.SIGKILL)
            except KeyboardInterrupt:
                os.kill(pid, signal.SIGKILL if interrupted else signal.SIGINT)
                interrupted, deadline = True, time.monotonic() + _GRACE_SECONDS
        _, status, usage = os.wait4(pid, 0)
    finally:
        os.close(descriptor)
    return (status, usage.ru_utime, usage.ru_stime, usage.ru_maxrss), interrupted


def _outcome(waited: tuple[int, float, float, int], seconds: float, interrupted: bool) -> Outcome:
    code = os.waitstatus_to_exitcode(waited[0])
    name: str | None = None
    if code < 0:
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
        name = name or f"signal {-code}"
    usage = Usage(
        user_seconds=round(waited[1], 6), system_seconds=round(waited[2], 6), peak_memory=waited[3] * 1024
    )
    return Outcome(
        exit_status=128 - code if code < 0 else code,
        signal=name,
        usage=usage,
        seconds=round(seconds, 6),
        interrupted=interrupted,
    )
