"""Two traces of a study side by side: golden ones, or those of runs."""

from __future__ import annotations

import msgspec

from entrenar_research.actions.golden.files import load, trace_of_run
from entrenar_research.core.traces import comparison as trace_comparison
from entrenar_research.core.traces.comparison import Comparison
from entrenar_research.errors import UsageError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between two traces: the first divergence with what stands before it, and counts.

    `tracers` made them; `caution` says so where they are two.
    """

    one: str
    other: str
    tracers: tuple[str, str]
    caution: str | None
    comparison: Comparison
    words: str


def difference(study: StudyFiles, one: str, other: str) -> Difference:
    """Compares two traces, each named as a golden trace, a run, or an experiment (its last good run).

    Raises:
        UsageError: if there is no such trace, or they were normalised by different rules.
        IntegrityError: if one is damaged.
    """
    first, second = _trace(study, one), _trace(study, other)
    if first.rules != second.rules:
        raise UsageError(
            f"{one} was normalised by rules {first.rules}, {other} by rules {second.rules}",
            hint="make the older one anew",
        )
    found = trace_comparison.compare(first.texts, first.counts, second.texts, second.counts)
    return Difference(
        one=one,
        other=other,
        tracers=(first.tracer, second.tracer),
        caution=trace_comparison.unlike((one, first.tracer), (other, second.tracer)),
        comparison=found,
        words=trace_comparison.describe(found),
    )


def _trace(study: StudyFiles, name: str) -> TraceDocument:
    if name in GoldenFiles(study.root).names():
        return load(study, name)[1]
    return trace_of_run(study, RunFiles(study.root).resolve(name))
