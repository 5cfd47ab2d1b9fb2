"""nvidia-smi: how much memory of the graphics cards processes use."""

from __future__ import annotations

from collections.abc import Collection

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

_SECONDS = 20.0
_MIB = 1 << 20


def present() -> bool:
    """Whether nvidia-smi is on PATH."""
    return process.which("nvidia-smi") is not None


def used_by(processes: Collection[int]) -> int | None:
    """The bytes of all cards that these processes use now, or None if nvidia-smi lists none of them.

    In a container without the host's process ids it lists none, or ids that are not ours: then nothing is known.
    """
    found = parse(_query("--query-compute-apps=pid,used_memory"))
    ours = [used for pid, used in found if pid in processes]
    return sum(ours) * _MIB if ours else None


def used_in_all() -> int | None:
    """The bytes in use on all cards together, by whomever, or None if nvidia-smi does not say."""
    used = [int(line) for line in _query("--query-gpu=memory.used").split() if line.isdecimal()]
    return sum(used) * _MIB if used else None


def parse(text: str) -> list[tuple[int, int]]:
    """Pairs of process id and MiB in nvidia-smi's CSV; lines without numbers (`[N/A]`) are left out."""
    pairs = []
    for line in text.splitlines():
        pid, _, used = (part.strip() for part in line.partition(","))
        if pid.isdecimal() and used.isdecimal():
            pairs.append((int(pid), int(used)))
    return pairs


def _query(what: str) -> str:
    try:
        done = process.run(["nvidia-smi", what, "--format=csv,noheader,nounits"], check=False, timeout=_SECONDS)
    except (MissingToolError, ToolError):
        return ""
    return done.text if done.status == 0 else ""
