"""Drawing what a verification found."""

from __future__ import annotations

from entrenar_research.models.verdict import Finding, Report, Verdict
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


def plain(report: Report) -> dict[str, object]:
    """A report as JSON shows it: the verdicts counted, then every finding."""
    return {
        "target": report.target,
        "passed": not report.wanting,
        "counts": counts(report),
        "findings": report.findings,
        "notes": report.notes,
    }


def counts(report: Report) -> dict[str, int]:
    """How many findings there are of each verdict that occurs."""
    found: dict[str, int] = {}
    for verdict in Verdict:
        number = sum(1 for finding in report.findings if finding.verdict is verdict)
        if number:
            found[verdict.value] = number
    return found


def draw_report(screen: Screen, report: Report, *, every: bool = False) -> None:
    """The findings as one table, what is wanting last and in full, and the sum of it in one line."""
    for note in report.notes:
        screen.line(note, "doubt")
    shown = list(report.findings) if every else _folded(report.findings)
    shown.sort(key=lambda finding: finding.verdict.wanting)
    rows = [[finding.verdict.value, finding.area, finding.subject, finding.detail] for finding in shown]
    styles = [VERDICT_STYLES[finding.verdict] for finding in shown]
    screen.table(["verdict", "area", "what", "detail"], rows, styles=styles)
    words = ", ".join(f"{number} {verdict}" for verdict, number in counts(report).items())
    if report.wanting:
        screen.line(f"verify: {words}: this is not what was recorded", "bad")
    else:
        screen.line(f"verify: {words}: nothing is different or broken", "good")


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
