"""Checking the files of a study: every one is read and hashed again, whatever its size and times say."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.bundles.port import Progress
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import FileDigest, RunRecord
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import hashing, run_files, sums
from entrenar_research.store.dvc_files import LOCK, DvcFiles
from entrenar_research.store.hashing import Hasher
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
    present = [path for path in expected if (study.root / path).is_file()]
    hashes = dict(zip(present, hashing.hash_files(present, md5=False, root=study.root), strict=True))
    progress(len(present), len(present))
    good: dict[str, int] = {}
    for path, claims in expected.items():
        for claim in claims:
            finding = _hold_against(path, claim, hashes)
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
            findings.append(
                Finding(area=DATA, subject=name, verdict=Verdict.UNKNOWN, detail="no completed run")
            )
    findings += _check_dvc(study, latest)
    return tuple(findings)


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
                findings.append(
                    Finding(area=EVIDENCE, subject=subject, verdict=Verdict.BROKEN, detail=error.message)
                )
                continue
            for path, digest in manifest.items():
                claim = Expected(digest=digest, role=role, run=record.id)
                expected.setdefault(path, []).append(claim)
    return expected


def _hold_against(path: str, claim: Expected, hashes: Mapping[str, hashing.FileHash]) -> Finding | None:
    if path not in hashes:
        hint = "fetch it with `dvc pull` or `dvc checkout`, or run the experiment"
        detail = f"missing; {claim.role} of run {claim.run}; {hint}"
        return Finding(area=DATA, subject=path, verdict=Verdict.BROKEN, detail=detail)
    now = f"sha256:{hashes[path].sha256}"
    if now == claim.digest:
        return None
    detail = f"found {now[:19]}..., expected {claim.digest[:19]}... ({claim.role} of run {claim.run})"
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
            for path in hashing.walk(study.root, place):
                if path not in expected:
                    detail = f"not listed by run {record.id}"
                    findings.append(Finding(area=DATA, subject=path, verdict=Verdict.BROKEN, detail=detail))
    return findings


def _check_dvc(study: StudyFiles, latest: Mapping[str, RunRecord]) -> list[Finding]:
    dvc_files = DvcFiles(study.root)
    known = _known_md5(latest)
    findings: list[Finding] = []
    try:
        locked = dvc_files.locked()
        pointers = dvc_files.pointers()
    except ResearchError as error:
        subject = error.message.partition(",")[0].partition(":")[0]
        return [Finding(area=DATA, subject=subject, verdict=Verdict.BROKEN, detail=error.message)]
    for name, entry in locked.items():
        findings += _check_entry(study, name, entry, latest.get(name), known)
    for path, pointer in pointers.items():
        said: dict[str, Any] = {key: pointer[key] for key in ("md5", "size", "nfiles") if key in pointer}
        findings += _check_md5(study, path, said, known, str(pointer["pointer"]))
    for name, record in latest.items():
        if name not in locked and dvc_files.present():
            detail = f"no entry for {name}, whose last good run is {record.id}"
            findings.append(Finding(area=DATA, subject=LOCK, verdict=Verdict.DIFFERENT, detail=detail))
    if not findings and (locked or pointers):
        detail = f"{len(locked)} stages and {len(pointers)} .dvc files agree with the records"
        findings.append(Finding(area=DATA, subject=LOCK, verdict=Verdict.IDENTICAL, detail=detail))
    return findings


def _known_md5(latest: Mapping[str, RunRecord]) -> dict[str, FileDigest]:
    """What records say of MD5s, by path; only of bytes whose SHA-256 is checked as well."""
    known: dict[str, FileDigest] = {}
    for name, record in latest.items():
        for item in (*record.code, *record.inputs):
            known[item.path] = item
        if record.result and record.result_md5:
            count = sum(item.files or 1 for item in record.outputs)
            path = f"experiments/{name}/result"
            known[path] = FileDigest(
                path=path, digest=record.result, md5=record.result_md5, size=_total(record), files=count
            )
    return known


def _total(record: RunRecord) -> int:
    return sum(item.size for item in record.outputs)


def _check_entry(
    study: StudyFiles,
    name: str,
    entry: Any,
    record: RunRecord | None,
    known: Mapping[str, FileDigest],
) -> list[Finding]:
    """One stage of `dvc.lock`: digests by the records, command and parameters by the run."""
    if not isinstance(entry, dict):
        return [
            Finding(area=DATA, subject=LOCK, verdict=Verdict.BROKEN, detail=f"stage {name} is no mapping")
        ]
    findings = []
    for item in [*(entry.get("deps") or []), *(entry.get("outs") or [])]:
        said: dict[str, Any] = {key: item[key] for key in ("md5", "size", "nfiles") if key in item}
        findings += _check_md5(study, str(item.get("path")), said, known, LOCK)
    if record is not None:
        wanted = {"command": record.command, **({"seed": record.seed} if record.seed is not None else {})}
        declared = f"experiments/{name}/experiment.yaml"
        for file, values in (entry.get("params") or {}).items():
            said_by_run = wanted if file == declared else record.params
            if values != said_by_run:
                detail = f"stage {name}: the parameters of {file} are not those of run {record.id}"
                findings.append(Finding(area=DATA, subject=LOCK, verdict=Verdict.DIFFERENT, detail=detail))
        if entry.get("cmd") != f"entrenar-research run {name}":
            detail = f"stage {name}: found the command {entry.get('cmd')!r}"
            findings.append(Finding(area=DATA, subject=LOCK, verdict=Verdict.DIFFERENT, detail=detail))
    return findings


def _check_md5(
    study: StudyFiles, path: str, said: dict[str, Any], known: Mapping[str, FileDigest], subject: str
) -> list[Finding]:
    """A digest that DVC keeps, against the record of the same path or, without one, against the bytes."""
    item = known.get(path)
    if item is None:
        if not (study.root / path).exists():
            detail = f"{path} is missing; fetch it with `dvc pull` or `dvc checkout`"
            return [Finding(area=DATA, subject=path, verdict=Verdict.BROKEN, detail=detail)]
        item = Hasher(study.root).describe(path)[0]
    wanted = {"md5": item.md5, "size": item.size, "nfiles": item.files}
    wrong = [f"{key} {said[key]}, expected {wanted[key]}" for key in said if said[key] != wanted[key]]
    if not wrong:
        return []
    detail = f"{path}: found {', '.join(wrong)}"
    return [Finding(area=DATA, subject=subject, verdict=Verdict.DIFFERENT, detail=detail)]


def check_evidence(study: StudyFiles) -> tuple[Finding, ...]:
    """Every run directory and every golden trace against its own list of digests."""
    findings: list[Finding] = []
    for top in ("runs", "golden_traces"):
        base = study.root / top
        if not base.is_dir():
            continue
        for name in sorted(os.listdir(base)):
            if (base / name).is_dir():
                findings += sums.check(base / name, f"{top}/{name}", area=EVIDENCE)
    return tuple(findings)


def check_declarations(study: StudyFiles) -> tuple[Finding, ...]:
    """Every declaration can be read, and `dvc.yaml` says the same as it."""
    findings = []
    dvc_files = DvcFiles(study.root)
    for name in study.experiment_names():
        try:
            drift = dvc_files.drift(study.experiment(name)) if dvc_files.present() else ()
        except ResearchError as error:
            subject = f"experiments/{name}/experiment.yaml"
            findings.append(
                Finding(area=DECLARED, subject=subject, verdict=Verdict.BROKEN, detail=error.message)
            )
            continue
        for words in drift:
            findings.append(
                Finding(area=DECLARED, subject="dvc.yaml", verdict=Verdict.DIFFERENT, detail=words)
            )
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
