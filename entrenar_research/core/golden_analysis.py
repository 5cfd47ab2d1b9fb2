"""`golden_traces/ANALYSIS.md`: what all golden traces of a study say, as tables and sentences made from the files.

The same files give the same text: there is no clock in it, and nothing that was not measured. What is missing is said
to be missing.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

from entrenar_research.core import golden_words
from entrenar_research.core.traces import kinds
from entrenar_research.core.traces.summary import SummaryRow
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.models.patterns import PatternFinding
from entrenar_research.models.policy import AssertionResult

_HEAD = """\
# Golden traces

Written by `entrenar-research golden promote` and `golden retire` from the files in this directory: do not edit it.
Times in calls were measured under a tracer, which makes every call slower; wall, processor and memory figures come
from repetitions without one."""
_MOST_CALLS = 10


class Analysed(msgspec.Struct, frozen=True, kw_only=True):
    """A golden trace with what was found in it; `document` is None where its data is not here."""

    record: GoldenRecord
    rows: tuple[SummaryRow, ...]
    document: TraceDocument | None
    assertions: tuple[AssertionResult, ...] = ()
    findings: tuple[PatternFinding, ...] = ()


def text(traces: Sequence[Analysed], unreadable: Sequence[tuple[str, str]] = ()) -> str:
    """The whole file, with the traces in the order given; of the `unreadable` ones, name and what is wrong."""
    parts = [_HEAD]
    if traces:
        parts += ["## Overview", _overview(traces), "## Budgets", *_budgets(traces)]
    elif not unreadable:
        parts.append("There are no golden traces.")
    if unreadable:
        parts += ["## Not readable", "\n".join(f"- {name}: {_cell(words)}" for name, words in unreadable)]
    for trace in traces:
        parts += [f"## {trace.record.name}", *_section(trace)]
    return "\n\n".join(parts) + "\n"


def _overview(traces: Sequence[Analysed]) -> str:
    head = ("golden trace", "calls", "in calls, traced", "wall", "processor", "peak memory", "most frequent call")
    return _table(head, [_overview_row(trace) for trace in traces], right=(1, 2, 3, 4, 5))


def _overview_row(trace: Analysed) -> list[str]:
    spent = sum(row.microseconds for row in trace.rows)
    often = max(trace.rows, key=lambda row: (row.calls, row.name), default=None)
    every = trace.record.repetitions
    untraced = ["not measured"] * 3
    if every:
        untraced = [
            f"{statistics.median(item.wall for item in every) * 1000:.1f} ms",
            f"{statistics.median(item.user + item.system for item in every) * 1000:.1f} ms",
            f"{max(item.peak_memory for item in every) / (1 << 20):.1f} MiB",
        ]
    frequent = f"`{often.name}` ({often.calls / trace.record.total:.1%})" if often else "unknown"
    return [trace.record.name, str(trace.record.total), f"{spent / 1000:.3f} ms", *untraced, frequent]


def _budgets(traces: Sequence[Analysed]) -> list[str]:
    rows = [
        [item.name, trace.record.name, item.state, _figure(item.actual, item.unit), _figure(item.limit, item.unit),
         _cell(item.message)]
        for trace in traces
        for item in trace.assertions
    ]  # fmt: skip
    if not rows:
        return ["No assertion was evaluated: `renacer.toml` has none, or the traces are not here."]
    states = [row[2] for row in rows]
    told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    verdict = f"{len(rows)} assertions evaluated: {told}."
    if "fail" in states:
        verdict += " The budgets are not kept."
    elif "no data" in states:
        verdict += " What has no data is not known to be kept."
    head = ("assertion", "golden trace", "state", "found", "limit", "in words")
    return [verdict, _table(head, sorted(rows), right=(3, 4))]


def _figure(value: float | None, unit: str | None) -> str:
    return "" if value is None else f"{value:,.12g} {unit or ''}".strip()


def _section(trace: Analysed) -> list[str]:
    record = trace.record
    parts = [_facts(record), "### Calls", _calls(trace.rows), _by_kind(trace.rows), "### Interpretation"]
    sentences = golden_words.interpretation(trace.rows, trace.document, record.measured)
    parts.append("\n".join(f"- {sentence}" for sentence in sentences))
    if trace.document is None:
        parts.append("The trace itself is not here (`dvc pull` fetches it): what needs it was left out.")
    parts += ["### Patterns", _patterns(trace), "### Noise", _noise(record), "### Gates", _gates(record)]
    return parts


def _facts(record: GoldenRecord) -> str:
    used = record.environment
    machine = ", ".join(part for part in (used.cpu, used.architecture, used.system) if part)
    return "\n".join(
        [
            f"- experiment `{record.experiment}`, run `{record.run}`, promoted {record.promoted}",
            f"- command `{_cell(record.command)}`",
            f"- traced by {record.tracer}{f', Python {used.python}' if used.python else ''}, on {machine or 'unknown'}",
            f"- trace `{record.trace_id}`",
        ]
    )


def _calls(rows: Sequence[SummaryRow]) -> str:
    every, spent = sum(row.calls for row in rows), sum(row.microseconds for row in rows)
    ordered = sorted(rows, key=lambda row: (-row.microseconds, row.name))
    shown = [
        _calls_row(row.name, row.calls, row.errors, row.microseconds, every, spent) for row in ordered[:_MOST_CALLS]
    ]
    rest = ordered[_MOST_CALLS:]
    if rest:
        calls, errors, time = (sum(getattr(row, name) for row in rest) for name in ("calls", "errors", "microseconds"))
        shown.append(_calls_row(f"{len(rest)} others", calls, errors, time, every, spent))
    return _table(("call", "calls", "of calls", "errors", "time", "of time"), shown, right=(1, 2, 3, 4, 5))


def _calls_row(name: str, calls: int, errors: int, microseconds: int, every: int, spent: int) -> list[str]:
    share = f"{microseconds / spent:.1%}" if spent else ""
    return [name, str(calls), f"{calls / every:.1%}", str(errors or ""), f"{microseconds / 1000:.3f} ms", share]


def _by_kind(rows: Sequence[SummaryRow]) -> str:
    numbers = kinds.by_kind({row.name: row.calls for row in rows})
    times = kinds.by_kind({row.name: row.microseconds for row in rows})
    every, spent = sum(numbers.values()), sum(times.values())
    shown = [_calls_row(kind, number, 0, times[kind], every, spent) for kind, number in numbers.items()]
    cells = [[row[0], row[1], row[2], row[4], row[5]] for row in shown]
    return _table(("kind", "calls", "of calls", "time", "of time"), cells, right=(1, 2, 3, 4))


def _patterns(trace: Analysed) -> str:
    if not trace.findings:
        return "They were not looked for: the trace is not here."
    found = [item for item in trace.findings if item.applicable and item.confidence > 0]
    silent = [item.pattern for item in trace.findings if item.applicable and not item.confidence]
    unseen = [item for item in trace.findings if not item.applicable]
    lines = [f"- {_pattern(item)}" for item in found]
    if silent:
        lines.append(f"- not found: {', '.join(silent)}")
    lines += [f"- {item.pattern} does not apply: {_cell(item.explanation)}" for item in unseen]
    return "\n".join(lines)


def _pattern(item: PatternFinding) -> str:
    place = f", at {_cell(item.place)}" if item.place else ""
    words = f"{_cell(item.explanation)} {_cell(item.remediation)}".rstrip()
    return f"{item.pattern}: confidence {item.confidence:.2f}, {item.severity}{place}. {words}"


def _noise(record: GoldenRecord) -> str:
    noise = record.noise
    if not noise.traced:
        return "It was not repeated: how steady it is, is not known."
    lines = [f"- {noise.agreed} of {noise.traced} fresh traces made the same calls in the same order"]
    varying = [f"{name} {least} to {most}" for name, (least, most) in noise.varying.items()]
    lines.append(f"- counts that varied: {', '.join(varying) or 'none'}")
    if noise.elapsed is not None:
        lines.append(f"- wall time of {len(record.repetitions)} untraced repetitions varied by {noise.elapsed:.1%}")
    return "\n".join(lines)


def _gates(record: GoldenRecord) -> str:
    rows = [[gate.gate, gate.state, _cell(gate.words)] for gate in record.gates]
    return _table(("gate", "said", "in words"), rows) if rows else "None was asked."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    rule = ["---:" if place in right else "---" for place in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _cell(words: str) -> str:
    """Text of others on one line, without what Markdown would take for a column."""
    return " ".join(words.split()).replace("|", "\\|")
