"""What becomes of a study's assertions on a trace: pass, warn, fail, skip, or no data (`docs/assertions.md`).

An upper limit that is exceeded is exceeded whatever else is missing. One that is kept counts as kept only if the trace
is whole: otherwise there is no data, and that is never a pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final, cast

import msgspec

from entrenar_research.core.traces import patterns
from entrenar_research.core.traces.budgets import expressions
from entrenar_research.core.traces.budgets.critical_path import CriticalPath
from entrenar_research.core.traces.budgets.quantities import Quantities
from entrenar_research.errors import EXIT_DONE, EXIT_MISSING_TOOL, EXIT_WANTING
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.measured import Measured
from entrenar_research.models.patterns import PatternName
from entrenar_research.models.policy import Assertion, AssertionResult, AssertionState, TracePolicy

_SHOWN_SEGMENTS: Final = 4


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A trace under its name, and the untraced runs of the same command if there were any."""

    name: str
    document: TraceDocument
    measured: Measured | None = None


class _Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """`held` is None where it cannot be told."""

    held: bool | None
    message: str
    actual: float | None = None
    limit: float | None = None
    unit: str | None = None


def evaluate(policy: TracePolicy, evidence: Evidence) -> tuple[AssertionResult, ...]:
    """One result for every assertion, in the order of the file."""
    quantities = Quantities(evidence.document, evidence.measured)
    results: list[AssertionResult] = []
    failed: str | None = None
    for assertion in policy.assertions:
        if not assertion.enabled:
            result = _skip(assertion, "switched off: enabled = false")
        elif failed is not None:
            result = _skip(assertion, f"not looked at: {failed} failed, and [ci] says fail_fast")
        else:
            result = _evaluate_one(assertion, quantities, evidence.name)
        if result.state == "fail" and policy.ci.fail_fast:
            failed = result.name
        results.append(result)
    return tuple(results)


def exit_code(results: Iterable[AssertionResult]) -> int:
    """0 where nothing failed, 1 where anything did, 3 where nothing failed but something has no data."""
    states = {result.state for result in results}
    if "fail" in states:
        return EXIT_WANTING
    return EXIT_MISSING_TOOL if "no data" in states else EXIT_DONE


def _evaluate_one(assertion: Assertion, quantities: Quantities, name: str) -> AssertionResult:
    pattern = assertion.trace_name_pattern
    if pattern is not None and not re.search(pattern, name):
        return _skip(assertion, f"for other traces: {name!r} does not match {pattern!r}")
    judged = _JUDGES[assertion.type](assertion, quantities)
    state: AssertionState = "pass" if judged.held else "fail" if assertion.fail_on_violation else "warn"
    return AssertionResult(
        name=assertion.name,
        type=assertion.type,
        state="no data" if judged.held is None else state,
        message=judged.message,
        actual=judged.actual,
        limit=judged.limit,
        unit=judged.unit,
    )


def _skip(assertion: Assertion, message: str) -> AssertionResult:
    return AssertionResult(name=assertion.name, type=assertion.type, state="skip", message=message)


def _at_most(actual: float, limit: float, unit: str, message: str, gap: str | None) -> _Judgement:
    """An upper limit; `gap` says why the real value may be higher than `actual`."""
    held = None if gap and actual <= limit else actual <= limit
    words = f"{message}; {gap}" if gap else message
    return _Judgement(held=held, message=words, actual=actual, limit=limit, unit=unit)


def _critical_path(assertion: Assertion, quantities: Quantities) -> _Judgement:
    limit = assertion.max_duration_ms or 0.0
    timed = quantities.traced_wall is not None
    traced = _described(quantities.path, timed=quantities.activity.timed) if timed else "the trace has no times"
    if quantities.measured is not None:
        runs = len(quantities.measured.repetitions)
        wall = quantities.measured.median_wall * 1e3
        words = f"wall {wall:.3f} ms, median of {runs} untraced {'run' if runs == 1 else 'runs'}; traced: {traced}"
        return _at_most(wall, limit, "ms", words, None)
    if not timed:
        return _Judgement(held=None, message=f"{traced}, and nothing was measured untraced", limit=limit, unit="ms")
    words = f"{traced}; traced, which is slower than untraced"
    return _at_most(quantities.path.wall / 1e6, limit, "ms", words, quantities.doubt)


