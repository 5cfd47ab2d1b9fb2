"""Golden traces: promoting the trace of a run, holding what is done now against it, showing, comparing, retiring."""

from __future__ import annotations

from entrenar_research.actions.golden.capturing import Means
from entrenar_research.actions.golden.checking import BUDGET, Checked, cases, check_again, check_run, exit_code
from entrenar_research.actions.golden.differing import Difference, difference
from entrenar_research.actions.golden.files import load
from entrenar_research.actions.golden.promoting import REPETITIONS, Promotion, promote
from entrenar_research.actions.golden.retiring import Retired, retire

__all__ = [
    "BUDGET",
    "REPETITIONS",
    "Checked",
    "Difference",
    "Means",
    "Promotion",
    "Retired",
    "cases",
    "check_again",
    "check_run",
    "difference",
    "exit_code",
    "load",
    "promote",
    "retire",
]
