"""The command line: parse, call one action, draw, exit code. This file is all that `--version` loads."""

from __future__ import annotations

import sys


def main() -> int:
    """The entry point of `entrenar-research`."""
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        from entrenar_research import __version__

        sys.stdout.write(f"entrenar-research {__version__}\n")
        return 0
    from entrenar_research.cli.front import enter

    return enter(arguments)
