"""The command line: parse, call one action, draw, exit code. This file is all that `--version` loads."""

from __future__ import annotations

import contextlib
import os
import sys


def main() -> int:
    """The entry point of `entrenar-research`."""
    _open_missing_streams()
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from entrenar_research import __version__

        with contextlib.suppress(OSError):  # no reader, no space: `enter` tries again and says so
            os.write(1, f"entrenar-research {__version__}\n".encode())
            return 0
    from entrenar_research.cli.front import enter

    return enter(arguments)


def _open_missing_streams() -> None:
    """Opens /dev/null in place of standard streams that were closed: the next file would take their number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, os.fdopen(number, mode, closefd=False, encoding="utf-8"))
