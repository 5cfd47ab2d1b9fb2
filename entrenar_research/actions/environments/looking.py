"""Looking at the closure lock: what is in it and where its files are; whether all is as the lock says; what changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from entrenar_research.actions.environments import build_files, seeding
from entrenar_research.actions.environments.seeding import Source
from entrenar_research.core.nix import closure_changes, closure_lock, store_paths
from entrenar_research.core.nix.closure_changes import Change
from entrenar_research.errors import ResearchError, UsageError
from entrenar_research.models.closure import Blob, Closure, Kind
from entrenar_research.store import blobs, closure_file, hashing, nar
from entrenar_research.store.blobs import Cache
from entrenar_research.tools.git import Git
from entrenar_research.tools.nix import Nix

State = Literal["good", "missing", "changed"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A file of the lock. `cached` and `stored` say that it lies there; its bytes were not looked at."""

    kind: Kind
    name: str
    version: str
    file: str
    size: int
    sha256: str
    store_path: str
    cached: bool
    stored: bool


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A lock for people: `size` is that of all files, in bytes."""

    system: str
    python: str
    floor: str
    pins: dict[str, str]
    requirements: str | None
    size: int
    files: tuple[Row, ...]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found about one thing: the lock, a file of it, data of an experiment, or a file Nix builds by."""

    area: Literal["lock", "file", "data", "build file"]
    subject: str
    state: State
    detail: str


def show(closure: Closure, cache: Cache, nix: Nix) -> Shown:
    """What is in a lock, and where its files are."""
    paths = {blob.file: path for path, blob in seeding.wanted(closure).items()}
    rows = tuple(
        Row(
            kind=kind,
            name=blob.name,
            version=blob.version,
            file=blob.file,
            size=blob.size,
            sha256=blob.sha256,
            store_path=paths[blob.file],
            cached=cache.path(blob) is not None,
            stored=nix.physical(paths[blob.file]).exists(),
        )
        for kind, blob in closure_changes.kinds(closure)
    )
    return Shown(
        system=closure.system,
        python=closure.python,
        floor=closure.floor,
        pins=closure.pins,
        requirements=closure.requirements,
        size=sum(row.size for row in rows),
        files=rows,
    )


def differences(root: Path, old: str, new: str | None) -> tuple[Change, ...]:
    """What changed from one lock to another: each a file, or a revision of the study; `new` by default as it is now.

    Raises:
        UsageError: if there is no such lock.
        IntegrityError: if one does not hold what it should.
    """
    after = closure_file.read(root) if new is None else _lock(root, new)
    return closure_changes.changes(_lock(root, old), after)


def _lock(root: Path, named: str) -> Closure:
    if Path(named).is_file():
        return closure_file.read_file(Path(named), named)
    done = Git(root).call("show", f"{named}:./{closure_lock.FILE}", check=False)
    if done.status == 0:
        return closure_lock.decode(done.stdout, f"{closure_lock.FILE} at {named}")
    raise UsageError(
        f"{named!r}: neither a file nor a revision with a {closure_lock.FILE}",
        hint="for example `entrenar-research env diff HEAD`",
    )


def verify(
    root: Path, sources: Sequence[Source], nix: Nix, own: Path, progress: Callable[[int, int], None]
) -> tuple[Finding, ...]:
    """Whether the lock is in order, each of its files somewhere and nowhere other than it says, and all else there.

    `own` is where the tool keeps the files that Nix builds by.

    Raises:
        UsageError: if there is no lock.
        StorageError: if something cannot be read.
    """
    findings: list[Finding] = []
    try:
        closure = closure_file.read(root)
    except UsageError:
        raise
    except ResearchError as error:
        findings.append(Finding(area="lock", subject=closure_lock.FILE, state="changed", detail=error.message))
    else:
        findings.append(_canonical(root, closure))
        paths = {blob.file: path for path, blob in seeding.wanted(closure).items()}
        for number, blob in enumerate(closure.blobs, 1):
            findings.append(_blob(closure, blob, sources, nix.physical(paths[blob.file])))
            progress(number, len(closure.blobs))
        findings += _data(root, nix)
    for item in build_files.compare(root, own):
        state: State = "good" if item.state == "same" else "missing" if item.state == "absent" else "changed"
        detail = "as the tool has it" if state == "good" else "not as this version of the tool has it"
        findings.append(Finding(area="build file", subject=item.path, state=state, detail=detail))
    return tuple(findings)


def _canonical(root: Path, closure: Closure) -> Finding:
    same = (root / closure_lock.FILE).read_bytes() == closure_lock.encode(closure)
    detail = "well-formed" if same else "readable, but not as `env lock` writes it"
    return Finding(area="lock", subject=closure_lock.FILE, state="good" if same else "changed", detail=detail)


def _blob(closure: Closure, blob: Blob, sources: Sequence[Source], stored: Path) -> Finding:
    good: list[str] = []
    wrong: list[str] = []
    for source in sources:
        path = source.path(blob)
        if path is not None:
            fault = blobs.fault(blob, path)
            (good if fault is None else wrong).append(source.shown + (f": {fault}" if fault else ""))
    if stored.exists():
        fault = _stored_fault(closure, blob, stored)
        (good if fault is None else wrong).append("the store" + (f": {fault}" if fault else ""))
    if wrong:
        return Finding(area="file", subject=blob.file, state="changed", detail="; ".join(wrong))
    if good:
        return Finding(area="file", subject=blob.file, state="good", detail=f"in {' and '.join(good)}")
    looked = ", ".join([*(source.shown for source in sources), "the store"])
    return Finding(area="file", subject=blob.file, state="missing", detail=f"in none of: {looked}")


def _stored_fault(closure: Closure, blob: Blob, path: Path) -> str | None:
    if blob != closure.busybox.package:
        return blobs.fault(blob, path)
    found = nar.directory_hash(path)
    return None if found == closure.busybox.nar else f"found nar {found}, expected {closure.busybox.nar}"


def _data(root: Path, nix: Nix) -> list[Finding]:
    """The inputs of experiments that are in the store: there, they are what the study says or they are wrong."""
    found = []
    for item in closure_file.data(root):
        path = nix.physical(store_paths.data_path(item))
        if not path.exists():
            continue
        present = nar.directory_hash(path) if item.nar is not None else hashing.hash_file(path, md5=False).sha256
        good = present == (item.nar or item.sha256)
        detail = "in the store" if good else f"the store: found {present}, expected {item.nar or item.sha256}"
        found.append(Finding(area="data", subject=item.path, state="good" if good else "changed", detail=detail))
    return found
