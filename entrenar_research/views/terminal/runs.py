"""Drawing runs: one that just ended, a list of them, two side by side."""

from __future__ import annotations

from collections.abc import Sequence

from entrenar_research.actions.run import Ran
from entrenar_research.core import recipe
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import Observed, RunRecord
from entrenar_research.views.terminal.screen import Screen, seconds, size

STATUS_STYLES = {
    "completed": "good",
    "failed": "bad",
    "lost": "bad",
    "cancelled": "doubt",
    "running": "quiet",
}


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
    if trace.status == "unavailable" or record.observed is None:
        screen.line(f"trace: unavailable ({trace.reason})", "doubt")
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


def draw_list(screen: Screen, records: Sequence[RunRecord]) -> None:
    """Runs, newest last, with their first metrics."""
    if not records:
        screen.line("no runs yet: `entrenar-research run NAME` makes one")
        return
    rows = []
    for record in records:
        shown = ", ".join(f"{name} {number(value)}" for name, value in list(record.metrics.items())[:3])
        length = "" if record.duration is None else seconds(record.duration)
        rows.append([record.id, record.experiment, record.status, length, shown])
    styles = [STATUS_STYLES[record.status] for record in records]
    screen.table(["run", "experiment", "status", "took", "metrics"], rows, styles=styles, styled=2, right=(3,))


def draw_record(screen: Screen, record: RunRecord) -> None:
    """One run in full."""
    screen.line(f"{record.id}  {record.status}", STATUS_STYLES[record.status])
    rows = [
        ["experiment", record.experiment],
        ["command", record.command],
        ["started", record.started],
        ["took", "" if record.duration is None else seconds(record.duration)],
        ["exit status", "" if record.exit_status is None else str(record.exit_status)],
        ["failure", record.failure or ""],
        ["recipe", record.recipe or ""],
        ["result", record.result or ""],
        [
            "commit",
            f"{record.git.commit or 'none'}{' (with uncommitted changes)' if record.git.dirty else ''}",
        ],
        ["runner", record.runner],
    ]
    words = f"{record.trace.level}: {record.trace.status}"
    more = f"{record.trace.calls} calls" if record.trace.calls else record.trace.reason
    rows.append(["trace", f"{words} ({more})" if more else words])
    if record.usage is not None:
        rows.append(["peak memory", size(record.usage.peak_memory)])
    rows += [[f"param {key}", str(value)] for key, value in recipe.dotted(record.params).items()]
    rows += [[f"metric {key}", number(value)] for key, value in record.metrics.items()]
    screen.fields([row for row in rows if row[1]])
    files = [[kind, item.path, item.digest.removeprefix("sha256:")[:16], size(item.size)]
             for kind, items in (("code", record.code), ("input", record.inputs), ("output", record.outputs))
             for item in items]  # fmt: skip
    screen.table(["role", "path", "sha256", "size"], files, right=(3,))


def draw_comparison(screen: Screen, one: RunRecord, other: RunRecord) -> None:
    """Two runs side by side: what differs in their recipes, and every metric."""
    screen.line(f"A  {one.id}\nB  {other.id}")
    changes = recipe.differences(one, other)
    for words in changes:
        screen.line(f"  {words}")
    if not changes:
        screen.line("  same recipe", "good")
    rows = []
    for name in sorted({*one.metrics, *other.metrics}):
        left, right = one.metrics.get(name), other.metrics.get(name)
        change = "" if left is None or right is None else "same" if left == right else f"{right - left:+.6g}"
        rows.append([name, "" if left is None else number(left), "" if right is None else number(right), change])
    screen.table(["metric", "A", "B", "change"], rows, right=(1, 2, 3))
    same = one.result is not None and one.result == other.result
    screen.line("results: identical" if same else "results: different", "good" if same else "doubt")
