"""`SHA256SUMS`: the list by which a directory of evidence is closed; `sha256sum -c` checks it too."""

from __future__ import annotations

import os
import re
from pathlib import Path

from entrenar_research.core import digests
from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import files, hashing

NAME = "SHA256SUMS"
_PART = re.compile(r"(^|/)\.[^/]*\.part(/|$)")
"""A file that is being written, by us or by a process that died, or a directory that is being deleted."""
_RUN = "run.yaml"
_ADDED = re.compile(r"proof\.intoto\.jsonl|attestations/[^/]+")
"""What is added to a closed run: it is signed, and checked for itself."""


def _members(directory: Path) -> list[str]:
    found = []
    for top, _, names in os.walk(directory):
        inside = os.path.relpath(top, directory)
        found += [name if inside == "." else f"{inside}/{name}" for name in names]
    ignored = {NAME, ".gitignore"}
    if _RUN in found:
        ignored |= {path for path in found if _ADDED.fullmatch(path)}
    return sorted(
        path for path in found if path not in ignored and not path.endswith(".dvc") and not _PART.search(path)
    )


def close(directory: Path) -> None:
    """Lists every file below `directory` with its digest; the list is written last.

    Raises:
        StorageError: if the file system refuses.
    """
    paths = _members(directory)
    hashes = hashing.hash_files(paths, md5=False, root=directory)
    text = digests.manifest((path, item.sha256) for path, item in zip(paths, hashes, strict=True))
    files.write_atomically(directory / NAME, text)


def check(directory: Path, shown: str, *, area: str, closed: bool = False) -> list[Finding]:
    """Every file of a closed directory against the list; `shown` is the directory's path in the study.

    Without a list it is `unknown`, unless it has to be `closed`.
    """
    try:
        text = (directory / NAME).read_bytes().decode("utf-8")
        listed = digests.parse_manifest(text, f"{shown}/{NAME}")
    except FileNotFoundError:
        missing = f"there is no {NAME}: the directory was never closed"
        verdict, subject = (Verdict.BROKEN, f"{shown}/{NAME}") if closed else (Verdict.UNKNOWN, shown)
        return [Finding(area=area, subject=subject, verdict=verdict, detail=missing)]
    except (IntegrityError, UnicodeDecodeError, OSError) as error:
        return [Finding(area=area, subject=f"{shown}/{NAME}", verdict=Verdict.BROKEN, detail=str(error))]
    findings = []
    present = set(_members(directory))
    for path, digest in listed.items():
        problem = _problem(directory, path, digest, present, f"{shown}/{NAME}")
        if problem:
            subject = f"{shown}/{path}"
            findings.append(Finding(area=area, subject=subject, verdict=problem[0], detail=problem[1]))
    for path in sorted(present - set(listed)):
        detail = f"not listed in {shown}/{NAME}"
        findings.append(Finding(area=area, subject=f"{shown}/{path}", verdict=Verdict.BROKEN, detail=detail))
    if not findings:
        good = f"{len(listed)} files as listed in {NAME}"
        findings.append(Finding(area=area, subject=shown, verdict=Verdict.IDENTICAL, detail=good))
    return findings


def _problem(directory: Path, path: str, digest: str, present: set[str], listing: str) -> tuple[Verdict, str] | None:
    if path not in present:
        return Verdict.BROKEN, f"missing; it is listed in {listing}"
    try:
        now = "sha256:" + hashing.hash_file(directory / path, md5=False).sha256
    except StorageError as error:
        return Verdict.BROKEN, error.message
    if now != digest:
        return Verdict.DIFFERENT, f"found {now[:19]}..., expected {digest[:19]}... (listed in {listing})"
    return None
