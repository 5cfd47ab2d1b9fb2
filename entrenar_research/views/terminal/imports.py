"""What an import brought in, and what it did not."""

from __future__ import annotations

from collections import Counter, defaultdict

from entrenar_research.actions.runs.importing import Imported, Report
from entrenar_research.views.terminal.screen import Screen, counted

_KINDS = {
    "unmapped": "not imported, since there is no place for it here:",
    "personal": "left out, since it names people, accounts, machines or their directories:",
    "kept otherwise": "imported, but it reads differently:",
}
_SHOWN = 20


def draw(screen: Screen, report: Report) -> None:
    """The runs, then everything that a person should know about what was left out."""
    if report.imported:
        rows = [
            (run.run or "-", run.experiment, run.status, str(run.series), str(run.points), run.label)
            for run in report.imported[:_SHOWN]
        ]
        screen.table(("run", "experiment", "status", "metrics", "points", "was"), rows, right=(3, 4))
        if len(report.imported) > _SHOWN:
            screen.line(f"... and {len(report.imported) - _SHOWN} more")
    _omissions(screen, report.imported)
    _listed(screen, "passed over:", report.passed_over)
    damaged = [f"{run.label}: {words}" for run in report.imported for words in run.damaged]
    _listed(screen, "damaged (what could be read is imported):", damaged, "bad")
    changed = [f"{origin}: imported as {run}, and has gone on since" for origin, run in report.changed.items()]
    _listed(screen, "changed (`runs remove ID`, then import again):", changed, "doubt")
    _listed(screen, "could not be imported:", report.problems, "bad")
    screen.line(_summary(report), "good" if report.whole else "doubt")


def _summary(report: Report) -> str:
    points = sum(run.points for run in report.imported)
    doing = "would import" if report.dry_run else "imported"
    parts = [f"{doing} {counted(len(report.imported), 'run')} with {counted(points, 'point')}"]
    if report.known:
        parts.append(f"{counted(len(report.known), 'run')} imported before")
    if report.changed:
        parts.append(f"{len(report.changed)} changed since")
    if report.problems:
        parts.append(f"{counted(len(report.problems), 'problem')}")
    return "; ".join(parts)


def _omissions(screen: Screen, imported: tuple[Imported, ...]) -> None:
    found: dict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
    runs: Counter[tuple[str, str]] = Counter()
    for run in imported:
        for item in run.omissions:
            found[item.kind][item.what, item.why] += item.count
            runs[item.what, item.why] += 1
    for kind, title in _KINDS.items():
        lines = []
        for (what, why), count in sorted(found[kind].items()):
            where = f" in {counted(runs[what, why], 'run')}" if len(imported) > 1 else ""
            number = "" if kind == "personal" else f"{count} x "
            lines.append(f"{number}{what}{where}" + (f" ({why})" if why else ""))
        _listed(screen, title, lines)


def _listed(screen: Screen, title: str, lines: list[str] | tuple[str, ...], style: str | None = None) -> None:
    if not lines:
        return
    screen.line(title, style)
    for line in lines[:_SHOWN]:
        screen.line(f"  {line}")
    if len(lines) > _SHOWN:
        screen.line(f"  ... and {len(lines) - _SHOWN} more (all of them: --format json, or import.json of each run)")
