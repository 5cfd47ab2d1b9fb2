"""How alike the behaviour of two traces is: one score, what it is made of, a verdict, the first difference in words.

    score = sum(weight * axis) / sum(weight) over the axes that are counted and have something to compare

An axis of effects is the mean likeness (`effect_kinds.Kind`) of its quantities; the axis `calls` is the alignment's.
Every axis is 1 for the same trace, and a further difference lowers some axes and raises none. docs/equivalence.md has
the weights and the tolerances.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from entrenar_research.core.traces.likeness import alignment, effects, timing, wording
from entrenar_research.core.traces.likeness.alignment import Alignment
from entrenar_research.core.traces.likeness.behaviour import Behaviour, behaviour
from entrenar_research.core.traces.likeness.effect_kinds import AXES, KINDS
from entrenar_research.core.traces.likeness.effects import Effects
from entrenar_research.core.traces.likeness.strands import Texts
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.equivalence import Axis, Equivalence, EquivalenceVerdict, Timing
from entrenar_research.models.measured import Measured
from entrenar_research.models.policy import EquivalencePolicy

BAND: Final = 0.05
"""How far below `min_confidence` a score is WARN; further below it is FAIL."""
WEIGHTS: Final = {
    "calls": 0.30,
    "transfers": 0.15,
    "files": 0.20,
    "outputs": 0.10,
    "processes and network": 0.15,
    "effort": 0.10,
    "memory": 0.10,
}
_SWITCHES: Final = {
    "transfers": "check_write_patterns",
    "files": "check_file_operations",
    "outputs": "check_output_correctness",
    "memory": "check_memory_allocations",
}
_MOST_TOLD: Final = 20


class _Difference(msgspec.Struct, frozen=True):
    """A quantity that is another one, beyond noise, in words."""

    kind: str
    essential: bool
    words: str

    @property
    def rank(self) -> int:
        """What others can see first, what is loaded from the system last."""
        return 0 if self.essential else 2 if self.kind == "loaded" else 1


def compare(
    expected: TraceDocument,
    found: TraceDocument,
    policy: EquivalencePolicy,
    *,
    expected_measured: Measured | None = None,
    found_measured: Measured | None = None,
    contents: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
    traced_times: bool = False,
) -> Equivalence:
    """Holds `found` against `expected`.

    `contents` are digests of the files that both left, by path, where they are known. Times are those measured; only
    with `traced_times`, and where none were measured, those of the traces.
    """
    texts = Texts()
    return alike(
        behaviour(expected, texts, policy),
        behaviour(found, texts, policy),
        policy,
        expected_measured=expected_measured,
        found_measured=found_measured,
        contents=contents,
        traced_times=traced_times,
    )


def alike(
    expected: Behaviour,
    found: Behaviour,
    policy: EquivalencePolicy,
    *,
    expected_measured: Measured | None = None,
    found_measured: Measured | None = None,
    contents: tuple[Mapping[str, str], Mapping[str, str]] | None = None,
    traced_times: bool = False,
) -> Equivalence:
    """Holds `found` against `expected`, as `compare` does, where both traces were read with the same `texts`."""
    lacking = _lacking(expected, found)
    seconds = (expected.seconds, found.seconds) if traced_times else None
    told, doubts = timing.timing(expected_measured, found_measured, policy, seconds)
    if lacking:
        return Equivalence(
            score=0.0,
            verdict="INSUFFICIENT",
            min_confidence=policy.min_confidence,
            axes=(),
            timing=told,
            reasons=lacking,
        )
    laid = alignment.align(expected.strands, found.strands, expected.texts)
    threads = expected.threads or found.threads
    before, now = (effects.waited(side.effects, threads=threads) for side in (expected, found))
    if contents is not None:
        _add_contents(before, now, *contents)
    axes, differences = _axes(before, now, policy)
    axes = (_of_calls(laid), *axes)
    return _judged(laid, axes, differences, told, doubts, policy)


def _lacking(expected: Behaviour, found: Behaviour) -> tuple[str, ...]:
    """In words, why the two cannot be compared."""
    sides = (("expected", expected), ("found", found))
    reasons = [f"the {which} trace {words}" for which, side in sides for words in side.lacking]
    if expected.level != found.level:
        reasons.append(f"they were traced at different levels: {expected.level} and {found.level}")
    if expected.rules != found.rules:
        reasons.append(f"they were normalised by different rules: {expected.rules} and {found.rules}")
    return tuple(reasons)


def _add_contents(expected: Effects, found: Effects, before: Mapping[str, str], now: Mapping[str, str]) -> None:
    for path in before.keys() | now.keys():
        expected["content", path] = 1
        found["content", path] = float(before.get(path) == now.get(path))


def _of_calls(laid: Alignment) -> Axis:
    words = ""
    if laid.score < 1:
        only = (laid.expected - laid.aligned - laid.elsewhere, laid.found - laid.aligned - laid.elsewhere)
        words = (
            f"{laid.aligned} of {laid.expected} lines in the same order, {laid.elsewhere} elsewhere, "
            f"{only[0]} gone, {only[1]} new"
        )
    return Axis(name="calls", score=laid.score, weight=WEIGHTS["calls"], words=words)


def _axes(
    expected: Effects, found: Effects, policy: EquivalencePolicy
) -> tuple[tuple[Axis, ...], tuple[_Difference, ...]]:
    likeness: defaultdict[str, list[float]] = defaultdict(list)
    differences: defaultdict[str, list[_Difference]] = defaultdict(list)
    for key in sorted(expected.keys() | found.keys()):
        kind = KINDS[key[0]]
        before, now = expected.get(key, 0.0), found.get(key, 0.0)
        alike = kind.likeness(before, now)
        likeness[kind.axis].append(alike)
        if alike < 1:
            words = kind.tell(key[1], before, now)
            differences[kind.axis].append(_Difference(key[0], kind.is_essential(before, now), words))
    axes, counted = [], list[_Difference]()
    for name in AXES:
        values = likeness[name]
        score = sum(values) / len(values) if values else 1.0
        switch = _SWITCHES.get(name)
        off = switch is not None and not getattr(policy, switch)
        first = sorted(differences[name], key=lambda item: item.rank)[:1]
        words = first[0].words if first else "" if values else "neither does anything of the kind"
        if off:
            words = f"not counted: {switch} is off" + (f"; {words}" if first else "")
        else:
            counted += differences[name]
        axes.append(Axis(name=name, score=score, weight=WEIGHTS[name] if values and not off else 0.0, words=words))
    return tuple(axes), tuple(sorted(counted, key=lambda item: item.rank))


def _judged(
    laid: Alignment,
    axes: Sequence[Axis],
    differences: Sequence[_Difference],
    told: Timing,
    doubts: tuple[str, ...],
    policy: EquivalencePolicy,
) -> Equivalence:
    score = sum(axis.weight * axis.score for axis in axes) / sum(axis.weight for axis in axes)
    reasons = [item.words for item in differences[:_MOST_TOLD]]
    if len(differences) > _MOST_TOLD:
        reasons.append(f"and {len(differences) - _MOST_TOLD} more differences")
    if score < policy.min_confidence:
        reasons.insert(0, f"the score {score:.4f} is below min_confidence {policy.min_confidence:g}")
    verdict: EquivalenceVerdict = "PASS"
    if score < policy.min_confidence or differences or doubts:
        verdict = "WARN"
    if score < policy.min_confidence - BAND or any(item.essential for item in differences):
        verdict = "FAIL"
    parting = laid.parting
    first = "" if parting is None else wording.divergence(parting)
    if differences and (parting is None or not (parting.extra or parting.missing)):
        first = f"the command {differences[0].words}"
    return Equivalence(
        score=score,
        verdict=verdict,
        min_confidence=policy.min_confidence,
        axes=tuple(axes),
        timing=told,
        divergence=first,
        context=() if parting is None else wording.context(parting),
        reasons=(*reasons, *doubts),
    )
