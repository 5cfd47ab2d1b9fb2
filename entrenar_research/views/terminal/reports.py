"""Drawing what a verification found."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from entrenar_research.models.verdict import Finding, Hint, Place, Repetition, Report, Verdict
from entrenar_research.views.terminal.screen import Screen

VERDICT_STYLES = {
    Verdict.IDENTICAL: "good",
    Verdict.EQUAL: "good",
    Verdict.WITHIN: "good",
    Verdict.DIFFERENT: "bad",
    Verdict.BROKEN: "bad",
    Verdict.UNKNOWN: "doubt",
}
_FOLD_FROM = 12
_PARTS: Final = {"signatures": "who vouches", "replay": "replay", "rebuild": "rebuild"}
"""What the areas of findings speak of; all others of integrity."""


def plain(report: Report) -> dict[str, object]:
    """A report as JSON shows it: the verdicts counted, in all and by what they are about, then every finding."""
    return {
        "target": report.target,
        "passed": not report.wanting,
        "counts": counts(report.findings),
        "summary": {name.replace(" ", "_"): _standing(found) for name, found in _parts(report).items()},
        "findings": report.findings,
        "repetitions": report.repetitions,
        "notes": report.notes,
    }


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many findings there are of each verdict that occurs."""
    verdicts = [finding.verdict for finding in findings]
    return {verdict.value: verdicts.count(verdict) for verdict in Verdict if verdict in verdicts}


def draw_report(screen: Screen, report: Report, *, every: bool = False) -> None:
    """The findings as one table, what is wanting last and in full; what was carried out again; the sum of it."""
    for note in report.notes:
        screen.line(note, "doubt")
    shown = list(report.findings) if every else _folded(report.findings)
    shown.sort(key=lambda finding: finding.verdict.wanting)
    rows = [[finding.verdict.value, finding.area, finding.subject, finding.detail] for finding in shown]
    styles = [VERDICT_STYLES[finding.verdict] for finding in shown]
    screen.table(["verdict", "area", "what", "detail"], rows, styles=styles)
    if report.repetitions:
        _draw_repetitions(screen, report)
    screen.line()
    for name, found in _parts(report).items():
        _draw_part(screen, name, found)
    words = _counted(report.findings)
    if report.wanting:
        screen.line(f"verify: {words}: this is not what was recorded", "bad")
    else:
        screen.line(f"verify: {words}: nothing is different or broken", "good")


def _draw_repetitions(screen: Screen, report: Report) -> None:
    """By whom and on what kind of machine each was run then and now, and what may be the cause of a difference."""
    screen.line()
    rows = [[item.verdict.value, item.experiment, _where(item.then), _again(item)] for item in report.repetitions]
    styles = [VERDICT_STYLES[item.verdict] for item in report.repetitions]
    screen.table(["verdict", "experiment", "run by", "again by"], rows, styles=styles)
    told: dict[Hint, list[str]] = {}
    for item in report.repetitions:
        for hint in item.hints:
            told.setdefault(hint, []).append(item.experiment)
    if told:
        screen.line()
        rows = [[hint.cause, hint.sure, ", ".join(names), hint.evidence] for hint, names in told.items()]
        screen.table(["cause", "sure", "experiment", "evidence"], rows)
        screen.line()
        for cause, fix in {hint.cause: hint.fix for hint in told}.items():
            screen.line(f"{cause}: {fix}")
    for item in report.repetitions:
        if item.verdict in (Verdict.WITHIN, Verdict.DIFFERENT) and all(hint.sure != "seen" for hint in item.hints):
            option = f" --runner {item.now.runner}" if item.now.runner != "host" else ""
            screen.line(f"`entrenar-research reproduce {item.experiment}{option}` varies one thing after another")


def _where(place: Place) -> str:
    return f"{place.runner} on {place.hardware or 'an unknown kind of machine'}"


def _again(item: Repetition) -> str:
    same = item.then.hardware is not None and item.then.hardware == item.now.hardware
    return f"{item.now.runner} on the same kind of machine" if same else _where(item.now)


def _parts(report: Report) -> dict[str, tuple[Finding, ...]]:
    """The findings by what they speak of: that nothing was changed, who says so, and what came out again."""
    parts: dict[str, list[Finding]] = {"integrity": [], "who vouches": []}
    for finding in report.findings:
        parts.setdefault(_PARTS.get(finding.area, "integrity"), []).append(finding)
    return {name: tuple(found) for name, found in parts.items()}


def _standing(findings: tuple[Finding, ...]) -> dict[str, object]:
    return {"passed": not any(item.verdict.wanting for item in findings), "counts": counts(findings)}


def _draw_part(screen: Screen, name: str, findings: tuple[Finding, ...]) -> None:
    found = {item.verdict for item in findings}
    style = "bad" if any(verdict.wanting for verdict in found) else "doubt" if Verdict.UNKNOWN in found else "good"
    if name == "who vouches" and Verdict.IDENTICAL not in found:
        screen.line(f"{name}: nobody{f' ({_counted(findings)})' if findings else ''}", style if findings else "doubt")
    else:
        screen.line(f"{name}: {_counted(findings)}", style)


def _counted(findings: Iterable[Finding]) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in counts(findings).items()) or "nothing to check"


def _folded(findings: tuple[Finding, ...]) -> list[Finding]:
    """Many good findings of one kind as one; nothing that is wanting or unknown is ever folded."""
    groups: dict[tuple[str, Verdict, str], list[Finding]] = {}
    for finding in findings:
        kind = _kind(finding.subject) if finding.verdict is Verdict.IDENTICAL else finding.subject
        groups.setdefault((finding.area, finding.verdict, kind), []).append(finding)
    shown = []
    for (area, verdict, kind), members in groups.items():
        if verdict is Verdict.IDENTICAL and len(members) >= _FOLD_FROM:
            detail = f"all {len(members)}"
            shown.append(Finding(area=area, subject=kind, verdict=verdict, detail=detail))
        else:
            shown += members
    return shown


def _kind(subject: str) -> str:
    """What a subject can be folded into: its directory, or for `experiment: metric` the metrics of the experiment."""
    directory, slash, _ = subject.rpartition("/")
    if slash:
        return directory + slash
    experiment, colon, _ = subject.partition(": ")
    return f"{experiment}: metrics" if colon else subject
