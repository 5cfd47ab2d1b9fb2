"""Drawing one run in full."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from entrenar_research.core import recipe
from entrenar_research.core.tracking import etas, methods
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Deviation, Series
from entrenar_research.views.terminal.curves import sparkline
from entrenar_research.views.terminal.screen import Screen, counted, seconds, size
from entrenar_research.views.terminal.tables import flat

STYLES = {
    "completed": "good",
    "failed": "bad",
    "lost": "bad",
    "recovered": "doubt",
    "cancelled": "doubt",
    "pending": "quiet",
}
_RATINGS = {"green": "good", "amber": "doubt", "red": "bad"}
_PLANNED = {"memory": "memory", "gpu_memory": "memory of graphics cards", "time": "time"}
_SHORT = 16
_SERIES = 40
_WARNINGS = 20
_THINNED = 4000

Points = tuple[Sequence[float], Sequence[float]]
Curve = Callable[[str], Points | None]
"""Steps and values of a metric; None where they cannot be had."""


def draw(screen: Screen, record: RunRecord, shown: str, curve: Curve) -> None:
    """A run in full. `shown` is its status as it really is; curves are drawn on a terminal only."""
    screen.line(f"{record.id}  {shown}", STYLES.get(shown))
    screen.fields([row for row in _fields(record) if row[1]])
    _draw_failure(screen, record)
    _draw_plan(screen, record.plan)
    _draw_series(screen, record.series, curve if screen.terminal else lambda key: None)
    for words in methods.findings(record.params):
        screen.line(f"warning: {flat(words)}", "doubt")
    for words in record.warnings[:_WARNINGS]:
        screen.line(f"warning: {flat(words)}", "doubt")
    if len(record.warnings) > _WARNINGS:
        screen.line(f"and {len(record.warnings) - _WARNINGS} warnings more", "doubt")
    _draw_telemetry(screen, record)
    _draw_files(screen, record)


def number(value: float) -> str:
    """A metric as people read it."""
    if math.isfinite(value):
        return f"{value:.6g}"
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _fields(record: RunRecord) -> list[list[str]]:
    changes = " (with uncommitted changes)" if record.git.dirty else ""
    rows = [
        ["experiment", record.experiment],
        ["command", record.command],
        ["started", record.started],
        ["took", "" if record.duration is None else seconds(record.duration)],
        ["exit status", "" if record.exit_status is None else str(record.exit_status)],
        ["signal", record.signal or ""],
        ["tags", ", ".join(record.tags)],
        ["sweep", f"{record.trial.sweep}, trial {record.trial.number}" if record.trial else ""],
        ["recovered", record.recovered or ""],
        ["imported", record.imported or ""],
        ["recipe", record.recipe or ""],
        ["result", record.result or ""],
        ["commit", f"{record.git.commit}{changes}" if record.git.commit else ""],
        ["runner", record.runner],
        ["trace", _trace(record)],
        ["trace id", record.trace_id or ""],
    ]
    if record.usage is not None:
        rows.append(["peak memory", size(record.usage.peak_memory)])
        if record.usage.group_memory is not None:
            rows.append(["memory together", f"{size(record.usage.group_memory)} (all processes at once, sampled)"])
        if record.usage.gpu_memory is not None:
            whose = "its own processes" if record.usage.gpu_scope == "processes" else "rise of all cards"
            rows.append(["gpu memory", f"{size(record.usage.gpu_memory)} ({whose}, sampled)"])
    rows += [["eta", _predicted(record)]]
    for parent in record.lineage.parents if record.lineage else ():
        role = f" as {parent.role}" if parent.role else ""
        rows.append(["parent", f"{parent.run} ({parent.relationship.replace('_', ' ')}{role})"])
    rows += [[f"param {key}", str(value)] for key, value in recipe.dotted(record.params).items()]
    rows += [[f"metric {key}", number(value)] for key, value in record.metrics.items()]
    return [[flat(name), flat(value)] for name, value in rows]


def _trace(record: RunRecord) -> str:
    if record.runner != "host" and record.trace.level == "none":
        return ""
    by = f" by {record.trace.tracer}" if record.trace.tracer else ""
    words = f"{record.trace.level}: {record.trace.status}{by}"
    more = f"{record.trace.calls} calls" if record.trace.calls else record.trace.reason
    return f"{words} ({more})" if more else words


def _predicted(record: RunRecord) -> str:
    if not record.eta:
        return ""
    found = etas.accuracy(record.eta)
    words = f"{counted(found.predictions, 'prediction')}; the first: {seconds(record.eta[0].predicted)} left, "
    words += f"it took {seconds(record.eta[0].actual)}"
    if found.percent is not None:
        words += f"; off by {found.percent:.1f} % on average"
    if found.covered is not None:
        words += f"; {100 * found.covered:.0f} % within two standard deviations"
    return words


def _draw_failure(screen: Screen, record: RunRecord) -> None:
    context = record.failure_context
    if context is None:
        if record.failure:
            screen.line(f"failure: {record.failure}", "bad")
        return
    screen.line(f"failure: {context.code} ({context.category})", "bad")
    screen.line(f"  {context.diagnostic}")
    if context.remediation:
        screen.line(f"  what to do: {context.remediation}")
    for words in context.evidence:
        screen.line(f"  evidence: {words}", "quiet")
    for line in (context.stack or "").splitlines():
        screen.line(f"  {line}", "quiet")


def _draw_plan(screen: Screen, plan: dict[str, Deviation]) -> None:
    """Planned against actual, each in the colour of its rating, with the thresholds that the rating rests on."""
    if not plan:
        return
    rows, styles = [], []
    for key, found in plan.items():
        words = [seconds(value) if key == "time" else size(round(value)) for value in (found.planned, found.actual)]
        limits = f"amber above {found.amber_above:+g} %, red above {found.red_above:+g} %"
        rows.append([_PLANNED.get(key, key), *words, f"{found.percent:+.2f} %", found.rating, limits])
        styles.append(_RATINGS[found.rating])
    columns = ["plan", "planned", "actual", "deviation", "rating", "thresholds"]
    screen.table(columns, rows, styles=styles, styled=4, right=(1, 2, 3))


def _draw_series(screen: Screen, series: dict[str, Series], curve: Curve) -> None:
    if not series:
        return
    rows = []
    for key, item in list(series.items())[:_SERIES]:
        bounds = ["" if bound is None else number(bound) for bound in (item.lowest, item.highest)]
        rows.append([key, str(item.points), number(item.last), str(item.last_step), *bounds, drawn(screen, curve(key))])
    columns = ["logged", "points", "last", "step", "lowest", "highest", ""]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    screen.table(columns, rows, right=(1, 2, 3, 4, 5))
    if len(series) > _SERIES:
        screen.line(f"and {len(series) - _SERIES} more: `entrenar-research runs show ID --format json`", "quiet")


def drawn(screen: Screen, points: Points | None) -> str:
    """A curve in one line; empty without finite values, or where the terminal cannot show it."""
    if points is None or not (screen.stream.encoding or "").lower().replace("-", "").startswith("utf"):
        return ""
    xs, ys = points
    every = max(1, len(xs) // _THINNED)
    found = [(float(x), float(y)) for x, y in zip(xs[::every], ys[::every], strict=True) if math.isfinite(y)]
    if not found:
        return ""
    steps, values = zip(*found, strict=True)
    return sparkline(steps, values, (min(values), max(values)), (min(steps), max(steps)))


def _draw_telemetry(screen: Screen, record: RunRecord) -> None:
    found = record.telemetry
    if found is None:
        return
    words = [
        counted(found.points, "point"),
        counted(found.spans, "span"),
        counted(found.processes, "process", "processes"),
    ]
    screen.line(f"telemetry: {', '.join(words)}", "quiet")
    if found.lost:
        screen.line(f"telemetry: {counted(found.lost, 'point')} could not be kept: {found.reason}", "doubt")
    for damage in found.damaged:
        screen.line(f"telemetry: {damage}", "doubt")


def _draw_files(screen: Screen, record: RunRecord) -> None:
    kinds = (("code", record.code), ("input", record.inputs), ("output", record.outputs))
    files = [(kind, item.path, item.digest, item.size) for kind, items in kinds for item in items]
    files += [(item.kind if item.kind == "model" else "artifact", item.path, item.digest, item.size)
              for item in record.artifacts]  # fmt: skip
    rows = [[kind, path, digest.removeprefix("sha256:")[:_SHORT], size(count)] for kind, path, digest, count in files]
    if rows:
        screen.table(["role", "path", "sha256", "size"], rows, right=(3,))
