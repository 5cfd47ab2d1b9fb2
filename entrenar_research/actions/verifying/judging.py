"""The verdict on every output and metric of a replay."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from entrenar_research.actions.running import conclusion
from entrenar_research.actions.verifying.replay import Replayed
from entrenar_research.core import content, metrics
from entrenar_research.core.reproducing import differing
from entrenar_research.errors import ResearchError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import RunRecord
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import files, hashing, run_files
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import Document

REPLAY: Final = "replay"
"""The area of what a runner executed that does not seal."""
REBUILD: Final = "rebuild"
"""The area of what was built from what is declared alone."""


def area(again: Replayed) -> str:
    """The area of findings about a replay: what a sealed runner does is called otherwise."""
    return REPLAY if again.hermetic is None else REBUILD


def judge(study: StudyFiles, experiment: Experiment, record: RunRecord, again: Replayed) -> tuple[Finding, ...]:
    """The verdict ladder for every recorded output and every metric.

    Raises:
        IntegrityError: if the run's manifest is malformed.
    """
    recorded = recorded_outputs(study, experiment, record)
    findings = _judge_metrics(experiment, record, again)
    metrics_fine = {f.subject: f.verdict for f in findings}
    present = {path.relative_to(again.result).as_posix() for path in again.result.rglob("*") if path.is_file()}
    outputs = []
    for path in sorted({*recorded, *present}):
        outputs.append(_judge_output(study, experiment, again, path, recorded, present, metrics_fine))
    return (*outputs, *findings)


def recorded_outputs(study: StudyFiles, experiment: Experiment, record: RunRecord) -> dict[str, str]:
    """The digest of every output by its path in the result, as the run recorded it.

    Raises:
        IntegrityError: if the run's manifest is malformed.
    """
    prefix = f"{experiment.result}/"
    manifest = RunFiles(study.root).manifest(record.id, run_files.OUTPUTS)
    return {path.removeprefix(prefix): digest for path, digest in manifest.items()}


def _judge_metrics(experiment: Experiment, record: RunRecord, again: Replayed) -> tuple[Finding, ...]:
    try:
        now = conclusion.read_metrics(experiment, again.result)
    except ResearchError as error:
        subject = f"{experiment.name}: metrics"
        return (Finding(area=area(again), subject=subject, verdict=Verdict.DIFFERENT, detail=error.message),)
    found = []
    for name, metric in experiment.declaration.metrics.items():
        subject = f"{experiment.name}: {name}"
        if name not in record.metrics:
            detail = f"{now[name]:g}; the run did not record it"
            found.append(Finding(area=area(again), subject=subject, verdict=Verdict.UNKNOWN, detail=detail))
            continue
        verdict, words = metrics.compare(record.metrics[name], now[name], metric.tolerance)
        found.append(Finding(area=area(again), subject=subject, verdict=verdict, detail=words))
    return tuple(found)


def _judge_output(
    study: StudyFiles,
    experiment: Experiment,
    again: Replayed,
    path: str,
    recorded: Mapping[str, str],
    present: set[str],
    metrics_fine: Mapping[str, Verdict],
) -> Finding:
    subject = f"{experiment.result}/{path}"

    def finding(verdict: Verdict, detail: str) -> Finding:
        return Finding(area=area(again), subject=subject, verdict=verdict, detail=detail)

    if path not in present:
        return finding(Verdict.DIFFERENT, f"the {area(again)} did not write it")
    if path not in recorded:
        return finding(Verdict.DIFFERENT, f"only the {area(again)} wrote it")
    now = hashing.hash_file(again.result / path, md5=False)
    if f"sha256:{now.sha256}" == recorded[path]:
        return finding(Verdict.IDENTICAL, f"{now.size} bytes")
    detail = f"found sha256:{now.sha256[:12]}..., expected {recorded[path][:19]}..."
    here = as_recorded(study, experiment, path, recorded[path])
    if here is not None:
        mine = content.content_digest(path, here.read_bytes())
        if mine is not None and mine == content.content_digest(path, (again.result / path).read_bytes()):
            return finding(Verdict.EQUAL, "same content, other bytes")
        verdict, words = _within(experiment, path, here, again.result / path, metrics_fine)
        if verdict is Verdict.DIFFERENT:
            beside = _declared(experiment, path).values() if words else ()
            words = f"{words or detail}; {_first(path, here, again.result / path, beside)}"
        return finding(verdict, words or detail)
    return finding(Verdict.DIFFERENT, detail)


def _first(path: str, here: Path, there: Path, beside: Collection[str]) -> str:
    """The first place at which two versions of an output differ `beside` some, in the terms of its format."""
    places = differing.differences(path, here.read_bytes(), there.read_bytes())
    found = next((item for item in places if item.place not in beside), places[0])
    return f"{found.place}: {found.detail}" if found.place and found.place not in found.detail else found.detail


def as_recorded(study: StudyFiles, experiment: Experiment, path: str, digest: str) -> Path | None:
    """An output in the study, by its path in the result, if it is there and has the digest that the run recorded."""
    here = study.root / experiment.result / path
    if here.is_file() and f"sha256:{hashing.hash_file(here, md5=False).sha256}" == digest:
        return here
    return None


def _declared(experiment: Experiment, path: str) -> dict[str, str]:
    """The keys of the metrics that are read from an output, by name."""
    return {name: metric.key or name for name, metric in experiment.declaration.metrics.items() if metric.file == path}


def _within(
    experiment: Experiment, path: str, here: Path, there: Path, metrics_fine: Mapping[str, Verdict]
) -> tuple[Verdict, str | None]:
    """An output is `within` if each metric in it is, and everything else in it is equal."""
    declared = _declared(experiment, path)
    fine = (Verdict.IDENTICAL, Verdict.WITHIN)
    if not declared or not all(metrics_fine.get(f"{experiment.name}: {name}") in fine for name in declared):
        return Verdict.DIFFERENT, None
    rest = []
    for place in (here, there):
        document = Document(files.read_text(place, shown=path), path).value
        rest.append(content.value_digest(metrics.without(document, declared.values())))
    if rest[0] != rest[1]:
        detail = f"its metrics ({', '.join(declared)}) lie within their tolerances, the rest of it differs"
        return Verdict.DIFFERENT, detail
    return Verdict.WITHIN, f"its metrics lie within their tolerances, the rest is equal: {', '.join(declared)}"
