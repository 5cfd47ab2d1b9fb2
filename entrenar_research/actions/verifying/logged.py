"""Checking what a run logged: its record's artifacts and series against the files that they are about."""

from __future__ import annotations

import math
from collections.abc import Iterator

import msgspec

from entrenar_research.actions.running.sealing import SCRIPT
from entrenar_research.core import digests
from entrenar_research.errors import MissingToolError, ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Series
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import files, run_files, sums
from entrenar_research.store.logged import log, points
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

AREA = "evidence"


def check(study: StudyFiles, record: RunRecord) -> Iterator[Finding]:
    """Contradictions between the record of a sealed run and what lies beside it; nothing of an open run."""
    runs = RunFiles(study.root)
    if not runs.closed(record.id):
        return
    subject = f"runs/{record.id}/{run_files.RECORD}"
    for detail in (*_script(runs, record), *_artifacts(runs, record)):
        yield Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail=detail)
    place = f"runs/{record.id}/{log.METRICS}"
    try:
        for detail in _series(runs, record):
            yield Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail=detail)
    except MissingToolError as error:
        detail = f"not compared with the record: {error.message}"
        yield Finding(area=AREA, subject=place, verdict=Verdict.UNKNOWN, detail=detail)
    except ResearchError as error:
        yield Finding(area=AREA, subject=place, verdict=Verdict.BROKEN, detail=error.message)


def _script(runs: RunFiles, record: RunRecord) -> Iterator[str]:
    """A run that says a script began it, and has what only the tool makes."""
    if record.runner == SCRIPT:
        for name in (run_files.INPUTS, run_files.OUTPUTS):
            if (runs.directory(record.id) / name).exists():
                yield f"its runner is {SCRIPT}, and there is {name}, which only the tool writes"


def _artifacts(runs: RunFiles, record: RunRecord) -> Iterator[str]:
    if not record.artifacts:
        return
    shown = f"runs/{record.id}/{sums.NAME}"
    try:
        listed = digests.parse_manifest(files.read_text(runs.directory(record.id) / sums.NAME, shown=shown), shown)
    except ResearchError:
        return  # the check of the list names it
    for item in record.artifacts:
        now = listed.get(item.path, "nothing")
        if now != item.digest:
            yield f"{item.path} is {item.digest[:19]}... in it, {sums.NAME} says {now[:19]}..."


def _series(runs: RunFiles, record: RunRecord) -> Iterator[str]:
    """Metrics of the record against the points."""
    directory = runs.directory(record.id)
    if not record.series and not (directory / log.METRICS).exists():
        return
    found = points.series(directory)
    for name in sorted({*record.series, *found}):
        said, now = record.series.get(name), found.get(name)
        if said is None or now is None:
            yield f"the metric {name} is in it and was not logged" if now is None else f"the metric {name} is not in it"
        elif not _same(said, now):
            yield f"its metric {name} is {_words(said)} in it, the points give {_words(now)}"


def _same(one: Series, other: Series) -> bool:
    pairs = zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)
    return all(left == right or (_is_nan(left) and _is_nan(right)) for left, right in pairs)


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _words(series: Series) -> str:
    return f"{series.points} points, last {series.last:.9g} at step {series.last_step}"
