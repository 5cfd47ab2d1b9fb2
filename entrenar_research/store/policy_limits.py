"""What the values of `renacer.toml` may be, beyond their types: which of them mean nothing, and what was expected."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Final, get_args

import msgspec

from entrenar_research.models.patterns import PatternName
from entrenar_research.models.policy import (
    Assertion,
    CiPolicy,
    ClockPolicy,
    CompressionPolicy,
    EquivalencePolicy,
    OtlpPolicy,
)

CLOCK_VARIABLES: Final = ("RENACER_LOGICAL_CLOCK", "RENACER_LAMPORT_CLOCK")
_PATTERNS: Final = get_args(PatternName)
_URL: Final = re.compile(r"https?://[^\s/]+(?:/\S*)?")


def expected(record: msgspec.Struct, key: str) -> str | None:
    """What `key` of `record` should hold; None where it holds such a thing."""
    value = getattr(record, key)
    if value is None:
        return None
    if isinstance(record, CompressionPolicy) and key == "level":
        return _level(record, value)
    limit = _LIMITS.get((type(record), key))
    wanting = limit(value) if limit else None
    if wanting is None and isinstance(record, EquivalencePolicy) and key == "expected_speedup_max":
        return _highest(record, value)
    return wanting


def _share(value: float) -> str | None:
    return None if 0 <= value <= 1 else "a number from 0 to 1"


def _not_negative(value: float) -> str | None:
    return None if value >= 0 and math.isfinite(value) else "0 or more"


def _variable(value: str) -> str | None:
    return None if value in CLOCK_VARIABLES else " or ".join(CLOCK_VARIABLES)


def _pattern(value: str) -> str | None:
    return None if value in _PATTERNS else f"one of {', '.join(_PATTERNS)}"


def _inside(value: str) -> str | None:
    path = PurePosixPath(value)
    good = value.strip() and not path.is_absolute() and ".." not in path.parts and "\0" not in value
    return None if good else "a path below the directory of this file, such as `reports`"


def _address(value: str) -> str | None:
    return None if _URL.fullmatch(value) else "an address such as http://localhost:4318"


def _words(value: str) -> str | None:
    return None if value.strip() else "text that is not empty"


def _level(record: CompressionPolicy, value: int) -> str | None:
    highest = 22 if record.algorithm == "zstd" else 9
    return None if 1 <= value <= highest else f"a level from 1 to {highest} for {record.algorithm}"


def _highest(record: EquivalencePolicy, value: float) -> str | None:
    lowest = record.expected_speedup_min
    return None if lowest is None or value >= lowest else f"at least expected_speedup_min, which is {lowest:g}"


_LIMITS: Final[dict[tuple[type, str], Callable[[Any], str | None]]] = {
    (Assertion, "max_duration_ms"): _not_negative,
    (Assertion, "max_spans"): _not_negative,
    (Assertion, "max_bytes"): _not_negative,
    (Assertion, "threshold"): _share,
    (Assertion, "pattern"): _pattern,
    (EquivalencePolicy, "min_confidence"): _share,
    (EquivalencePolicy, "baseline_dir"): _inside,
    (EquivalencePolicy, "expected_speedup_min"): _not_negative,
    (EquivalencePolicy, "expected_speedup_max"): _not_negative,
    (CompressionPolicy, "min_file_size_kb"): _not_negative,
    (ClockPolicy, "env_var"): _variable,
    (OtlpPolicy, "endpoint"): _address,
    (OtlpPolicy, "service_name"): _words,
    (CiPolicy, "export_path"): _inside,
}
