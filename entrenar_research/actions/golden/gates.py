"""The gates of promotion: each looks at a candidate and says pass, refused or no data, with words.

To add one, write a function from `Candidate` to `GateResult` and put it into `GATES`; the name is what people see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Final

import msgspec

from entrenar_research.core.reports.cases import STATES
from entrenar_research.core.traces import comparison, patterns
from entrenar_research.core.traces.budgets import assertions
from entrenar_research.core.traces.budgets.assertions import Evidence
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.golden import GateResult, GateState
from entrenar_research.models.measured import Measured
from entrenar_research.models.policy import TracePolicy
from entrenar_research.models.run import RunRecord


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What is to become golden: the run, its trace, and what fresh repetitions gave.

    `unrepeated` says why there are none, `failed` why they went wrong.
    """

    name: str
    run: RunRecord
    document: TraceDocument
    policy: TracePolicy
    repeated: tuple[TraceDocument, ...] = ()
    measured: Measured | None = None
    unrepeated: str | None = None
    failed: str | None = None

    @property
    def agreeing(self) -> int:
        """How many of the fresh traces have the very lines of the run's."""
        return sum(found.trace_id == self.document.trace_id for found in self.repeated)


Gate = Callable[[Candidate], tuple[GateState, str]]


def _exit(candidate: Candidate) -> tuple[GateState, str]:
    run, ended = candidate.run, candidate.document.exit
    if run.status != "completed":
        return "refused", f"run {run.id} is {run.status}: only a completed run can be promoted"
    if ended.signal is not None:
        return "refused", f"the traced command was killed by {ended.signal}"
    if ended.status != 0:
        return "refused", f"the traced command ended with status {ended.status}, expected 0"
    every = candidate.measured.repetitions if candidate.measured else ()
    bad = [item.exit_status for item in every if item.exit_status != 0]
    if bad:
        return "refused", f"{len(bad)} of {len(every)} untraced repetitions failed, the first with status {bad[0]}"
    return "pass", "the command ended with status 0" + (f", and in {len(every)} untraced repetitions" if every else "")


def _completeness(candidate: Candidate) -> tuple[GateState, str]:
    found = candidate.document
    if found.lost:
        return "refused", f"{found.lost} calls were lost by the tracer"
    if not found.complete:
        return "refused", f"the trace is incomplete: {'; '.join(found.problems) or 'the tracer says so'}"
    return "pass", f"{found.recorded} calls, none lost"


def _behaviour(candidate: Candidate) -> tuple[GateState, str]:
    if candidate.failed is not None:
        return "refused", f"a fresh repetition went wrong: {candidate.failed}"
    if candidate.unrepeated is not None:
        return "no data", f"not repeated: {candidate.unrepeated}"
    every, agreed = len(candidate.repeated), candidate.agreeing
    words = f"{agreed} of {every} fresh repetitions made the same calls in the same order"
    if agreed == every:
        return "pass", words
    other = next(found for found in candidate.repeated if found.trace_id != candidate.document.trace_id)
    golden = candidate.document
    differs = comparison.compare(golden.texts, golden.counts, other.texts, other.counts)
    return "refused", f"{words}; {comparison.describe(differs)}"


def _architecture(candidate: Candidate) -> tuple[GateState, str]:
    findings = patterns.detect(candidate.document)
    found = [item for item in findings if item.applicable and item.confidence > 0]
    told = "; ".join(f"{item.pattern} ({item.severity}, {item.confidence:.2f}): {item.explanation}" for item in found)
    if patterns.blocks_promotion(findings):
        return "refused", told
    return "pass", f"no critical pattern{f'; found: {told}' if told else ''}"


def _assertions(candidate: Candidate) -> tuple[GateState, str]:
    evidence = Evidence(name=candidate.name, document=candidate.document, measured=candidate.measured)
    results = assertions.evaluate(candidate.policy, evidence)
    if not results:
        return "no data", "renacer.toml has no assertions"
    counts = Counter(result.state for result in results)
    words = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    told = [f"{item.name}: {item.message}" for item in results if item.state in ("fail", "no data", "warn")]
    state: GateState = "refused" if counts["fail"] else "no data" if counts["no data"] else "pass"
    return state, "; ".join([words, *told])


GATES: Final[dict[str, Gate]] = {
    "exit": _exit,
    "completeness": _completeness,
    "behaviour": _behaviour,
    "architecture": _architecture,
    "assertions": _assertions,
}
"""Every gate by its name, in the order in which they are asked."""


def ask(candidate: Candidate) -> tuple[GateResult, ...]:
    """What every gate says."""
    answers = ((name, gate(candidate)) for name, gate in GATES.items())
    return tuple(GateResult(gate=name, state=state, words=words) for name, (state, words) in answers)


def refusing(results: tuple[GateResult, ...]) -> tuple[GateResult, ...]:
    """Those that stand in the way."""
    return tuple(result for result in results if result.state == "refused")
