"""Golden traces as they lie in a study: reading one with its record, refusing what is no full trace."""

from __future__ import annotations

from entrenar_research.actions.traces import files
from entrenar_research.core.traces import document
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.golden import GoldenRecord
from entrenar_research.models.run import RunRecord
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles


def load(study: StudyFiles, name: str) -> tuple[GoldenRecord, TraceDocument]:
    """A golden trace with its record.

    Raises:
        UsageError: if there is none of that name, or its data is not here.
        IntegrityError: if it is damaged, or is not what its record says.
    """
    golden = GoldenFiles(study.root)
    record = golden.load(name)
    path = golden.document(name)
    shown = f"{golden.relative(name)}/{path.name}"
    golden.refuse_missing(name, path)
    found = document.decode(path.read_bytes(), shown)
    if (found.trace_id, found.counts, found.recorded) != (record.trace_id, record.calls, record.total):
        raise IntegrityError(f"{golden.relative(name)}/golden.yaml is not the record of {shown}")
    return record, found


def trace_of_run(study: StudyFiles, run: RunRecord) -> TraceDocument:
    """The full trace of a recorded run.

    Raises:
        UsageError: if it was not traced, or not in full.
        IntegrityError: if the trace is damaged.
    """
    found = files.load(RunFiles(study.root).directory(run.id), run.id)
    if found.level != "full":
        raise UsageError(
            f"run {run.id} was traced at level {found.level!r}; a golden trace needs every call",
            hint=f"`entrenar-research run {run.experiment} --trace full --force`, then take that run",
        )
    return found


def refuse_incomplete(found: TraceDocument, what: str) -> None:
    """Refuses a trace with gaps.

    Raises:
        IntegrityError: if the trace is incomplete or calls were lost.
    """
    if found.complete and not found.lost:
        return
    gaps = [*found.problems, *([f"{found.lost} calls were lost"] if found.lost else [])]
    raise IntegrityError(f"the trace of {what} is incomplete: {'; '.join(gaps) or 'the tracer says so'}")
