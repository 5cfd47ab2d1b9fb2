"""Amounts as people write them in a declaration: sizes in bytes, durations in seconds."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

from entrenar_research.errors import UsageError

_BYTES: Final[dict[str, int]] = {
    "B": 1,
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGTP", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGTP", 1)},
    "KB": 1000,
}
_SECONDS: Final = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_NUMBER: Final = r"\d{1,18}(?:\.\d{1,9})?"
_SIZE: Final = re.compile(rf"({_NUMBER}) ?([A-Za-z]+)")
_PART: Final = re.compile(rf"({_NUMBER}) ?([a-z]+)")


def in_bytes(text: str) -> int:
    """The bytes of a size such as `512MiB`, `1.5 GiB` or `4GB` (KiB is 1024 bytes, kB is 1000), rounded up.

    Raises:
        UsageError: if it is none, or not more than nothing.
    """
    found = _SIZE.fullmatch(text.strip())
    unit = _BYTES.get(found[2]) if found else None
    if found is None or unit is None:
        close = f"; did you mean {found[1]}{found[2][0].upper()}iB?" if found and found[2][0].upper() in "KMGTP" else ""
        raise UsageError(f"found {text!r}, expected a number and a unit, such as 512MiB, 1.5GiB or 4GB{close}")
    size = math.ceil(Fraction(found[1]) * unit)
    if not size:
        raise UsageError(f"found {text!r}, expected more than nothing")
    return size


def in_seconds(text: str) -> float:
    """The seconds of a duration such as `30s`, `1h30m`, `2 h` or `500ms` (d, h, min or m, s, ms; each once).

    Raises:
        UsageError: if it is none, or not more than nothing.
    """
    parts = _PART.findall(text)
    compact = "".join(text.split())
    units = [unit for _, unit in parts]
    if (
        not parts
        or "".join(number + unit for number, unit in parts) != compact
        or len({*units}) < len(units)
        or not {*units} <= {*_SECONDS}
    ):
        raise UsageError(f"found {text!r}, expected a duration such as 30s, 10min, 2h or 1h30m")
    seconds = sum((Fraction(number) * _SECONDS[unit] for number, unit in parts), Fraction(0))
    if not seconds:
        raise UsageError(f"found {text!r}, expected more than nothing")
    return float(seconds)
