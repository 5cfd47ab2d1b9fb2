"""Whether the strace that is here can show the native stack of each call (`strace -k`)."""

from __future__ import annotations

import functools

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

_SECONDS = 5.0


@functools.cache
def shown() -> bool:
    """Whether a trial showed one: strace is built with libunwind, with libdw, or without either."""
    argv = ["strace", "-k", "-e", "trace=exit_group", "-o", "/dev/stdout", "--", "strace", "-V"]
    try:
        done = process.run(argv, check=False, timeout=_SECONDS)
    except (MissingToolError, ToolError):
        return False
    return done.status == 0 and b"\n > " in done.stdout
