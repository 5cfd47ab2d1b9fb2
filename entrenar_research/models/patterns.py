"""Anti-patterns: shapes of behaviour that point to a defect of architecture (spec 27)."""

from __future__ import annotations

from typing import Literal

import msgspec

PatternName = Literal[
    "GodProcess", "TightLoop", "AllocationStorm", "ThreadImbalance", "BlockingInAsync", "PcieBottleneck"
]
Severity = Literal["info", "warning", "critical"]


class PatternFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pattern that was looked for: `confidence` in 0..1 from `metric` (what it is, is documented with the pattern).

    `first` and `last` are positions in the trace's calls (from 0), None where nothing was found; `place` is where in
    words: a process label, a file and line, a span. `applicable` is false where the trace cannot show the pattern (a
    single process can be no god among processes): `explanation` says why, and the confidence is 0.
    """

    pattern: PatternName
    confidence: float
    severity: Severity
    metric: float
    explanation: str
    remediation: str
    place: str | None = None
    first: int | None = None
    last: int | None = None
    applicable: bool = True
