"""Checking and opening a crate on disk: an archive of ours, somebody else's, or an unpacked directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from entrenar_research.core.crates import paths as crate_paths
from entrenar_research.core.crates.checking import (
    LARGEST_METADATA,
    Crate,
    Listed,
    Problem,
    check_members,
    mismatch,
    read_crate,
)
from entrenar_research.core.crates.files import FileFacts
from entrenar_research.core.zips import canonical_zip, zip_directory
from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.models.verdict import Finding, Verdict
from entrenar_research.store import files, hashing
from entrenar_research.store.meter import Progress
from entrenar_research.store.zips import survey
from entrenar_research.store.zips.reading import STRUCTURE, Archive, Member, laid_out_here, walk
from entrenar_research.store.zips.unpacking import Unpacking

_AREA = "bundle"
_FOREIGN = (
    "not laid out as this tool writes it, though its files are as listed: "
    "another program packed it anew; ask for the original file"
)


class _Opened(msgspec.Struct, frozen=True):
    """An archive whose metadata could be read, and its members as the metadata demands them, in order."""

    crate: Crate
    members: tuple[Member, ...]

    def canonical(self, archive: Archive) -> bool:
        """Whether every byte can be compared with the layout that the metadata demands."""
        if any(member.listed.size is None for member in self.members):
            return False
        expected = canonical_zip.archive_size((member.name, member.size) for member in self.members)
        if archive.size == expected:
            return laid_out_here(archive, self.members)
        try:
            archive.claims()
        except zip_directory.DirectoryError:
            return True
        return False


def inspect_archive(bundle: Path, *, progress: Progress | None = None) -> tuple[Finding, ...]:
    """Every byte of an archive against its metadata; damage is a finding, never an exception."""
    try:
        with Archive(bundle, progress) as archive:
            if not archive.regular:
                return (_broken(bundle.name, "not a regular file"),)
            found = _inspect(archive, bundle.name)
            archive.meter.finish()
            return found
    except OSError as error:
        return (_broken(bundle.name, f"cannot be read: {error.strerror}"),)


def _inspect(archive: Archive, name: str) -> tuple[Finding, ...]:
    metadata, sound = survey.find_metadata(archive)
    if metadata is None or not sound:
        return _inspect_without_metadata(archive, damaged=metadata is not None)
    opened = _open(metadata)
    problems = [Problem(item.subject, f"metadata: {item.detail}") for item in opened.crate.problems]
    problems += _contents(archive, opened)
    return _findings(name, problems, [(member.name, member.size) for member in opened.members])


def _contents(archive: Archive, opened: _Opened) -> list[Problem]:
    if opened.canonical(archive):
        return list(walk(archive, opened.members))
    listed = {member.name: member.listed for member in opened.members}
    return list(survey.survey(archive, listed)) or [Problem(STRUCTURE, _FOREIGN)]


def _inspect_without_metadata(archive: Archive, *, damaged: bool) -> tuple[Finding, ...]:
    problems = [item for item in survey.survey(archive, None) if item.subject != crate_paths.METADATA]
    if not any(item.subject == STRUCTURE for item in problems):
        detail = (
            "its bytes were changed: they do not fit their checksum (crc32)"
            if damaged
            else "missing or unreadable: expected it as the first member; this is no RO-Crate"
        )
        problems.insert(0, Problem(crate_paths.METADATA, detail))
    detail = "the digests of the other files could not be checked: they are in the metadata"
    unknown = Finding(area=_AREA, subject="other files", verdict=Verdict.UNKNOWN, detail=detail)
    return (*(_broken(item.subject, item.detail) for item in problems), unknown)


def _open(metadata: bytes) -> _Opened:
    crate = read_crate(metadata)
    itself = Listed(len(metadata), hashlib.sha256(metadata).hexdigest())
    first = Member(crate_paths.METADATA, itself)
    names = sorted(name for name in crate.files if name != crate_paths.METADATA)
    return _Opened(crate, (first, *(Member(name, crate.files[name]) for name in names)))


def _findings(name: str, problems: Sequence[Problem], members: Iterable[tuple[str, int]]) -> tuple[Finding, ...]:
    """One finding for all that is good, one for each problem."""
    bad = {item.subject for item in problems}
    sizes = [size for path, size in members if path not in bad]
    found = [_broken(item.subject, item.detail) for item in problems]
    if sizes:
        detail = f"{len(sizes)} files, {sum(sizes)} bytes match"
        found.insert(0, Finding(area=_AREA, subject=name, verdict=Verdict.IDENTICAL, detail=detail))
    return tuple(found)


def _broken(subject: str, detail: str) -> Finding:
    shown = crate_paths.shown(subject)
    return Finding(area=_AREA, subject=shown, verdict=Verdict.BROKEN, detail=detail)


def unpack(bundle: Path, directory: Path) -> None:
    """Unpacks a canonical archive, checking each digest on the way; the first problem undoes it all.

    Raises:
        IntegrityError: naming the member that is refused.
        StorageError: if the file system refuses.
        UsageError: if `directory` is not empty.
    """
    with files.refusals(f"cannot unpack {bundle.name}"), Archive(bundle) as archive:
        opened = _trusted(archive, bundle.name)
        unpacking = Unpacking(directory)
        try:
            for problem in walk(archive, opened.members, sink=unpacking.place):
                raise _refused(bundle.name, problem)
        except BaseException:
            unpacking.undo()
            raise


def _trusted(archive: Archive, name: str) -> _Opened:
    """The members of an archive that has the canonical length and sound metadata.

    Raises:
        IntegrityError: naming what is wrong first.
    """
    metadata, sound = survey.find_metadata(archive) if archive.regular else (None, False)
    if metadata is None or not sound:
        problems = [item for item in survey.survey(archive, None) if item.subject == STRUCTURE]
        damaged = Problem(crate_paths.METADATA, "missing or damaged")
        raise _refused(name, next(iter(problems), damaged))
    opened = _open(metadata)
    if opened.crate.problems:
        raise _refused(name, opened.crate.problems[0])
    expected = canonical_zip.archive_size((member.name, member.size) for member in opened.members)
    if archive.size != expected or not opened.canonical(archive):
        raise _refused(name, _contents(archive, opened)[0])
    return opened


def _refused(bundle: str, problem: Problem) -> IntegrityError:
    return IntegrityError(
        f"{bundle} was not unpacked: {problem.subject}: {problem.detail}",
        hint="nothing of it was kept; get the bundle again from where it was published",
    )


def inspect_directory(directory: Path, *, metadata_digest: str | None = None) -> tuple[Finding, ...]:
    """An unpacked crate: every file against the metadata.

    Nothing in a directory vouches for the metadata itself: it is `unknown`, unless its digest
    (`sha256:<hex>`) is given from elsewhere.
    """
    try:
        path = directory / crate_paths.METADATA
        if path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST_METADATA:
            detail = f"missing, not a regular file, or larger than {LARGEST_METADATA >> 20} MiB"
            return (_broken(crate_paths.METADATA, detail),)
        metadata = path.read_bytes()
        crate = read_crate(metadata)
        problems = [Problem(item.subject, f"metadata: {item.detail}") for item in crate.problems]
        present, odd = _present(directory)
        problems += odd + _compare(directory, crate, present)
    except OSError as error:
        return (_broken(directory.name, f"cannot be read: {error.strerror}"),)
    good = _findings(directory.name, problems, present.items())
    return (*good, _anchor(metadata, metadata_digest))


def _anchor(metadata: bytes, expected: str | None) -> Finding:
    """The metadata against a digest from elsewhere."""
    subject = crate_paths.METADATA
    found = f"sha256:{hashlib.sha256(metadata).hexdigest()}"
    if expected is None:
        detail = f"found {found}; nothing here vouches for it: compare with the signed bundle"
        return Finding(area=_AREA, subject=subject, verdict=Verdict.UNKNOWN, detail=detail)
    if found != expected:
        return _broken(subject, f"found {found}, expected {expected}")
    return Finding(area=_AREA, subject=subject, verdict=Verdict.IDENTICAL, detail=found)


def _present(directory: Path) -> tuple[dict[str, int], list[Problem]]:
    """The regular files below a directory with their sizes, but the metadata; and everything else there."""
    found: dict[str, int] = {}
    odd: list[Problem] = []
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(directory / prefix) as entries:
            for entry in entries:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
                elif entry.is_file(follow_symlinks=False):
                    found[name] = entry.stat(follow_symlinks=False).st_size
                else:
                    kind = "a symbolic link" if entry.is_symlink() else "a special file"
                    odd.append(Problem(crate_paths.shown(name), f"{kind}: expected regular files only"))
    found.pop(crate_paths.METADATA, None)
    return dict(sorted(found.items())), sorted(odd, key=lambda item: item.subject)


def _compare(directory: Path, crate: Crate, present: dict[str, int]) -> list[Problem]:
    """Files against the metadata; only those of the right size are read."""
    unread = {path: FileFacts(size, "") for path, size in present.items()}
    sized = [path for path, size in present.items() if crate.files.get(path, Listed(None, None)).size == size]
    sizes_only = Crate(crate.entities, {path: Listed(item.size, None) for path, item in crate.files.items()}, ())
    problems = [Problem(crate_paths.shown(item.subject), item.detail) for item in check_members(sizes_only, unread)]
    return problems + _digests(directory, crate, sized)


def _digests(directory: Path, crate: Crate, paths: list[str]) -> list[Problem]:
    try:
        hashes = hashing.hash_files(paths, md5=False, root=directory)
    except StorageError:
        hashes = []
    problems = []
    for number, path in enumerate(paths):
        try:
            item = hashes[number] if hashes else hashing.hash_file(directory / path, md5=False)
        except StorageError as error:
            problems.append(Problem(path, error.message.replace(f"{directory}/", "")))
            continue
        wrong = mismatch(crate.files[path], FileFacts(item.size, item.sha256))
        if wrong:
            problems.append(Problem(path, wrong))
    return problems