def _described(path: CriticalPath, *, timed: bool) -> str:
    in_calls = f"{path.in_calls / 1e6:.3f} ms in system calls" if timed else "no times of single calls"
    longest = sorted(path.segments, key=lambda item: item.began - item.ended)[:_SHOWN_SEGMENTS]
    chain = " > ".join(f"{item.label} {item.program}" for item in path.segments if item in longest)
    more = len(path.segments) - len(longest)
    chain += f" and {more} shorter {'stretch' if more == 1 else 'stretches'}" if more > 0 else ""
    spans = sorted(path.spans.items(), key=lambda item: (-item[1], item[0]))[:1]
    within = "".join(f", {time / 1e6:.3f} ms in span {name!r}" for name, time in spans)
    return f"critical path {path.wall / 1e6:.3f} ms, {in_calls}{within} ({chain})"


def _span_count(assertion: Assertion, quantities: Quantities) -> _Judgement:
    limit, pattern = assertion.max_spans or 0, assertion.span_name_pattern
    if pattern is None:
        calls = len(quantities.document.calls)
        return _at_most(calls, limit, "calls", f"{calls} system calls", quantities.gap)
    match = re.compile(pattern).search
    calls = sum(number for call, number in quantities.counts.items() if match(call))
    spans = sum(match(span.name) is not None for span in quantities.document.spans)
    words = f"{calls} system calls and {spans} logged spans match {pattern!r}"
    return _at_most(calls + spans, limit, "calls", words, quantities.gap)


def _memory_usage(assertion: Assertion, quantities: Quantities) -> _Judgement:
    limit = assertion.max_bytes or 0
    if assertion.tracking_mode == "rss":
        if quantities.measured is None:
            words = "resident memory is not in a trace, and nothing was measured untraced"
            return _Judgement(held=None, message=words, limit=limit, unit="bytes")
        actual = quantities.measured.peak_memory
        return _at_most(actual, limit, "bytes", f"{actual} bytes resident at most, untraced", None)
    if quantities.document.level != "full":
        return _Judgement(held=None, message=quantities.memory_gap or "", limit=limit, unit="bytes")
    peak = quantities.peak
    several = f" in {len(peak.processes)} processes" if len(peak.processes) > 1 else ""
    words = f"{peak.total} bytes allocated at the peak{several}"
    return _at_most(peak.total, limit, "bytes", words, quantities.memory_gap)


def _anti_pattern(assertion: Assertion, quantities: Quantities) -> _Judgement:
    only, limit = assertion.process_name_pattern, assertion.threshold if assertion.threshold is not None else 1.0
    among: Callable[[str], bool] = lambda program: only is None or re.search(only, program) is not None  # noqa: E731
    activity = quantities.activity
    if only is not None and not any(among(activity.program(process)) for process in activity.by_process):
        words = f"no process of the trace runs a program whose name matches {only!r}"
        return _Judgement(held=None, message=words, limit=limit, unit="confidence")
    pattern = cast("PatternName", assertion.pattern)
    found = patterns.detect_one(activity, pattern, among)
    words = found.explanation + (f" ({found.place})" if found.place else "")
    if patterns.hidden(activity, pattern) is not None:
        return _Judgement(held=None, message=words, limit=limit, unit="confidence")
    if quantities.doubt:
        words += f"; {quantities.doubt}"
    held = None if quantities.doubt and found.confidence < limit else found.confidence < limit
    return _Judgement(held=held, message=words, actual=found.confidence, limit=limit, unit="confidence")


def _custom(assertion: Assertion, quantities: Quantities) -> _Judgement:
    text = assertion.expression or ""
    try:
        outcome = expressions.parse(text).evaluate(quantities)
    except expressions.ExpressionError as error:
        return _Judgement(held=None, message=error.message)
    known = ", ".join(f"{name} = {value:.15g}" for name, value in outcome.known.items())
    if outcome.missing:
        return _Judgement(held=None, message=f"no data for {', '.join(outcome.missing)}{_why(quantities)}")
    return _Judgement(held=outcome.holds, message=f"{text}: {known}" if known else text)


def _why(quantities: Quantities) -> str:
    return f": {quantities.gap}" if quantities.gap else ""


_JUDGES: Final[dict[str, Callable[[Assertion, Quantities], _Judgement]]] = {
    "critical_path": _critical_path,
    "span_count": _span_count,
    "memory_usage": _memory_usage,
    "anti_pattern": _anti_pattern,
    "custom": _custom,
}
