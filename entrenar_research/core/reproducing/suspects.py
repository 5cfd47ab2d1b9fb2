"""Which factor to try first: what a difference looks like makes some more likely. It decides nothing but the order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from entrenar_research.core.reproducing import factors
from entrenar_research.models.reproduction import Difference

_BY_KIND: Final = {
    "order": ("hash", "order", "threads"),
    "rounding": ("cpu", "threads"),
    "stamp": ("mtime", "clock"),
    "bytecode": ("mtime", "clock"),
    "bytes": ("mtime", "cpu"),
}
_SHORTEST: Final = 4
"""Letters of a word by which it is recognised."""


def ranked(wanted: Sequence[str], unlike: Iterable[Difference], number: int, here: factors.Here) -> tuple[str, ...]:
    """The factors, first those whose own words stand in what differs, then those that make such differences."""
    spoken: dict[str, None] = {}
    alike: dict[str, None] = {}
    for difference in unlike:
        for name in wanted:
            if any(word in difference.other for word in _words(factors.varied(name, number, here))):
                spoken[name] = None
        alike.update(dict.fromkeys(name for name in _BY_KIND.get(difference.kind, ()) if name in wanted))
    return tuple({**spoken, **alike, **dict.fromkeys(wanted)})


def _words(alteration: factors.Alteration) -> list[str]:
    """What a result would say that took something from the altered world."""
    values = (
        *alteration.variables.values(), alteration.launcher.get("host"), alteration.place, alteration.temporary,
        alteration.home,
    )  # fmt: skip
    return [value for value in values if isinstance(value, str) and len(value) >= _SHORTEST]
