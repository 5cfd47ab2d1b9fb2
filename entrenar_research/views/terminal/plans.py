"""Warnings where a run took more than was planned."""

from __future__ import annotations

from entrenar_research.models.run import RunRecord
from entrenar_research.views.terminal.screen import Screen, seconds, size

_NAMES = {"memory": "memory", "gpu_memory": "memory of graphics cards", "time": "time"}
_STYLES = {"amber": "doubt", "red": "bad"}


def draw_warnings(screen: Screen, record: RunRecord) -> None:
    """A line for each planned quantity of which the run took too much; nothing where all is green."""
    for key, found in record.plan.items():
        if found.rating == "green":
            continue
        actual, planned = (
            seconds(value) if key == "time" else size(round(value)) for value in (found.actual, found.planned)
        )
        screen.line(
            f"warning: more {_NAMES.get(key, key)} than planned: {actual}, {planned} planned ({found.percent:+.2f} %)",
            _STYLES[found.rating],
        )
