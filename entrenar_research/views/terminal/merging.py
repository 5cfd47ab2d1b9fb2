"""What a merge of two copies of a study did, or would do."""

from __future__ import annotations

from entrenar_research.actions.runs.merging import Merged
from entrenar_research.actions.runs.merging_results import Standing
from entrenar_research.views.terminal.screen import Screen, counted


def draw(screen: Screen, merged: Merged, *, dry: bool) -> None:
    """Conflicts alone, where there are any; else runs, then experiments with what remains to be done."""
    for item in merged.conflicts:
        screen.line(f"conflict: {item.run}: {item.why}", "bad")
    if merged.conflicts:
        screen.line(f"nothing was changed: {counted(len(merged.conflicts), 'conflict')}", "bad")
        return
    would = "would be " if dry else ""
    for run in merged.copied:
        screen.line(f"{would}copied: {run}")
    for item in merged.replaced:
        screen.line(f"{would}replaced by theirs: {item.run}: {item.why}")
    for item in merged.left_out:
        screen.line(f"left out: {item.run}: {item.why}", "doubt")
    for standing in merged.experiments:
        _draw_standing(screen, standing)
    taken = len(merged.copied) + len(merged.replaced)
    if taken:
        screen.line(f"{counted(taken, 'run')} {would}taken from the other copy", "good")
    else:
        screen.line("no new run in the other copy", "good")


def _draw_standing(screen: Screen, standing: Standing) -> None:
    if standing.choice == "concurrent":
        screen.line(f"{standing.experiment}: two concurrent results: {standing.why}", "doubt")
        screen.line(f"  ours:   {standing.ours}")
        screen.line(f"  theirs: {standing.theirs}")
    else:
        run = standing.ours if standing.choice == "ours" else standing.theirs
        screen.line(f"{standing.experiment}: {standing.choice} counts, {run}: {standing.why}")
    if standing.taken:
        screen.line("  its result is in place now, and in dvc.lock", "good")
    if standing.next is not None:
        screen.line(f"  next: {standing.next}")
