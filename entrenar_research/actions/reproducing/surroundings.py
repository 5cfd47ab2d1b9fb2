"""What of this machine decides how factors are varied: its locales, the CPU features that NumPy would use."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Final

from entrenar_research.core.reproducing.factors import Here
from entrenar_research.errors import ResearchError
from entrenar_research.tools import process, python

_SECONDS: Final = 30.0
_APART: Final = 2
"""Seconds: as coarse as any clock that archives note."""
_ENTROPY: Final = 1 << 20
_ASK: Final = """\
import json
try:
    from numpy._core import _multiarray_umath as m
except ImportError:
    try:
        from numpy.core import _multiarray_umath as m
    except ImportError:
        m = None
has = getattr(m, "__cpu_features__", {})
print(json.dumps([name for name in getattr(m, "__cpu_dispatch__", []) if has.get(name)]))
"""


def here(threads: int, program: str, machine: str) -> Here:
    """What a command finds here that starts `program` and plans for so many threads."""
    return Here(
        threads=threads,
        cpu=min(os.sched_getaffinity(0)),
        locales=_locales(),
        features=_features(program) if python.is_python(program) else (),
        machine=machine,
    )


class Steps:
    """Keeps the first two rebuilds apart: a time to the second, or to two as zip notes it, is then another one."""

    def __init__(self) -> None:
        self._taken = 0

    def take(self) -> None:
        """Waits before the second rebuild, for two seconds at most since the first one began."""
        self._taken += 1
        if self._taken == 1:
            self._began = time.time()
        elif self._taken == 2:
            time.sleep(max(0.0, _APART * (self._began // _APART + 1) - time.time()))


def entropy(directory: Path) -> list[list[str]]:
    """Files of bytes that are always the same, and the devices in whose place they are seen."""
    path = directory / "entropy"
    if not path.exists():
        path.write_bytes(b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(_ENTROPY // 32)))
    return [[str(path), device] for device in ("/dev/urandom", "/dev/random")]


def _locales() -> tuple[str, ...]:
    """Installed locales that order, write or encode otherwise than C.UTF-8, two at most."""
    try:
        found = process.run(["locale", "-a"], check=False, timeout=_SECONDS).text.split()
    except ResearchError:
        return ()
    other = [name for name in found if name.partition(".")[0] not in ("C", "POSIX")]
    other.sort(key=lambda name: (name.lower().endswith("utf8"), name))  # another encoding first
    return (*other[:1], "C")


def _features(program: str) -> tuple[str, ...]:
    """The features beyond its minimum that the program's NumPy found in this CPU; none without NumPy."""
    try:
        done = process.run([program, "-c", _ASK], cwd=Path("/"), check=False, timeout=_SECONDS)
        return tuple(json.loads(done.stdout))
    except (ResearchError, ValueError):
        return ()
