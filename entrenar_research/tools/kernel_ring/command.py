"""The command line that traces, and whether tracing works here."""

from __future__ import annotations

import functools
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from entrenar_research.errors import IntegrityError, MissingToolError, ToolError
from entrenar_research.tools import process
from entrenar_research.tools.kernel_ring import numbers, perf, reading

# Python without site, environment variables and the current directory: what lies there is the command's.
_PROGRAM: Final = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from entrenar_research.tools.kernel_ring.launch import launch; launch(*sys.argv[1:4], sys.argv[4:])"
)
_ROOT: Final = Path(__file__).resolve().parents[3]
_OLDEST: Final = (5, 3)
"""The first Linux that tells a tracer what call a thread stopped at (PTRACE_GET_SYSCALL_INFO)."""
_TRIAL_SECONDS: Final = 20.0
_PARANOIA: Final = Path("/proc/sys/kernel/perf_event_paranoid")
_FOUND: Final[dict[str, tuple[int, int]]] = {}
"""The numbers of the events with which the trial of a level was made: the same until this kernel ends."""


def tracing(argv: Sequence[str], level: str, path: Path) -> list[str]:
    """The command line that runs `argv` traced at `level` into the log `path`."""
    known = ",".join(map(str, _FOUND.get("full", ()))) if level == "full" else ""
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, str(_ROOT), level, known, str(path.absolute()), *argv]


def version() -> str | None:
    """The version of the Linux kernel, or None elsewhere."""
    return platform.release() if platform.system() == "Linux" else None


@functools.cache
def unavailable(level: str) -> str | None:
    """Why a command cannot be traced at `level` here, or None when a small one has just been."""
    if platform.system() != "Linux":
        return f"the kernel tracer needs Linux, this is {platform.system()}"
    if platform.machine() not in numbers.AUDIT_ARCHITECTURES:
        known = ", ".join(sorted(numbers.AUDIT_ARCHITECTURES))
        return f"the kernel tracer knows the system calls of {known}, not of {platform.machine()}"
    release = platform.release()
    if tuple(map(int, re.findall(r"\d+", release)[:2])) < _OLDEST:
        return f"the kernel tracer needs Linux {'.'.join(map(str, _OLDEST))} or newer, this is {release}"
    with tempfile.TemporaryDirectory(prefix="entrenar-trial-") as directory:
        path = Path(directory) / "log"
        argv = [sys.executable, "-I", "-S", "-c", "raise SystemExit(7)"]
        try:
            done = process.run(tracing(argv, level, path), check=False, timeout=_TRIAL_SECONDS)
            if done.status == 7:
                found = reading.read(path)
                if (blind := _blind(found, argv[0])) is None and level == "full":
                    _FOUND[level] = found.events
                    perf.keep_switched_on(platform.machine())
                return blind
        except (MissingToolError, ToolError, IntegrityError) as error:
            return f"a trial of the kernel tracer failed: {error.message}"
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    reason = said[-1].removeprefix("entrenar-research: ") if said else f"a trial ended with status {done.status}"
    return f"{reason}{_paranoia()}" if "perf" in reason or "tracefs" in reason else reason


def _blind(found: reading.Reading, program: str) -> str | None:
    """Why what was seen of the trial cannot be all of it, or None."""
    first = found.calls[0]
    if found.problems:
        return f"a trial of the kernel tracer was not complete: {found.problems[0]}"
    if first.name != "execve" or program not in first.arguments or first.result != "0":
        return f"a trial of the kernel tracer did not see the program's start, but {first.name}"
    if not found.ends or found.ends[-1].status != 7:
        return "a trial of the kernel tracer did not see the program's end"
    return None


def _paranoia() -> str:
    """What the kernel's setting has to do with it."""
    try:
        value = _PARANOIA.read_text(encoding="ascii").strip()
    except OSError:
        return "; this kernel has no perf events"
    return f" (kernel.perf_event_paranoid is {value}: above 1 only root and CAP_PERFMON may record system calls)"
