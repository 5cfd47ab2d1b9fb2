"""Checking a study's history: the files against the last commit, the object store, the signed tags."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from entrenar_research.actions import seal, verify_files
from entrenar_research.errors import ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git

HISTORY, SIGNATURES = "history", "signatures"
_OURS = re.compile(r"(experiment|golden|sweep|prereg)/[^/]+")


def check_tree(study: StudyFiles, git: Git, *, beside: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Every file against the last commit, by content; files that no commit holds are `unknown`.

    `beside` are files that are known to lie there without being committed (those that a bundle adds).
    """
    head = git.head()
    if head is None:
        detail = "nothing is committed yet: there is no history to hold the files against"
        return (Finding(area=HISTORY, subject="HEAD", verdict=Verdict.UNKNOWN, detail=detail),)
    try:
        entries = git.tree(head)
    except ResearchError as error:
        return (Finding(area=HISTORY, subject="HEAD", verdict=Verdict.BROKEN, detail=error.message),)
    findings = []
    present = [entry for entry in entries if os.path.lexists(study.root / entry.path)]
    regular = [entry for entry in present if entry.mode != "120000" and (study.root / entry.path).is_file()]
    now = dict(
        zip((entry.path for entry in regular), git.blobs([entry.path for entry in regular]), strict=True)
    )
    for entry in entries:
        problem = _against_commit(study.root, entry.path, entry.mode, entry.blob, now.get(entry.path))
        if problem is not None:
            verdict, detail = problem
            findings.append(
                Finding(
                    area=HISTORY, subject=entry.path, verdict=verdict, detail=f"{detail} (commit {head[:10]})"
                )
            )
    if not findings:
        detail = f"{len(entries)} files as in commit {head[:10]}"
        findings.append(Finding(area=HISTORY, subject="HEAD", verdict=Verdict.IDENTICAL, detail=detail))
    return (*findings, *_uncommitted(study, git, {entry.path for entry in entries}, set(beside)))


def _against_commit(
    root: Path, path: str, mode: str, blob: str, now: str | None
) -> tuple[Verdict, str] | None:
    if not os.path.lexists(root / path):
        return Verdict.BROKEN, "missing; it is committed"
    if mode == "120000" and (root / path).is_symlink():
        target = os.fsencode(os.readlink(root / path))
        now = hashlib.sha1(b"blob %d\0" % len(target) + target, usedforsecurity=False).hexdigest()
    if now != blob:
        return Verdict.DIFFERENT, "changed since it was committed"
    return None


