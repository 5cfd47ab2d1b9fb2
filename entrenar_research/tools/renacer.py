"""renacer: where it is, what it can do here, and the command line that traces with it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

_SELF_TEST_SECONDS = 10.0
_FORM = "-f -T --format json"


def version() -> str | None:
    """The installed version, such as `0.6.6`, or None."""
    try:
        said = process.run(["renacer", "--version"], check=False, timeout=_SELF_TEST_SECONDS).text
    except (MissingToolError, ToolError):
        return None
    found = re.fullmatch(r"renacer (\S+)", said)
    return found[1] if found else None


def unavailable() -> str | None:
    """Why renacer cannot trace here, or None when it has just traced a program and seen a call of it."""
    if process.which("renacer") is None:
        return "renacer is not installed or not on PATH"
    argv = ["renacer", *_FORM.split(), "--", "sh", "-c", "exit 7"]
    try:
        done = process.run(argv, check=False, timeout=_SELF_TEST_SECONDS)
    except (MissingToolError, ToolError) as error:
        return error.message
    if done.status == 7 and b'"name": "mmap"' in done.stdout and b'"exit_code": 7' in done.stdout:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"it ended with status {done.status}"]
    return f"a trial of renacer saw nothing: {said[-1]}"


def tracing(argv: Sequence[str], log: Path, classes: str | None) -> list[str]:
    """The command line that runs `argv` under renacer, whose JSON goes to `log`.

    renacer prints its JSON where the program prints too. So it starts a shell whose standard output is the log, and
    which gives the program the real one back: descriptor 3, closed before the program begins.
    """
    chosen = f"-e trace={classes} " if classes else ""
    inner = shlex.quote('exec "$@" >&3 3>&-')
    outer = f"exec 3>&1 >{shlex.quote(str(log.absolute()))}; exec renacer {_FORM} {chosen}-- sh -c {inner} sh "
    return ["sh", "-c", outer + '"$@"', "sh", *argv]
