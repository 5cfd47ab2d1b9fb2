"""Checking a study's history: the files against the last commit, and the object store."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from entrenar_research.actions.verifying import files
from entrenar_research.errors import ResearchError, ToolError
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import hashing
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools.git import Git, TreeEntry

HISTORY = "history"
_LINK, _PROGRAM = "120000", "100755"
_NAMED = 20
_OBJECT = re.compile(r"[0-9a-f]{40}|\S*objects/\S+")


def check_tree(study: StudyFiles, git: Git, *, beside: Iterable[str] = ()) -> tuple[Finding, ...]:
    """Every file against the last commit, by content; files that no commit holds are `unknown`.

    `beside` are files that are known to lie there without being committed (those that a bundle adds).
    """
    head = git.head()
    if head is None:
        return (_headless(git),)
    try:
        entries = git.tree(head)
    except ResearchError as error:
        return (_finding("HEAD", Verdict.BROKEN, error.message),)
    findings = list(_changes(study.root, git, entries, head))
    if not any(finding.verdict.wanting for finding in findings):
        findings.insert(0, _finding("HEAD", Verdict.IDENTICAL, f"{len(entries)} files as in commit {head[:10]}"))
    return (*findings, *_uncommitted(study, git, {entry.path for entry in entries}, set(beside)))


def _finding(subject: str, verdict: Verdict, detail: str) -> Finding:
    return Finding(area=HISTORY, subject=subject, verdict=verdict, detail=detail)


def _headless(git: Git) -> Finding:
    """Without a last commit: a young study, or one whose HEAD is damaged."""
    if git.references():
        detail = "leads to no commit, though there are branches or tags"
        return _finding("HEAD", Verdict.BROKEN, detail)
    return _finding("HEAD", Verdict.UNKNOWN, "nothing is committed yet: there is no history to hold the files against")


def _changes(root: Path, git: Git, entries: Iterable[TreeEntry], head: str) -> Iterator[Finding]:
    """The committed files that are missing or have other bytes now; modes count where there are any."""
    present = [entry for entry in entries if os.path.lexists(root / entry.path)]
    now = {entry.path: _link(root, git, entry) for entry in present if entry.mode == _LINK}
    readable = [entry.path for entry in present if entry.mode != _LINK and _is_plain(root / entry.path)]
    now.update(zip(readable, git.blobs(readable), strict=True))
    other = [entry.path for entry in present if entry.path in readable and now[entry.path] != entry.blob]
    modes = git.git_dir is None and git.setting("core.fileMode") != "false"
    converted = dict(zip(other, git.blobs(other, converted=True), strict=True))
    for entry in entries:
        if not os.path.lexists(root / entry.path):
            yield _finding(entry.path, Verdict.BROKEN, f"missing; it is committed (commit {head[:10]})")
        elif converted.get(entry.path) == entry.blob:
            detail = "other bytes, the same to Git after the conversions of .gitattributes or its configuration"
            yield _finding(entry.path, Verdict.EQUAL, detail)
        elif now.get(entry.path) != entry.blob:
            detail = f"changed since it was committed (commit {head[:10]})"
            yield _finding(entry.path, Verdict.DIFFERENT, detail)
        elif modes and entry.mode != _LINK and hashing.is_executable(root / entry.path) != (entry.mode == _PROGRAM):
            detail = f"its mode changed: committed as {entry.mode} (commit {head[:10]})"
            yield _finding(entry.path, Verdict.DIFFERENT, detail)
        elif entry.mode == _LINK and not (root / entry.path).resolve().is_relative_to(root.resolve()):
            detail = "a symbolic link that leaves the study: what it leads to is not checked"
            yield _finding(entry.path, Verdict.UNKNOWN, detail)


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and os.access(path, os.R_OK)


def _link(root: Path, git: Git, entry: TreeEntry) -> str | None:
    """The blob id of what lies where a symbolic link is committed, or None.

    A bundle holds the file that the link leads to: it counts as the link if it has that file's bytes.
    """
    path = root / entry.path
    if path.is_symlink():
        target = os.fsencode(path.readlink())
        return hashlib.sha1(b"blob %d\0" % len(target) + target, usedforsecurity=False).hexdigest()
    told = git.call("cat-file", "blob", entry.blob, check=False)
    if git.git_dir is None or told.status != 0:
        return None
    place = Path(os.path.normpath(path.parent / os.fsdecode(told.stdout)))
    inside = place.is_relative_to(root) and _is_plain(place) and _is_plain(path)
    return entry.blob if inside and hashing.hash_file(place) == hashing.hash_file(path) else None


def _uncommitted(study: StudyFiles, git: Git, committed: set[str], beside: set[str]) -> tuple[Finding, ...]:
    if git.git_dir is None:
        try:
            left = set(git.untracked()) - committed
        except ToolError as error:
            return (_finding(".git/index", Verdict.BROKEN, error.message),)
    else:
        data = _data_paths(study)
        left = {
            path
            for path in files.relative_files(study.root) - committed - beside
            if not any(path == place or path.startswith(f"{place}/") for place in data)
        }
    if not left:
        return ()
    shown = ", ".join(sorted(left)[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
    detail = f"{len(left)} files that no commit holds: {shown}"
    return (_finding("uncommitted", Verdict.UNKNOWN, detail),)


def _data_paths(study: StudyFiles) -> set[str]:
    """What DVC holds, so that no commit has it."""
    try:
        found = DvcFiles(study.root)
        outs = {str(out.get("path")) for entry in found.locked().values() for out in entry.get("outs") or []}
        return outs | set(found.pointers())
    except (ResearchError, AttributeError):
        return set()


def check_objects(git: Git) -> tuple[Finding, ...]:
    """The object store: everything inflated and hashed again; each damaged object or file is named."""
    problem = git.fsck()
    if problem is None:
        return ()
    said: dict[str, list[str]] = {}
    for line in problem.splitlines():
        named = _OBJECT.search(line)
        subject = named.group().rstrip(":,)") if named else ".git"
        said.setdefault(subject if "/" in subject or not named else f"object {subject}", []).append(line)
    return tuple(
        _finding(subject, Verdict.BROKEN, "; ".join(lines[:3])) for subject, lines in list(said.items())[:_NAMED]
    )
