"""Processors: what the least one must be able to do, and what numpy must not use beyond it.

The levels are those of the x86-64 psABI, "Micro-architecture levels"; flags are spelled as /proc/cpuinfo has them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Final

FLOOR: Final = "x86-64-v3"
"""The least processor that a locked toolchain asks for: the pins hold everything to what this one can do."""
_V2: Final = ("cx16", "lahf_lm", "popcnt", "pni", "sse4_1", "sse4_2", "ssse3")
_V3: Final = ("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave")
_LEVELS: Final = {"x86-64": (), "x86-64-v2": _V2, "x86-64-v3": _V2 + _V3}
_WITHIN: Final = frozenset({
    "SSE", "SSE2", "SSE3", "SSSE3", "SSE41", "SSE42", "POPCNT", "LAHF", "CX16", "AVX", "AVX2", "F16C", "FMA3", "BMI",
    "BMI2", "LZCNT", "MOVBE", "X86_V2", "X86_V3",
})  # fmt: skip


def flags(cpuinfo: str) -> frozenset[str]:
    """The flags of the first processor in the text of /proc/cpuinfo."""
    found = re.search(r"^flags\s*:(.*)$", cpuinfo, re.MULTILINE)
    return frozenset(found[1].split()) if found else frozenset()


def lacking(level: str, present: Collection[str]) -> tuple[str, ...]:
    """The flags that a processor of this level has and `present` lacks; none for a level that is not known."""
    return tuple(flag for flag in _LEVELS.get(level, ()) if flag not in present)


def beyond_floor(dispatched: Sequence[str]) -> tuple[str, ...]:
    """Of the features that a numpy chooses code by (`__cpu_dispatch__`), those above the floor, in its order."""
    return tuple(feature for feature in dispatched if feature not in _WITHIN)
