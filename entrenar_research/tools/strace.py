"""strace: where it is, what it can do here, and the command lines that trace with it."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

# What tells reads from writes and the network from files. A leading ? lets strace pass over a name that the
# processor or this strace does not know. io_uring is there because files can be reached past strace with it.
OBSERVED = "%file,%process,%network,fchdir,?open_by_handle_at,?io_uring_setup"
_SELF_TEST_SECONDS = 5.0


def version() -> str | None:
    """The installed version, such as `6.1`, or None."""
    try:
        said = process.run(["strace", "-V"], check=False, timeout=_SELF_TEST_SECONDS).text
    except (MissingToolError, ToolError):
        return None
    found = re.search(r"version (\S+)", said)
    return found[1] if found else None


def unavailable() -> str | None:
    """Why strace cannot trace here, or None when it has just traced a program from its start."""
    if process.which("strace") is None:
        return "strace is not installed or not on PATH"
    return _trial(())


def full(argv: Sequence[str], log: Path) -> list[str]:
    """The command line that writes every call of `argv` into `log`.

    Addresses are not randomised where that may be switched off, so that whatever depends on them repeats.
    """
    return [*_fixed_addresses(), "strace", *_form(log), "-s", "256", "--", *argv]


def observing(argv: Sequence[str], log: Path) -> list[str]:
    """The command line that writes the file, process and network calls of `argv` into `log`.

    The other calls run undisturbed behind a seccomp filter where strace and the kernel have it.
    """
    return ["strace", *_filter(), *_form(log), "-e", f"trace={OBSERVED}", "--", *argv]


def _form(log: Path) -> list[str]:
    # The path is absolute: the command starts elsewhere, and strace takes `-o |name` for a program to start.
    return ["-f", "-ttt", "-T", "-y", "-o", str(log.absolute())]


@functools.cache
def _filter() -> tuple[str, ...]:
    return ("--seccomp-bpf",) if _trial((), "--seccomp-bpf") is None else ()


@functools.cache
def _fixed_addresses() -> tuple[str, ...]:
    found = process.which("setarch") is not None and _trial(("setarch", "-R")) is None
    return ("setarch", "-R") if found else ()


def _trial(before: tuple[str, ...], *options: str) -> str | None:
    """Traces the start of a small program (strace itself): None if it was seen, otherwise why not."""
    form = ["-f", "-e", "trace=execve", "-o", "/dev/stdout"]
    argv = [*before, "strace", *options, *form, "--", "strace", "-V"]
    try:
        done = process.run(argv, check=False, timeout=_SELF_TEST_SECONDS)
    except (MissingToolError, ToolError) as error:
        return error.message
    if done.status == 0 and b"execve(" in done.stdout and b"+++ exited with 0 +++" in done.stdout:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"it ended with status {done.status}"]
    refused = [line for line in said if "Operation not permitted" in line]
    # The last line of a refusal tells of its consequences, with a process number that is another each time.
    return f"tracing is forbidden here: {refused[0]}" if refused else f"a trial of strace saw nothing: {said[-1]}"
