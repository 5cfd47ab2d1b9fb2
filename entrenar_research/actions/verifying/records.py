"""Checking records against themselves: what a run's record says in two places has to be one thing.

Whoever changes a result and recomputes the lists of digests is found here, before Git and the seals are asked.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Iterator, Mapping

from entrenar_research.actions import golden
from entrenar_research.actions.running import conclusion
from entrenar_research.actions.running.sealing import SCRIPT
from entrenar_research.actions.verifying import logged
from entrenar_research.client import liveness
from entrenar_research.core import digests, recipe
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import FileDigest, RunRecord
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import run_files
from entrenar_research.store.golden_files import GoldenFiles
from entrenar_research.store.run_files import NewerRecord, RunFiles
from entrenar_research.store.study_files import StudyFiles

AREA = "evidence"


def check_records(
    study: StudyFiles, records: Iterable[RunRecord], latest: Mapping[str, RunRecord]
) -> tuple[Finding, ...]:
    """Every run's record against its manifests and what it logged, metrics against results, golden traces likewise."""
    findings: list[Finding] = []
    known = []
    for record in records:
        known.append(record.id)
        subject = f"runs/{record.id}/{run_files.RECORD}"
        if _made_a_result(record):
            findings += [_different(subject, detail) for detail in contradictions(study, record)]
        findings += logged.check(study, record)
    findings += _unreadable(study, known)
    for name, record in latest.items():
        subject = f"runs/{record.id}/{run_files.RECORD}"
        findings += [_different(subject, detail) for detail in _metrics(study, name, record)]
    for name in GoldenFiles(study.root).names():
        findings += _golden(study, name)
    return tuple(findings)


def _made_a_result(record: RunRecord) -> bool:
    """Whether it has to have a recipe and a result: not if a script began it by itself, or it was imported."""
    return record.status == "completed" and record.runner != SCRIPT and record.imported is None


def not_closed(study: StudyFiles, run_id: str, record: RunRecord | None) -> str | None:
    """Why nothing is to be said of the files of a run: it is open, for a good reason.

    None if it is closed, or has to be. `record` is None if it cannot be read.
    """
    runs = RunFiles(study.root)
    if runs.closed(run_id):
        return None
    if record is None:
        return _newer(runs, run_id)
    if liveness.alive(runs.directory(run_id)):
        return "a process still writes it: it was never closed"
    if not _made_a_result(record):
        return "never closed: `entrenar-research runs recover` seals it"
    return None


def _newer(runs: RunFiles, run_id: str) -> str | None:
    try:
        runs.load(run_id)
    except NewerRecord as error:
        return error.message
    except ResearchError:
        return None
    return None


def _unreadable(study: StudyFiles, known: Container[str]) -> Iterator[Finding]:
    """Records that nothing more can be said of: those of a newer version, and broken ones."""
    runs = RunFiles(study.root)
    for run_id in runs.ids():
        if run_id not in known:
            subject = f"runs/{run_id}/{run_files.RECORD}"
            try:
                runs.load(run_id)
            except NewerRecord as error:
                yield Finding(area=AREA, subject=subject, verdict=Verdict.UNKNOWN, detail=error.message)
            except ResearchError as error:
                yield Finding(area=AREA, subject=subject, verdict=Verdict.BROKEN, detail=error.message)


def _different(subject: str, detail: str) -> Finding:
    return Finding(area=AREA, subject=subject, verdict=Verdict.DIFFERENT, detail=detail)


def contradictions(study: StudyFiles, record: RunRecord) -> Iterator[str]:
    """In words, where the parts of one record disagree."""
    if record.recipe != (own := recipe.digest(record)):
        yield f"its recipe is {_short(record.recipe)}, what it says went in gives {_short(own)}"
    runs = RunFiles(study.root)
    try:
        inputs = runs.manifest(record.id, run_files.INPUTS)
        outputs = runs.manifest(record.id, run_files.OUTPUTS)
    except ResearchError:
        return  # check_data names the manifest
    result = f"experiments/{record.experiment}/result"
    if record.result != (own := _digest(result, outputs)):
        yield f"its result is {_short(record.result)}, {run_files.OUTPUTS} gives {_short(own)}"
    for listed, manifest, name in (
        ((*record.code, *record.inputs), inputs, run_files.INPUTS),
        (record.outputs, outputs, run_files.OUTPUTS),
    ):
        for item in listed:
            if item.digest != (found := _expected(item, manifest)):
                yield f"{item.path} is {_short(item.digest)} in it, {name} gives {_short(found)}"


def _expected(item: FileDigest, manifest: Mapping[str, str]) -> str | None:
    return manifest.get(item.path) if item.files is None else _digest(item.path, manifest)


def _digest(directory: str, manifest: Mapping[str, str]) -> str:
    """The digest of a directory by the entries of a manifest below it."""
    prefix = f"{directory}/"
    inside = ((path.removeprefix(prefix), entry) for path, entry in manifest.items() if path.startswith(prefix))
    return digests.sha256(digests.manifest(inside).encode())


def _short(digest: str | None) -> str:
    return f"{digest[:19]}..." if digest else "not there"


def _metrics(study: StudyFiles, name: str, record: RunRecord) -> Iterator[str]:
    """Metrics of the record against those in the result; what cannot be read is named elsewhere."""
    try:
        experiment = study.experiment(name)
        found = conclusion.read_metrics(experiment, study.root / experiment.result)
    except ResearchError:
        return
    for metric, value in record.metrics.items():
        now = found.get(metric, value)
        if now != value and not (math.isnan(now) and math.isnan(value)):
            yield f"its metric {metric} is {value:.9g}, the result says {now:.9g}"


def _golden(study: StudyFiles, name: str) -> Iterator[Finding]:
    place = GoldenFiles(study.root).relative(name)
    try:
        golden.load(study, name)
    except ResearchError as error:
        yield Finding(area=AREA, subject=place, verdict=Verdict.BROKEN, detail=error.message)
