"""The kind of machine something was done on: as much as a second opinion needs, and nothing that names the machine.

The levels are those of the x86-64 psABI, "Micro-architecture levels"; flags are spelled as /proc/cpuinfo has them.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from entrenar_research.core.nix import cpu_features
from entrenar_research.models.run import Hardware
from entrenar_research.models.statement import HardwareClass

_V4: Final = ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
_VENDOR: Final = re.compile(r"^(?:vendor_id|CPU implementer)\s*:\s*(\S+)", re.MULTILINE)


def level(architecture: str, present: Collection[str]) -> str | None:
    """The highest level whose flags are all there; None for another architecture, or where no flags are known."""
    if architecture != "x86_64" or not present:
        return None
    found = "x86-64-v1"
    for name in ("x86-64-v2", "x86-64-v3"):
        if cpu_features.lacking(name, present):
            return found
        found = name
    return "x86-64-v4" if present and set(_V4) <= set(present) else found


def vendor(cpuinfo: str) -> str | None:
    """Who made the processor, as the text of /proc/cpuinfo has it: `GenuineIntel`, or on ARM a number."""
    found = _VENDOR.search(cpuinfo)
    return found[1] if found else None


def of_record(hardware: Hardware | None) -> HardwareClass | None:
    """The class of the machine that a record names; None if it does not say enough to tell classes apart."""
    if hardware is None or (hardware.level is None and hardware.vendor is None):
        return None
    return HardwareClass(architecture=hardware.architecture, level=hardware.level, vendor=hardware.vendor)