def _uncommitted(study: StudyFiles, git: Git, committed: set[str], beside: set[str]) -> tuple[Finding, ...]:
    if git.git_dir is None:
        left = set(git.untracked()) - committed
    else:
        data = _data_paths(study)
        left = {
            path
            for path in verify_files.relative_files(study.root) - committed - beside
            if not any(path == place or path.startswith(f"{place}/") for place in data)
        }
    if not left:
        return ()
    shown = ", ".join(sorted(left)[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
    detail = f"{len(left)} files that no commit holds: {shown}"
    return (Finding(area=HISTORY, subject="uncommitted", verdict=Verdict.UNKNOWN, detail=detail),)


def _data_paths(study: StudyFiles) -> set[str]:
    """What DVC holds, so that no commit has it."""
    from entrenar_research.store.dvc_files import DvcFiles

    try:
        found = DvcFiles(study.root)
        outs = {str(out.get("path")) for entry in found.locked().values() for out in entry.get("outs") or []}
        return outs | set(found.pointers())
    except (ResearchError, AttributeError):
        return set()


def check_objects(git: Git) -> tuple[Finding, ...]:
    """The object store: everything inflated and hashed again."""
    problem = git.fsck()
    if problem is None:
        return ()
    words = "; ".join(problem.splitlines()[:4])
    return (Finding(area=HISTORY, subject=".git", verdict=Verdict.BROKEN, detail=words),)


def check_tags(
    study: StudyFiles, git: Git, latest: Mapping[str, RunRecord], *, trusted: Path | None = None
) -> tuple[Finding, ...]:
    """Every tag's signature; `trusted` names the signers to accept, else the study's own list is used."""
    findings = []
    known = git.tags()
    for name in sorted(_named_tags(git) - set(known)):
        findings.append(_tag(name, Verdict.BROKEN, "its reference leads nowhere"))
    signers = trusted or study.allowed_signers
    whose = "accepted by the list you gave" if trusted else "listed by the study itself"
    for name in sorted(known):
        findings.append(_check_tag(git, name, signers, whose))
    findings += _check_statements(git, known, latest)
    sealed = {name.split("/")[1] for name in known if name.startswith("experiment/")}
    for name in latest:
        if name not in sealed:
            findings.append(
                Finding(
                    area=SIGNATURES,
                    subject=name,
                    verdict=Verdict.UNKNOWN,
                    detail="not sealed: nobody vouches for it",
                )
            )
    return tuple(findings)


def _tag(name: str, verdict: Verdict, detail: str) -> Finding:
    return Finding(area=SIGNATURES, subject=f"tag {name}", verdict=verdict, detail=detail)


def _check_tag(git: Git, name: str, signers: Path, whose: str) -> Finding:
    shown = git.call("cat-file", "-p", f"refs/tags/{name}", check=False)
    if shown.status != 0:
        return _tag(name, Verdict.BROKEN, shown.stderr.decode("utf-8", "replace").strip().replace("\n", "; "))
    header = dict(line.split(" ", 1) for line in shown.text.split("\n\n")[0].splitlines() if " " in line)
    if header.get("tag") is None:
        if _OURS.match(name):
            return _tag(name, Verdict.BROKEN, "not a signed tag: expected one under this name")
        return _tag(name, Verdict.UNKNOWN, "an unsigned tag")
    if header["tag"] != name:
        return _tag(name, Verdict.BROKEN, f"the tag itself says that its name is {header['tag']}")
    if "-----BEGIN SSH SIGNATURE-----" not in shown.text and not _OURS.match(name):
        return _tag(name, Verdict.UNKNOWN, "an unsigned tag")
    if not signers.is_file():
        return _tag(name, Verdict.BROKEN, "signed, but there is no keys/allowed_signers that says by whom")
    check = git.verify_tag(name, signers)
    if not check.good:
        return _tag(name, Verdict.BROKEN, check.message or "no good signature")
    return _tag(name, Verdict.IDENTICAL, f"signed by {check.signer} with {check.fingerprint}, {whose}")


def _check_statements(git: Git, known: Mapping[str, str], latest: Mapping[str, RunRecord]) -> list[Finding]:
    """What the newest seal of each experiment states, against the record of the run it names."""
    findings = []
    for name, record in latest.items():
        newest = seal.newest(known, "experiment", name)
        if newest is None:
            continue
        shown = git.call("cat-file", "-p", f"refs/tags/{newest}", check=False)
        stated = seal.statement(shown.text)
        if stated.get("run") != record.id:
            detail = f"seals run {stated.get('run')}; the last good run {record.id} is not sealed"
            findings.append(_tag(newest, Verdict.UNKNOWN, detail))
        elif (stated.get("recipe"), stated.get("result")) != (record.recipe, record.result):
            subject = f"runs/{record.id}/run.yaml"
            detail = f"its recipe or result digest is not the one that {newest} seals"
            findings.append(
                Finding(area=SIGNATURES, subject=subject, verdict=Verdict.DIFFERENT, detail=detail)
            )
    return findings


def _named_tags(git: Git) -> set[str]:
    """The tags that exist as references on disk, readable or not."""
    common = git.call("rev-parse", "--git-common-dir", check=False)
    if common.status != 0:
        return set()
    base = Path(os.path.join(git.root if git.git_dir is None else git.git_dir, common.text))
    tags = base / "refs" / "tags"
    names = {path.relative_to(tags).as_posix() for path in tags.rglob("*") if path.is_file()}
    try:
        packed = (base / "packed-refs").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return names
    for line in packed.splitlines():
        if " refs/tags/" in line:
            names.add(line.partition(" refs/tags/")[2])
    return names
