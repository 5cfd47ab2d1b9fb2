"""Golden traces on the terminal: what the gates said, how checks came out, one trace in full."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from entrenar_research.actions.golden import Checked, Promotion
from entrenar_research.core.traces.summary import SummaryRow
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.views.terminal.screen import Screen, size

_GATES = {"pass": "good", "refused": "bad", "no data": "doubt"}
_CASES = {"pass": "good", "fail": "bad", "warn": "doubt", "no data": "doubt", "skip": "quiet"}
_MOST = 10


def draw_promotion(screen: Screen, found: Promotion) -> None:
    """What every gate said, and what came of it."""
    _draw_gates(screen, found.record)
    record = found.record
    if found.written:
        screen.line(f"golden trace {record.name}: {record.total} calls of run {record.run}", "good")
    else:
        names = ", ".join(gate.gate for gate in found.refused)
        screen.line(f"run {record.run} did not become golden, nothing was written; refused by: {names}", "bad")


def _draw_gates(screen: Screen, record: GoldenRecord) -> None:
    rows = [[gate.state, gate.gate, gate.words.partition("\n")[0]] for gate in record.gates]
    screen.table(["said", "gate", "in words"], rows, styles=[_GATES[gate.state] for gate in record.gates])
    for gate in record.gates:
        for line in gate.words.splitlines()[1:]:
            screen.line(f"  {line}")


def draw_checks(screen: Screen, checked: Sequence[Checked], left_out: Sequence[str]) -> None:
    """How each check came out, with the first divergence; `left_out` were not reached."""
    for item in checked:
        same = item.agreeing == item.traced
        screen.line(
            f"{item.name}: {'same as' if same else 'differs from'} {item.against}",
            "good" if same and not item.exit_code else "bad" if item.exit_code == 1 else "doubt",
        )
        _indented(screen, item.words)
        for number, case in enumerate(item.cases):
            # The words above are what the first one, of the calls, says of a failure.
            if case.state != "pass" and (number > 0 or case.state == "no data"):
                screen.line(f"  {case.state}: {case.name}: {case.message}", _CASES[case.state])
                _indented(screen, case.detail if number > 0 else "", "    ")
        for change in item.times:
            if change.state in ("unchanged", "improvement") and item.elsewhere is None:
                screen.line(f"  {change.name}: {change.state}, {change.before:.6g} -> {change.now:.6g}, {change.words}")
    if left_out:
        screen.line(f"not checked after the first failure ([ci] fail_fast): {', '.join(left_out)}", "doubt")


def _indented(screen: Screen, text: str, margin: str = "  ") -> None:
    for line in text.splitlines():
        screen.line(f"{margin}{line}")


def draw_record(screen: Screen, record: GoldenRecord, rows: Sequence[SummaryRow]) -> None:
    """One golden trace: what it is of, what the gates said, how steady it is, its most frequent calls."""
    used = record.environment
    fields = [
        ("golden trace", record.name),
        ("experiment", record.experiment),
        ("run", record.run),
        ("promoted", f"{record.promoted} with {record.tool}"),
        ("command", record.command),
        ("tracer", record.tracer),
        ("python", used.python or ""),
        ("machine", ", ".join(part for part in (used.cpu, used.architecture, used.system) if part)),
        ("trace", record.trace_id),
        ("calls", f"{record.total}, of which {sum(record.calls.values())} lines tell what it does"),
        ("steadiness", _steadiness(record)),
        ("untraced", _untraced(record)),
    ]
    screen.fields([(name, value) for name, value in fields if value])
    _draw_gates(screen, record)
    shown = sorted(rows, key=lambda row: (-row.calls, row.name))[:_MOST]
    every = sum(row.calls for row in rows)
    cells = [
        [row.name, str(row.calls), f"{row.calls / every:.1%}", str(row.errors or ""), f"{row.microseconds / 1e6:.6f}"]
        for row in shown
    ]
    screen.table(["call", "calls", "share", "errors", "seconds, traced"], cells, right=(1, 2, 3, 4))


def _steadiness(record: GoldenRecord) -> str:
    noise = record.noise
    if not noise.traced:
        return "not repeated"
    words = f"{noise.agreed} of {noise.traced} fresh traces agreed"
    return f"{words}; varying in number: {', '.join(noise.varying) or 'none'}"


def _untraced(record: GoldenRecord) -> str:
    every = record.repetitions
    if not every:
        return "not measured"
    wall = statistics.median(item.wall for item in every)
    used = statistics.median(item.user + item.system for item in every)
    peak = size(max(item.peak_memory for item in every))
    spread = f" (varying by {record.noise.elapsed:.1%})" if record.noise.elapsed is not None else ""
    return f"{len(every)} repetitions: wall {wall:.3f} s{spread}, processor {used:.3f} s, peak {peak}"
