"""Drawing a run that has just ended."""

from __future__ import annotations

from entrenar_research.actions.running.run import Ran
from entrenar_research.core.tracking import methods
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import Observed, RunRecord
from entrenar_research.views.terminal import plans
from entrenar_research.views.terminal.screen import Screen, seconds


def number(value: float) -> str:
    """A metric as people read it."""
    return f"{value:.6g}"


def draw_run(screen: Screen, ran: Ran, experiment: Experiment) -> None:
    """What a run came to: why it ran, its metrics against the last run's, declared against observed."""
    record = ran.record
    for words in ran.recovered:
        screen.line(words, "doubt")
    for key, (old, new) in ran.set.items():
        screen.line(f"{key}: {old} -> {new}")
    if not ran.reasons:
        screen.line(f"{record.experiment} is up to date (run {record.id})", "good")
    else:
        screen.line(f"{record.experiment} completed in {seconds(record.duration or 0)} (run {record.id})", "good")
    _draw_metrics(screen, ran, experiment)
    if ran.reasons:
        _draw_observed(screen, record)
        plans.draw_warnings(screen, record)
        for words in methods.findings(record.params):
            screen.line(f"warning: {words}", "doubt")
    for words in ran.fixed:
        screen.line(words, "good")
    for words in ran.drift:
        screen.line(f"warning: {words}", "doubt")
    if ran.drift:
        screen.line(
            f"hint: `entrenar-research experiment sync {record.experiment}` writes the stage from the declaration"
        )


def _draw_metrics(screen: Screen, ran: Ran, experiment: Experiment) -> None:
    record, previous = ran.record, ran.previous
    if not record.metrics:
        return
    rows, styles = [], []
    for name, value in record.metrics.items():
        metric = experiment.declaration.metrics.get(name)
        goal = metric.goal if metric else "none"
        old = previous.metrics.get(name) if previous is not None and ran.reasons else None
        change = "" if old is None else f"{value - old:+.6g}" if value != old else "same"
        rows.append([name, number(value), "" if old is None else number(old), change, "" if goal == "none" else goal])
        styles.append(_style(value, old, goal))
    columns = ["metric", "value", "before", "change", "goal"]
    if previous is None or not ran.reasons:  # nothing to compare with
        columns, rows = ["metric", "value", "goal"], [[row[0], row[1], row[4]] for row in rows]
    screen.table(columns, rows, styles=styles, styled=len(columns) - 2, right=range(1, len(columns) - 1))


def _style(value: float, old: float | None, goal: str) -> str | None:
    if old is None or value == old or goal == "none":
        return None
    return "good" if (value > old) == (goal == "maximize") else "doubt"


def _draw_observed(screen: Screen, record: RunRecord) -> None:
    trace = record.trace
    if trace.status == "none":
        screen.line("not traced: what it read was not observed", "quiet")
        return
    if trace.status == "unavailable":
        screen.line(f"trace: unavailable ({trace.reason})", "doubt")
        return
    if record.observed is None:
        words = "does not see everything: what it read was not held against its declaration"
        screen.line(f"trace: {trace.calls} calls; {trace.tracer} {words}", "doubt")
        return
    seen = record.observed
    declared = len(record.inputs) + len(record.code)
    if not _offences(seen):
        screen.line(
            f"observed {trace.calls} calls: it read what is declared ({declared} paths) and no network",
            "good",
        )
    for words, style in _offences(seen):
        screen.line(f"warning: {words}", style)
    for path in seen.unused_inputs:
        screen.line(f"note: the declared input {path} was not read", "quiet")
    if seen.undeclared_reads:
        screen.line("hint: `--fix` declares what was read")


def _offences(seen: Observed) -> list[tuple[str, str]]:
    words = [(f"reads {path}, which is not declared", "doubt") for path in seen.undeclared_reads]
    words += [(f"writes {path}, which is not declared", "doubt") for path in seen.undeclared_writes]
    words += [(f"network: {call}", "bad") for call in seen.network]
    return words
