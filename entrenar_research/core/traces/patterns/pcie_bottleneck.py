"""PcieBottleneck: the program waits in its GPU's driver instead of computing.

What a system call trace shows of a GPU are the ioctl calls on its device files: allocations, registrations of memory,
transfers that the driver carries out. The measure is the share of their time in the time from the first to the last.
"""

from __future__ import annotations

import re
from typing import Final

from entrenar_research.core.traces.activity import Activity, end_of, leader
from entrenar_research.core.traces.patterns.finding import Among, absent, along, found
from entrenar_research.core.traces.processes import Life
from entrenar_research.models.patterns import PatternFinding, PatternName

PATTERN: Final[PatternName] = "PcieBottleneck"
ENOUGH: Final = 100
_DEVICE: Final = re.compile(r"\d+<(/dev/(?:nvidia|dri/|kfd)[^>]*)>")


def find(activity: Activity, among: Among) -> PatternFinding:
    """The thread that spends the greatest part of its time in ioctl calls of a GPU's driver."""
    asked: dict[Life, list[int]] = {}
    for life, places in activity.by_thread.items():
        if among(activity.program(leader(life))):
            own = [place for place in places if _is_device_call(activity, place)]
            if own:
                asked[life] = own
    if not asked:
        return absent(PATTERN, "no process talks to a GPU")
    life = max(asked, key=lambda life: (_confidence(activity, asked[life]), len(asked[life])))
    places = asked[life]
    share = _share(activity, places)
    return found(
        PATTERN,
        confidence=_confidence(activity, places),
        metric=share,
        explanation=f"{share:.0%} of the time from the first to the last of {len(places)} GPU calls is spent in them",
        place=activity.place(life),
        calls=(places[0], places[-1]),
    )


def _is_device_call(activity: Activity, place: int) -> bool:
    call = activity.calls[place]
    return call.name == "ioctl" and _DEVICE.match(call.arguments) is not None


def _share(activity: Activity, places: list[int]) -> float:
    elapsed = end_of(activity.calls[places[-1]]) - activity.calls[places[0]].began
    return sum(activity.calls[place].took or 0 for place in places) / elapsed if elapsed > 0 else 0.0


def _confidence(activity: Activity, places: list[int]) -> float:
    return along(_share(activity, places), (0.0, 0.0), (0.5, 0.8), (1.0, 1.0)) * min(1.0, len(places) / ENOUGH)
