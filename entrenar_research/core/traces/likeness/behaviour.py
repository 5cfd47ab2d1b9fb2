"""What comparing needs of a trace: once it is known, the trace itself, which may be long, can be forgotten."""

from __future__ import annotations

import msgspec

from entrenar_research.core.traces import memory
from entrenar_research.core.traces.likeness import effects, strands, timing
from entrenar_research.core.traces.likeness.effects import Effects
from entrenar_research.core.traces.likeness.strands import Strands, Texts
from entrenar_research.core.traces.processes import CREATION
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.policy import EquivalencePolicy


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What a trace shows its program to do, its lines numbered by `texts`.

    `lacking` says in words what the trace is or did, on account of which it cannot be compared: then it has no
    strands and no effects. `seconds` are those that it took while traced; `threads` is whether it made any.
    """

    level: str
    rules: int
    seconds: float
    lacking: tuple[str, ...]
    threads: bool
    texts: Texts
    strands: Strands
    effects: Effects


def behaviour(document: TraceDocument, texts: Texts, policy: EquivalencePolicy) -> Behaviour:
    """What is to be compared of a trace after `policy`; two that are compared are read with the same `texts`."""
    lacking = _lacking(document)
    gathered = Strands({}, {}, {}) if lacking else strands.gather(document, texts)
    found = {} if lacking else effects.effects(document, gathered, texts)
    if policy.check_memory_allocations and not lacking:
        found["peak", "memory"] = memory.steady_peak(document)
    return Behaviour(
        level=document.level,
        rules=document.rules,
        seconds=timing.traced_seconds(document),
        lacking=lacking,
        threads=_threads(document),
        texts=texts,
        strands=gathered,
        effects=found,
    )


def _lacking(document: TraceDocument) -> tuple[str, ...]:
    reasons = []
    if not document.calls or not document.lines:
        reasons.append("is empty")
    if not document.complete:
        reasons.append(f"is incomplete: {'; '.join(document.problems) or 'it says so itself'}")
    if document.lost:
        reasons.append(f"lost {document.lost} calls")
    return tuple(reasons)


def _threads(document: TraceDocument) -> bool:
    if not any(name in document.counts for name in CREATION):
        return False
    return any("CLONE_THREAD" in call.arguments for call in document.calls if call.name in CREATION)
