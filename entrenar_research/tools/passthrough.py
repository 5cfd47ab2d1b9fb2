"""Running a person's own command in the foreground: streams, terminal and signals are the command's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from entrenar_research.errors import UsageError
from entrenar_research.tools import tracees

_FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


def run(argv: Sequence[str], *, environment: Mapping[str, str]) -> int:
    """Runs `argv` to its end and gives its exit status, `-n` if signal n killed it.

    The terminal signals the whole process group, so SIGINT and SIGQUIT reach the command by themselves and are its
    business; SIGTERM and SIGHUP are passed on to what `argv` has started: a tracer lets none of them through. If this
    process is killed, `argv` is, and what it traces.

    Raises:
        UsageError: if the program cannot be started.
    """
    with _signals_for_the_command() as children, tracees.dying_with_us() as guard:
        try:
            child = subprocess.Popen(list(argv), env=dict(environment))
        except FileNotFoundError as error:
            raise UsageError(f"command not found: {argv[0]}") from error
        except OSError as error:
            raise UsageError(f"cannot execute {argv[0]}: {error.strerror}") from error
        children.append(child)
        tracees.tell(guard, child.pid)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return child.wait()


def die_of(number: int) -> None:
    """Ends this process by signal `number`, as the command that it stood for ended; without a core of its own."""
    if number not in (signal.SIGKILL, signal.SIGSTOP):  # which have no other
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on every platform

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    os.kill(os.getpid(), number)


def _started_by(process: int) -> list[int]:
    with contextlib.suppress(OSError), open(f"/proc/{process}/task/{process}/children", encoding="ascii") as stream:
        return [int(word) for word in stream.read().split()]
    return []


@contextlib.contextmanager
def _signals_for_the_command() -> Iterator[list[subprocess.Popen[bytes]]]:
    children: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        for child in children:
            for process in _started_by(child.pid) or [child.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, number)

    def leave(number: int, frame: FrameType | None) -> None:
        """A handler, not SIG_IGN: what is ignored here would be ignored in the command as well."""
        del number, frame

    before = {number: signal.getsignal(number) for number in (*_FROM_THE_TERMINAL, *_PASSED_ON)}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, leave if number in _FROM_THE_TERMINAL else pass_on)
        yield children
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
