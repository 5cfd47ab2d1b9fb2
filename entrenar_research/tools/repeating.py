"""The small program that starts a measured command: run as a file, without `site`, it imports next to nothing.

Linux counts what the parent holds towards the child's peak: `exec_mmap` keeps the mark of the memory that execve
leaves. A command that a large process starts seems at least as large. This one holds about 6 MiB when it forks.

On its standard input it is given two numbers of 16 digits, how many bytes follow and how many words of these are the
command, then words that end in NUL: the program's path, the command, the environment. Each further byte asks for one
repetition, and is answered with a line: wall, user and system seconds, peak KiB, wait status; `-` and an error number
where the program could not be started.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` itself imports enum and more
import posix
import time

_NULL = "/dev/null"
_IGNORED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)


def _become(program: bytes, argv: list[bytes], environment: dict[bytes, bytes], told: int) -> None:
    """In the child: no input, no output, the command; why it cannot be started is written to `told`."""
    try:
        for number in _IGNORED_BY_PYTHON:
            _signal.signal(number, _signal.SIG_DFL)
        null = posix.open(_NULL, posix.O_RDWR | posix.O_CLOEXEC)
        for stream in (0, 1, 2):
            posix.dup2(null, stream)
        posix.execve(program, argv, environment)
    except OSError as error:
        posix.write(told, str(error.errno).encode())
    finally:
        posix._exit(127)  # noqa: SLF001


def _once(program: bytes, argv: list[bytes], environment: dict[bytes, bytes]) -> str:
    read, write = posix.pipe()  # both are closed by execve: the end of the pipe says that it went well
    began = time.monotonic()
    child = posix.fork()
    if child == 0:
        _become(program, argv, environment, write)
    posix.close(write)
    refusal = posix.read(read, 16)
    _, status, usage = posix.wait4(child, 0)
    wall = time.monotonic() - began
    posix.close(read)
    if refusal:
        return f"- {refusal.decode()}"
    return f"{wall:.9f} {usage.ru_utime:.6f} {usage.ru_stime:.6f} {usage.ru_maxrss} {status}"


def _read(length: int) -> bytes:
    """So many bytes of standard input; zeros where it ends before."""
    found = b""
    while len(found) < length:
        found += posix.read(0, length - len(found)) or b"0" * (length - len(found))
    return found


def main() -> None:
    """Reads what to run from standard input, and runs it once for every further byte there."""
    length, count = int(_read(16)), int(_read(16))
    given = _read(length)
    program, *words = given.split(b"\0")[:-1]
    argv, variables = words[:count], [word.split(b"=", 1) for word in words[count:]]
    while posix.read(0, 1):
        answer = _once(program, argv, {name: value for name, value in variables})  # noqa: C416
        posix.write(1, f"{answer}\n".encode())


if __name__ == "__main__":
    main()
