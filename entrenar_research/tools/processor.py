"""The processor we run on."""

from __future__ import annotations

import platform
from pathlib import Path

from entrenar_research.core.nix import cpu_features
from entrenar_research.errors import MissingToolError

_CPUINFO = Path("/proc/cpuinfo")


def require(floor: str) -> None:
    """Refuses to go on with a processor below `floor`, such as `x86-64-v3`.

    The pins of a closure lock make libraries take code for that one: a lesser one would end with SIGILL.

    Raises:
        MissingToolError: if the processor is another or cannot do all of it.
    """
    machine = platform.machine()
    if machine != "x86_64":
        raise MissingToolError(
            f"this machine is {machine}; the toolchain of the closure lock is for x86_64",
            hint="run on an x86-64 Linux machine, or with `--runner host`",
        )
    try:
        present = cpu_features.flags(_CPUINFO.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return  # no /proc: nothing is known against it
    lacking = cpu_features.lacking(floor, present) if present else ()
    if lacking:
        raise MissingToolError(
            f"this processor is below {floor}, which the closure lock asks for: it lacks {', '.join(lacking)}",
            hint="run on a processor made since about 2015 (Haswell, Zen or later), or with `--runner host`",
        )
