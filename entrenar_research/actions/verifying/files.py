"""Checking the files of a study: every one is read and hashed again, whatever its size and times say."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from entrenar_research.actions.verifying import dvc
from entrenar_research.actions.verifying import records as verify_records
from entrenar_research.bundles.port import Progress
from entrenar_research.errors import ResearchError, StorageError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import files, hashing, run_files, sums
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

DATA, EVIDENCE, DECLARED = "data", "evidence", "declarations"


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a run's record says of a file: its digest, and which run says so in which role."""

    digest: str
    role: str
    run: str


def latest_runs(study: StudyFiles) -> dict[str, RunRecord]:
    """The last completed run of each experiment that has one."""
    runs = RunFiles(study.root)
    found = {name: runs.latest(name) for name in study.experiment_names()}
    return {name: record for name, record in found.items() if record is not None}


def check_data(study: StudyFiles, *, progress: Progress) -> tuple[Finding, ...]:
    """Results, inputs, code and parameters against what the last good runs recorded, and DVC's files with them."""
    findings: list[Finding] = []
    latest = latest_runs(study)
    expected = _expectations(study, latest, findings)
    present = [path for path in expected if os.path.isfile(f"{study.root}/{path}")]  # noqa: PTH113 - thousands of files
    hashes = _hashes(study, present)
    containment = files.Containment(study.root)
    progress(len(present), len(present))
    good: dict[str, int] = {}
    for path, claims in expected.items():
        for claim in claims:
            finding = _hold_against(containment, study.root, path, claim, hashes)
            if finding is None:
                good[claim.run] = good.get(claim.run, 0) + 1
            else:
                findings.append(finding)
    findings += _unlisted(study, latest, expected)
    for name, record in latest.items():
        if good.get(record.id):
            detail = f"{good[record.id]} files as run {record.id} recorded them"
            findings.append(Finding(area=DATA, subject=name, verdict=Verdict.IDENTICAL, detail=detail))
    for name in study.experiment_names():
        if name not in latest:
            findings.append(Finding(area=DATA, subject=name, verdict=Verdict.UNKNOWN, detail="no completed run"))
    findings += dvc.check_dvc(study, latest)
    return tuple(findings)


def _hashes(study: StudyFiles, paths: list[str]) -> dict[str, hashing.FileHash]:
    """The digests of files; one that cannot be read has none."""
    try:
        return dict(zip(paths, hashing.hash_files(paths, md5=False, root=study.root), strict=True))
    except StorageError:
        found: dict[str, hashing.FileHash] = {}
        for path in paths:
            with contextlib.suppress(StorageError):
                found[path] = hashing.hash_file(study.root / path, md5=False)
        return found


def _expectations(
    study: StudyFiles, latest: Mapping[str, RunRecord], findings: list[Finding]
) -> dict[str, list[Expected]]:
    expected: dict[str, list[Expected]] = {}
    runs = RunFiles(study.root)
    for record in latest.values():
        for name, role in ((run_files.INPUTS, "input"), (run_files.OUTPUTS, "result")):
            try:
                manifest = runs.manifest(record.id, name)
            except ResearchError as error:
                subject = f"runs/{record.id}/{name}"
                findings.append(Finding(area=EVIDENCE, subject=subject, verdict=Verdict.BROKEN, detail=error.message))
                continue
            for path, digest in manifest.items():
                claim = Expected(digest=digest, role=role, run=record.id)
                expected.setdefault(path, []).append(claim)
    return expected


def _hold_against(
    containment: files.Containment, root: Path, path: str, claim: Expected, hashes: Mapping[str, hashing.FileHash]
) -> Finding | None:
    whose = f"{claim.role} of run {claim.run}"
    if path not in hashes:
        hint = "fetch it with `dvc pull` or `dvc checkout`, or run the experiment"
        detail = f"cannot be read; {whose}" if os.path.lexists(root / path) else f"missing; {whose}; {hint}"
        return Finding(area=DATA, subject=path, verdict=Verdict.BROKEN, detail=detail)
    outside = containment.problem(path, what=claim.role)
    if outside is not None:
        return Finding(area=DATA, subject=path, verdict=Verdict.BROKEN, detail=outside)
    now = f"sha256:{hashes[path].sha256}"
    if now == claim.digest:
        return None
    detail = f"found {now[:19]}..., expected {claim.digest[:19]}... ({whose})"
    return Finding(area=DATA, subject=path, verdict=Verdict.DIFFERENT, detail=detail)


def _unlisted(
    study: StudyFiles, latest: Mapping[str, RunRecord], expected: Mapping[str, list[Expected]]
) -> list[Finding]:
    """Files in results, and in input directories, that no record lists."""
    findings = []
    for name, record in latest.items():
        places = [
            f"experiments/{name}/result",
            *(item.path for item in record.inputs if item.files is not None),
        ]
        for place in places:
            if not (study.root / place).is_dir():
                continue
            try:
                found = [path for path in hashing.walk(study.root, place) if path not in expected]
            except ResearchError as error:
                findings.append(Finding(area=DATA, subject=place, verdict=Verdict.BROKEN, detail=error.message))
                continue
            detail = f"not listed by run {record.id}"
            findings += [Finding(area=DATA, subject=path, verdict=Verdict.BROKEN, detail=detail) for path in found]
    return findings


def check_evidence(study: StudyFiles) -> tuple[Finding, ...]:
    """Every run directory and every golden trace against its own list of digests, and records against themselves.

    Golden traces have such a list, and runs that ended well under the tool; of other runs it is said if there is none.
    """
    records = {record.id: record for record in RunFiles(study.root).records()}
    findings: list[Finding] = []
    for top in ("runs", "golden_traces"):
        base = study.root / top
        if not base.is_dir():
            continue
        for name in sorted(os.listdir(base)):
            if not (base / name).is_dir():
                continue
            why = verify_records.not_closed(study, name, records.get(name)) if top == "runs" else None
            if why is not None:
                findings.append(Finding(area=EVIDENCE, subject=f"{top}/{name}", verdict=Verdict.UNKNOWN, detail=why))
            else:
                findings += sums.check(base / name, f"{top}/{name}", area=EVIDENCE, closed=True)
    return (*findings, *verify_records.check_records(study, records.values(), latest_runs(study)))


def check_declarations(study: StudyFiles) -> tuple[Finding, ...]:
    """Every declaration can be read, and `dvc.yaml` says the same as it."""
    findings = []
    dvc_files = DvcFiles(study.root)
    for name in study.experiment_names():
        try:
            drift = dvc_files.drift(study.experiment(name)) if dvc_files.present() else ()
        except ResearchError as error:
            subject = f"experiments/{name}/experiment.yaml"
            findings.append(Finding(area=DECLARED, subject=subject, verdict=Verdict.BROKEN, detail=error.message))
            continue
        for words in drift:
            findings.append(Finding(area=DECLARED, subject="dvc.yaml", verdict=Verdict.DIFFERENT, detail=words))
    return tuple(findings)


def relative_files(root: Path) -> set[str]:
    """Every file below `root`, Git's and DVC's own insides apart."""
    found = set()
    for top, directories, names in os.walk(root):
        inside = os.path.relpath(top, root)
        directories[:] = [name for name in directories if name not in (".git", ".entrenar")]
        if inside == ".dvc":
            directories[:] = []
        found |= {name if inside == "." else f"{inside}/{name}" for name in names}
    return found
