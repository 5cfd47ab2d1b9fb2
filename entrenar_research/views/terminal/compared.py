"""How alike two traces are, for a terminal: the axes, the verdict, the first difference, the times."""

from __future__ import annotations

from entrenar_research.models.equivalence import Equivalence, Timing
from entrenar_research.views.terminal.screen import Screen

_STYLES = {"PASS": "good", "WARN": "doubt", "FAIL": "bad", "INSUFFICIENT": "bad"}


def draw(screen: Screen, expected: str, found: str, told: Equivalence) -> None:
    """Draws the comparison of the traces of these names."""
    if told.axes:
        rows = [[axis.name, f"{axis.score:.4f}", f"{axis.weight:.2f}", axis.words] for axis in told.axes]
        screen.table(["axis", "score", "weight", "what differs"], rows, right=(1, 2))
    screen.line(f"time: {_time(told.timing)}", "quiet")
    screen.line(f"{told.verdict}: {_score(told)}; {found} against {expected}", _STYLES[told.verdict])
    if told.divergence:
        screen.line(f"first difference: {told.divergence}")
    for line in told.context:
        screen.line(line, "quiet")
    for reason in told.reasons:
        screen.line(f"  {reason}")


def _score(told: Equivalence) -> str:
    if told.verdict == "INSUFFICIENT":
        return "nothing was compared"
    return f"score {told.score:.4f}, min_confidence {told.min_confidence:g}"


def _time(timing: Timing) -> str:
    if timing.speedup is None:
        return timing.words
    seconds = f"{timing.expected_seconds:.4g} s before, {timing.found_seconds:.4g} s now"
    return f"{seconds}, speed-up {timing.speedup:.2f} ({timing.words})"
