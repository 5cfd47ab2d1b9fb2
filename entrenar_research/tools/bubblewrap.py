"""bubblewrap: a command in a world without network in which little can be written to."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

_SECONDS = 20.0
_MOST_SAID = 8192
_SCRATCH = "/dev/shm"  # noqa: S108 - inside, nobody else has it


@functools.cache
def unavailable() -> str | None:
    """Why it cannot be used here, or None when a trial has just gone well."""
    if process.which("bwrap") is None:
        return "bwrap (bubblewrap) is not installed or not on PATH"
    try:
        done = process.run(sealed(["true"], directory=Path("/"), writable=()), check=False, timeout=_SECONDS)
    except (MissingToolError, ToolError) as error:
        return error.message
    if done.status == 0:
        return None
    said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"a trial ended with status {done.status}"]
    return f"bwrap cannot make its world here: {said[-1]}"


def version() -> str | None:
    """The installed version, such as `0.8.0`, or None."""
    try:
        said = process.run(["bwrap", "--version"], check=False, timeout=_SECONDS).text
    except (MissingToolError, ToolError):
        return None
    return said.rpartition(" ")[2] or None


def sealed(argv: Sequence[str], *, directory: Path, writable: Iterable[Path]) -> list[str]:
    """The command line that runs `argv` in `directory`: no network, and nothing but `writable` can be written to.

    It has an empty place for temporary files (`TMPDIR`) and ends with whoever started it.
    """
    binds = [word for place in writable for word in ("--bind", str(place), str(place))]
    return [
        "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *binds, "--setenv", "TMPDIR", _SCRATCH,
        "--unshare-net", "--unshare-ipc", "--die-with-parent",
        "--chdir", str(directory), "--", *argv,
    ]  # fmt: skip


def refusal(stderr: Path) -> str | None:
    """Which program could not be started, and why, if that is all that was said."""
    said = stderr.read_bytes()[:_MOST_SAID].decode("utf-8", "replace").strip()
    found = re.fullmatch(r"bwrap: execvp (.+)", said)
    return found[1] if found else None
