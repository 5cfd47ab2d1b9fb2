"""Repetitions of a command, untraced: how long each took, and what the command alone needed.

Each is started by a small process (`tools.repeating`), so that what we hold is not counted as the command's: its
peak is the kernel's mark (ru_maxrss of the command and what it waited for), exact above the 6 MiB or so that the
small process holds. All of it runs in a process group that ends with us.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from entrenar_research.errors import ToolError, UsageError
from entrenar_research.models.measured import Repetition
from entrenar_research.tools import execution, python, repeating

_NOT_FOUND: Final = (errno.ENOENT, errno.ENOTDIR)


@contextlib.contextmanager
def repeated(
    argv: Sequence[str], *, directory: Path, environment: Mapping[str, str]
) -> Iterator[Callable[[], Repetition]]:
    """Yields what runs the command once more: nothing on its standard input, its output discarded.

    However the block ends, no process of the command's group is left.

    Raises:
        UsageError: if the program is not there or cannot be started.
    """
    program = python.resolve(argv[0], environment, directory=directory)
    if program is None:
        raise UsageError(f"command not found: {argv[0]}")
    variables = [f"{name}={value}" for name, value in environment.items()]
    words = b"".join(os.fsencode(word) + b"\0" for word in (program, *argv, *variables))
    given = b"%016d%016d" % (len(words), len(argv)) + words
    with execution.guarded_group() as guard:
        starter = subprocess.Popen(
            [sys.executable, "-I", "-S", repeating.__file__],
            cwd=directory, env={}, process_group=guard.pid, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        try:
            _give(starter, given)
            yield lambda: _once(starter, argv[0])
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(guard.pid, signal.SIGKILL)
            starter.communicate()


def _give(starter: subprocess.Popen[bytes], data: bytes) -> None:
    if starter.stdin is not None:
        with contextlib.suppress(BrokenPipeError):  # it has ended: there will be no answer
            starter.stdin.write(data)
            starter.stdin.flush()


def _once(starter: subprocess.Popen[bytes], program: str) -> Repetition:
    _give(starter, b"\n")
    answer = starter.stdout.readline().decode() if starter.stdout is not None else ""
    if answer.startswith("- "):
        number = int(answer[2:])
        if number in _NOT_FOUND:
            raise UsageError(f"command not found: {program}")
        raise UsageError(f"cannot execute {program}: {os.strerror(number)}")
    words = answer.split()
    if len(words) != 5:
        raise ToolError(f"{program} could not be measured: the process that starts it ended")
    code = os.waitstatus_to_exitcode(int(words[4]))
    return Repetition(
        wall=float(words[0]),
        user=float(words[1]),
        system=float(words[2]),
        peak_memory=int(words[3]) * 1024,
        exit_status=128 - code if code < 0 else code,
    )
