"""Checking DVC's files: `dvc.lock` and every `.dvc` file against the records of the runs and against the bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from entrenar_research.core import recipe
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import FileDigest, RunRecord
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import dvc_files
from entrenar_research.store.dvc_files import LOCK, DvcFiles
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.yaml_text import Document

AREA = "data"
_SCHEMA = "2.0"
_ODD = re.compile("[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u2029\ufeff]")
"""What YAML reads as a blank or the end of a line, and neither DVC nor this tool writes."""
_FACTS = frozenset({"path", "hash", "md5", "size", "nfiles", "isexec"})
_OPTIONS = frozenset({"cache", "cloud", "desc", "labels", "meta", "persist", "push", "remote", "type", "pointer"})
"""What DVC lets people add to an entry; it says nothing of the bytes."""


def check_dvc(study: StudyFiles, latest: Mapping[str, RunRecord]) -> list[Finding]:
    """`dvc.lock` against the last good runs, `.dvc` files against records or bytes."""
    found = DvcFiles(study.root)
    try:
        locked = found.locked()
        pointers = found.pointers()
    except ResearchError as error:
        subject = re.split(r"[,:]", error.message)[0]
        return [_finding(subject, Verdict.BROKEN, error.message)]
    known = _known(latest)
    findings = list(_layout(study, LOCK)) if locked else []
    for name, entry in locked.items():
        findings += _check_stage(study, name, entry, latest.get(name), known)
    for path, pointer in pointers.items():
        findings += _layout(study, str(pointer["pointer"]))
        findings += _check_entry(study, path, pointer, known, str(pointer["pointer"]))
    for name, record in latest.items():
        if name not in locked and found.present():
            detail = f"no entry for {name}, whose last good run is {record.id}"
            findings.append(_finding(LOCK, Verdict.DIFFERENT, detail))
    if not findings and (locked or pointers):
        detail = f"{len(locked)} stages and {len(pointers)} .dvc files agree with the records"
        findings.append(_finding(LOCK, Verdict.IDENTICAL, detail))
    return findings


def _finding(subject: str, verdict: Verdict, detail: str) -> Finding:
    return Finding(area=AREA, subject=subject, verdict=verdict, detail=detail)


def _layout(study: StudyFiles, name: str) -> Iterator[Finding]:
    """Whether the text is laid out as DVC writes it: a changed blank means nothing to YAML, and is a changed byte."""
    text = (study.root / name).read_bytes().decode("utf-8", "replace")
    odd = _ODD.search(text)
    if odd:
        line = text[: odd.start()].count("\n") + 1
        yield _finding(name, Verdict.BROKEN, f"line {line}: found {odd.group()!r}, which DVC does not write")
    elif not text.endswith("\n"):
        yield _finding(name, Verdict.BROKEN, "its last line is cut off")
    if name == LOCK:
        value = Document(text, LOCK).value
        if value.get("schema") != _SCHEMA or set(value) != {"schema", "stages"}:
            found = f"schema {value.get('schema')!r}, keys {', '.join(map(str, value))}"
            yield _finding(name, Verdict.DIFFERENT, f"found {found}; expected schema '{_SCHEMA}' and stages")


def _known(latest: Mapping[str, RunRecord]) -> dict[str, FileDigest]:
    """What records say of MD5s, by path; only of bytes whose SHA-256 is checked as well."""
    known: dict[str, FileDigest] = {}
    for name, record in latest.items():
        for item in (*record.code, *record.inputs):
            known[item.path] = item
        if record.result and record.result_md5:
            count = sum(item.files or 1 for item in record.outputs)
            size = sum(item.size for item in record.outputs)
            path = f"experiments/{name}/result"
            known[path] = FileDigest(path=path, digest=record.result, md5=record.result_md5, size=size, files=count)
    return known


def _check_stage(
    study: StudyFiles, name: str, entry: Any, record: RunRecord | None, known: Mapping[str, FileDigest]
) -> Iterator[Finding]:
    """One stage of `dvc.lock`: digests by the records; of an experiment also command, parameters, lists of paths."""
    if not isinstance(entry, dict):
        yield _finding(LOCK, Verdict.BROKEN, f"stage {name} is no mapping")
        return
    paths: dict[str, list[str]] = {}
    for key in ("deps", "outs"):
        items = entry.get(key) or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            yield _finding(LOCK, Verdict.BROKEN, f"stage {name}: `{key}` is no list of entries")
            return
        paths[key] = [str(item.get("path")) for item in items]
        for item in items:
            yield from _check_entry(study, str(item.get("path")), item, known, LOCK)
    if record is not None:
        for detail in (*_against_run(name, entry, record, paths), *_params(study, name, entry, record)):
            yield _finding(LOCK, Verdict.DIFFERENT, f"stage {name}: {detail}")


def _against_run(
    name: str, entry: Mapping[str, Any], record: RunRecord, paths: Mapping[str, list[str]]
) -> Iterator[str]:
    """In words, where a stage is not that of the last good run of its experiment."""
    if unknown := set(entry) - {"cmd", "deps", "params", "outs"}:
        yield f"found the keys {', '.join(sorted(map(str, unknown)))}; expected cmd, deps, params, outs"
    if entry.get("cmd") != dvc_files.command(name):
        yield f"found the command {entry.get('cmd')!r}"
    used = {item.path for item in (*record.code, *record.inputs)}
    for key, expected in (("deps", used), ("outs", {f"experiments/{name}/result"})):
        if set(paths[key]) != expected or len(paths[key]) != len(expected):
            wrong = sorted(set(paths[key]) ^ expected)
            yield f"`{key}` are not those of run {record.id}: {', '.join(wrong)}"


def _params(study: StudyFiles, name: str, entry: Mapping[str, Any], record: RunRecord) -> Iterator[str]:
    """In words, where the parameters that DVC locked are not those of the run."""
    expected: dict[str, Any] = {f"experiments/{name}/experiment.yaml": {"command": record.command}}
    if record.seed is not None:
        expected[f"experiments/{name}/experiment.yaml"]["seed"] = record.seed
    try:
        declared = study.experiment(name).declaration.params
    except ResearchError:
        return  # check_declarations names it
    if declared is not None:
        expected[declared] = recipe.declared_params(record)
    found = entry.get("params")
    if not isinstance(found, dict):
        yield f"`params` is {type(found).__name__}, expected a mapping"
        return
    for file in sorted({*expected, *map(str, found)}):
        if file not in found or file not in expected:
            yield f"`params` {'lists' if file in found else 'does not list'} {file}"
        elif found[file] != expected[file]:
            yield f"the parameters of {file} are not those of run {record.id}"


def _check_entry(
    study: StudyFiles, path: str, said: Mapping[str, Any], known: Mapping[str, FileDigest], subject: str
) -> Iterator[Finding]:
    """A digest that DVC keeps, against the record of the same path or, without one, against the bytes."""
    item = known.get(path)
    if item is None:
        if not (study.root / path).exists():
            detail = f"{path} is missing; fetch it with `dvc pull` or `dvc checkout`"
            yield _finding(subject if path == "None" else path, Verdict.BROKEN, f"{detail} ({subject})")
            return
        try:
            item = Hasher(study.root).describe(path)[0]
        except ResearchError as error:
            yield _finding(path, Verdict.BROKEN, error.message)
            return
    wanted: dict[str, Any] = {"md5": item.md5, "size": item.size}
    if item.files is not None:
        wanted["nfiles"] = item.files
    elif "isexec" in said:  # a mode is not in a bundle, and does not change what the bytes are
        wanted["isexec"] = True
    if "hash" in said:  # DVC before version 3 wrote none
        wanted["hash"] = "md5"
    facts = {key: value for key, value in said.items() if key in _FACTS and key != "path"}
    wrong = [
        f"{key} {facts.get(key, 'missing')}, expected {wanted.get(key, 'none')}"
        for key in sorted({*facts, *wanted})
        if facts.get(key) != wanted.get(key)
    ]
    wrong += [f"the key {key}" for key in sorted(map(str, set(said) - _FACTS - _OPTIONS))]
    if wrong:
        yield _finding(subject, Verdict.DIFFERENT, f"{path}: found {'; '.join(wrong)}")
