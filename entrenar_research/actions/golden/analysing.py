"""Writing `golden_traces/ANALYSIS.md` anew from the golden traces that are there."""

from __future__ import annotations

import msgspec

from entrenar_research.core import golden_analysis
from entrenar_research.core.golden_analysis import Analysed
from entrenar_research.core.traces import document, figures, patterns
from entrenar_research.core.traces import summary as trace_summary
from entrenar_research.core.traces.budgets import assertions
from entrenar_research.core.traces.budgets.assertions import Evidence
from entrenar_research.errors import ResearchError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.policy import TracePolicy
from entrenar_research.store import files, policy_file
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.study_files import StudyFiles


def write(study: StudyFiles) -> None:
    """Writes the analysis of all golden traces; the same files give the same bytes. One that is damaged is named in it.

    Raises:
        InvalidFileError: if `renacer.toml` is not as it should be.
        StorageError: if the file system refuses.
    """
    golden = GoldenFiles(study.root)
    policy = policy_file.load(study.root)
    traces, unreadable = [], []
    for name in golden.names():
        try:
            traces.append(_analysed(golden, name, policy))
        except ResearchError as error:
            unreadable.append((name, error.message))
    files.write_atomically(golden.analysis, golden_analysis.text(traces, unreadable))


def _analysed(golden: GoldenFiles, name: str, policy: TracePolicy) -> Analysed:
    record = golden.load(name)
    shown = f"{golden.relative(name)}/{name}_summary.txt"
    table = figures.table_of(files.read_text(golden.summary(name), shown=shown))
    found = _document(golden, name)
    rows = trace_summary.parse_summary(table, shown)
    if found is None:
        return Analysed(record=record, rows=rows, document=None)
    every = msgspec.structs.replace(policy, ci=msgspec.structs.replace(policy.ci, fail_fast=False))
    return Analysed(
        record=record,
        rows=rows,
        document=found,
        assertions=assertions.evaluate(every, Evidence(name=name, document=found, measured=record.measured)),
        findings=patterns.detect(found),
    )


def _document(golden: GoldenFiles, name: str) -> TraceDocument | None:
    """The trace, or None where DVC has not brought it here."""
    path = golden.document(name)
    return document.decode(path.read_bytes(), f"{golden.relative(name)}/{path.name}") if path.is_file() else None
