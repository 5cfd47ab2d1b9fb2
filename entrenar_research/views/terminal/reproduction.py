"""Drawing what came of rebuilding an experiment."""

from __future__ import annotations

from entrenar_research.models.reproduction import Explained, Rebuild, Reproduction
from entrenar_research.views.terminal.screen import Screen, counted, seconds

_STYLES = {"reference": None, "identical": "good", "different": "bad", "failed": "bad", "left out": "doubt"}
_SURE = {"shown": "bad", "seen": "bad", "not found": "doubt"}


def plain(found: Reproduction) -> dict[str, object]:
    """A reproduction as JSON shows it."""
    return {
        "experiment": found.experiment,
        "runner": found.runner,
        "identical": found.identical,
        "rebuilds": found.rebuilds,
        "findings": found.findings,
        "notes": found.notes,
    }


def draw(screen: Screen, found: Reproduction) -> None:
    """Every rebuild, then every difference with its cause, then what to do, then the sum of it in one line."""
    rows = [[item.name, item.outcome, _took(item), _told(item)] for item in found.rebuilds]
    screen.table(
        ["rebuild", "result", "took", ""], rows, styles=[_STYLES[item.outcome] for item in found.rebuilds], styled=1,
        right=(2,),
    )  # fmt: skip
    if found.findings:
        screen.line()
        merged = _merged(found.findings)
        screen.table(
            ["cause", "sure", "where", "difference", "evidence"],
            [[item.cause.name, item.cause.sure, where, item.difference.detail, item.cause.evidence]
             for item, where in merged],
            styles=[_SURE[item.cause.sure] for item, _ in merged],
        )  # fmt: skip
        screen.line()
        for name, fix in {item.cause.name: item.cause.fix for item in found.findings}.items():
            screen.line(f"{name}: {fix}")
    for note in found.notes:
        screen.line(note, "doubt")
    _sum(screen, found)


def _took(item: Rebuild) -> str:
    return seconds(item.seconds) if item.seconds is not None else ""


def _told(item: Rebuild) -> str:
    return item.detail or (f"varied: {', '.join(item.changed)}" if len(item.changed) > 1 else "")


def _merged(findings: tuple[Explained, ...]) -> list[tuple[Explained, str]]:
    """Several places in one file with one cause as one row: the first of them, and how many more there are."""
    groups: dict[tuple[str, str, str], list[Explained]] = {}
    for item in findings:
        groups.setdefault((item.cause.name, item.cause.sure, item.difference.file), []).append(item)
    found = []
    for members in groups.values():
        first = members[0].difference
        where = ": ".join(part for part in (first.file, first.place) if part) or "the command"
        more = len(members) - 1
        found.append((members[0], where + (f" and {counted(more, 'more place')}" if more else "")))
    return found


def _sum(screen: Screen, found: Reproduction) -> None:
    done = [item for item in found.rebuilds if item.outcome != "left out"]
    left_out = len(found.rebuilds) - len(done)
    rest = f", {left_out} left out" if left_out else ""
    if found.identical:
        words = f"{found.experiment}: {counted(len(done), 'rebuild')}, all identical byte for byte{rest}"
        screen.line(words, "good")
        return
    names = ", ".join(dict.fromkeys(item.cause.name for item in found.findings))
    screen.line(f"{found.experiment}: it does not reproduce: {names or 'a rebuild failed'}{rest}", "bad")
