"""AllocationStorm: memory is got from the kernel and given back again and again.

Memory is *given back* by munmap of what an anonymous mmap gave, by mremap, by brk to a lower address; it is got anew by
anonymous mmap, mremap and brk to a higher one. The cycles are the lesser number of both, from the first time that
something was given back to the last. A heap that only grows has none, nor has one that is taken down at the end.
"""

from __future__ import annotations

from typing import Final

import msgspec

from entrenar_research.core.traces.activity import Activity, leader
from entrenar_research.core.traces.calls import EXECUTIONS
from entrenar_research.core.traces.patterns.finding import Among, absent, along, by_magnitude, found
from entrenar_research.core.traces.processes import Life
from entrenar_research.models.documented import DocumentedCall
from entrenar_research.models.patterns import PatternFinding, PatternName

PATTERN: Final[PatternName] = "AllocationStorm"
CYCLES: Final = 1000
_CRITICAL_CYCLES: Final = 100_000
_MEMORY: Final = frozenset({"mmap", "mmap2", "munmap", "mremap", "brk", "madvise", "mprotect"})


class _Churn(msgspec.Struct):
    """What a process did with its memory. All but the first two are counted from the first giving back on.

    `at_last` is how it stood at the last one: memory calls, all calls, times that memory was got.
    """

    mapped: set[str]
    heap: int = 0
    given: int = 0
    got: int = 0
    memory_calls: int = 0
    calls: int = 0
    first: int = 0
    last: int = 0
    at_last: tuple[int, int, int] = (0, 0, 0)

    @property
    def cycles(self) -> int:
        """How often memory was given back and got anew."""
        return min(self.given, self.at_last[2])

    @property
    def share(self) -> float:
        """The share of memory calls among all calls meanwhile."""
        memory_calls, calls, _ = self.at_last
        return memory_calls / calls if calls else 0.0


def find(activity: Activity, among: Among) -> PatternFinding:
    """The process with the highest confidence."""
    churns: dict[Life, _Churn] = {}
    of_life: dict[Life, _Churn] = {}
    for place, (call, life) in enumerate(zip(activity.calls, activity.lives, strict=True)):
        churn = of_life.get(life)
        if churn is None:
            churn = of_life[life] = churns.setdefault(leader(life), _Churn(set()))
        if churn.given:
            churn.calls += 1
        if call.name in _MEMORY:
            _take(churn, call, place)
        elif call.name in EXECUTIONS and call.error is None:
            churn.mapped, churn.heap = set(), 0
    judged = {life: churn for life, churn in churns.items() if among(activity.program(life))}
    worst = max(judged, key=lambda life: (_confidence(judged[life]), judged[life].cycles), default=None)
    if worst is None or _confidence(judged[worst]) <= 0:
        cycles = judged[worst].cycles if worst is not None else 0
        words = f"memory is given back or moved {cycles} times at most, too seldom to tell"
        return absent(PATTERN, words, applicable=True, metric=float(cycles))
    churn = judged[worst]
    span = activity.span(range(churn.first, churn.last + 1))
    return found(
        PATTERN,
        confidence=_confidence(churn),
        metric=float(churn.cycles),
        explanation=f"memory is got and given back or moved {churn.cycles} times; {churn.share:.0%} of the "
        f"{churn.at_last[1]} calls meanwhile are about memory",
        place=activity.place(worst) + (f", span {span!r}" if span else ""),
        calls=(churn.first, churn.last),
        critical=churn.cycles >= _CRITICAL_CYCLES,
    )


def _take(churn: _Churn, call: DocumentedCall, place: int) -> None:
    churn.memory_calls += churn.given > 0
    if call.error is not None:
        return
    given, got = _given_and_got(churn, call)
    if given and not churn.given:
        churn.first, churn.calls, churn.memory_calls = place, 1, 1
    churn.given += given
    churn.got += got and churn.given > 0
    if given:
        churn.last, churn.at_last = place, (churn.memory_calls, churn.calls, churn.got)


def _given_and_got(churn: _Churn, call: DocumentedCall) -> tuple[bool, bool]:
    """Whether a call gave memory back, and whether it got any."""
    start = call.arguments.partition(",")[0]
    if call.name in ("mmap", "mmap2"):
        anonymous = "MAP_ANONYMOUS" in call.arguments
        if anonymous:
            churn.mapped.add(call.result)
        return False, anonymous
    if call.name == "munmap":
        known = start in churn.mapped
        churn.mapped.discard(start)
        return known, False
    if call.name == "mremap":
        churn.mapped.discard(start)
        churn.mapped.add(call.result)
        return True, True
    if call.name == "brk" and call.result.startswith("0x"):
        heap, before = int(call.result, 16), churn.heap
        churn.heap = heap
        return heap < before, 0 < before < heap
    return False, False


def _confidence(churn: _Churn) -> float:
    often = by_magnitude(churn.cycles, (CYCLES / 10, 0.0), (CYCLES, 0.8), (10 * CYCLES, 1.0))
    return often * along(churn.share, (0.1, 0.0), (0.5, 1.0))
