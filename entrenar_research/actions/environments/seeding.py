"""Putting the files of the lock, and the data of the experiments, into the Nix store - from wherever they are."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from entrenar_research.actions.environments import locking
from entrenar_research.core.nix import store_paths
from entrenar_research.errors import IntegrityError, ResearchError
from entrenar_research.models.closure import Blob, Closure
from entrenar_research.models.hermetic import Data
from entrenar_research.store import blobs, debian_packages, files, hashing, nar
from entrenar_research.store.blobs import Cache
from entrenar_research.tools.nix import Nix


class Source(Protocol):
    """Where files of a lock may be: `shown` is what it is called in messages."""

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        ...

    def path(self, blob: Blob) -> Path | None:
        """Where a file lies, or None if it is not there. Its bytes need not have been looked at."""
        ...


class Gathering(Protocol):
    """A source that fetches: `gather` puts what it can into the cache and says why the others are not there."""

    shown: str

    def gather(self, wanted: Sequence[Blob], cache: Cache) -> dict[str, str]:
        """Fetches into the cache; the reason for each file, by name, that could not be had."""
        ...


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is nowhere as it should be. `looked` is where, with what was found there."""

    file: str
    looked: tuple[str, ...]


class Seeded(msgspec.Struct, frozen=True, kw_only=True):
    """What was done: store paths that were there, those that were added, and what is missing."""

    present: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()


def gather(
    closure: Closure, cache: Cache, sources: Sequence[Source], gathering: Gathering | None
) -> tuple[dict[str, Path], tuple[Missing, ...]]:
    """Where the files of a lock lie, each checked against its digest, by name; and those that are nowhere.

    Raises:
        ResearchError: if the one who gathers refuses altogether.
    """
    found, lacking = _located(closure.blobs, sources)
    if not lacking or gathering is None:
        return found, tuple(lacking.values())
    wanted = [blob for blob in closure.blobs if blob.file in lacking]
    reasons = gathering.gather(wanted, cache)
    more, still = _located(wanted, [cache])
    missing = tuple(
        Missing(file=file, looked=(*lacking[file].looked, f"{gathering.shown}: {reasons.get(file, 'not there')}"))
        for file in still
    )
    return found | more, missing


def _located(wanted: Sequence[Blob], sources: Sequence[Source]) -> tuple[dict[str, Path], dict[str, Missing]]:
    found: dict[str, Path] = {}
    lacking: dict[str, Missing] = {}
    for blob in wanted:
        looked = []
        for source in sources:
            path = source.path(blob)
            wrong = "not there" if path is None else blobs.fault(blob, path)
            if path is not None and wrong is None:
                found[blob.file] = path
                break
            looked.append(f"{source.shown}: {wrong}")
        else:
            lacking[blob.file] = Missing(file=blob.file, looked=tuple(looked))
    return found, lacking


def wanted(closure: Closure) -> dict[str, Blob]:
    """The files of a lock by the store paths that they have; busybox's is that of a directory made of its package."""
    paths = {store_paths.file_path(blob.store, blob.sha256): blob for blob in closure.blobs}
    del paths[store_paths.file_path(closure.busybox.package.store, closure.busybox.package.sha256)]
    return paths | {store_paths.tree_path(closure.busybox.store, closure.busybox.nar): closure.busybox.package}


def seed(
    closure: Closure,
    nix: Nix,
    scratch: Path,
    locate: Callable[[], tuple[dict[str, Path], tuple[Missing, ...]]],
) -> Seeded:
    """Adds the files of a lock that the store lacks; nothing is looked for if it lacks none.

    `locate` finds files, `scratch` is a directory in which those for the store can be made.

    Raises:
        IntegrityError: if Nix gives a file another path than its digest asks for.
        ToolError: if Nix refuses.
    """
    paths = wanted(closure)
    there = nix.is_valid(sorted(paths))
    lacking = {path: blob for path, blob in paths.items() if path not in there}
    if not lacking:
        return Seeded(present=tuple(sorted(there)))
    found, missing = locate()
    able = {path: blob for path, blob in sorted(lacking.items()) if blob.file in found}
    with blobs.workplace(scratch) as place:
        _add(closure, nix, able, found, place)
    names = {blob.file for blob in lacking.values()}
    absent = tuple(item for item in missing if item.file in names)
    return Seeded(present=tuple(sorted(there)), added=tuple(able), missing=absent)


def seed_data(items: Sequence[Data], root: Path, nix: Nix) -> Seeded:
    """Adds the data of experiments that the store lacks, from where the study at `root` has them.

    Raises:
        IntegrityError: if Nix gives something another path than its digest asks for.
        ToolError: if Nix refuses.
    """
    paths = {store_paths.data_path(item): item for item in items}
    there = nix.is_valid(sorted(paths)) if paths else frozenset()
    added, missing = [], []
    for path, item in sorted(paths.items()):
        if path in there:
            continue
        wrong = _data_fault(item, root)
        if wrong is not None:
            missing.append(Missing(file=item.path, looked=(f"the study: {wrong}",)))
            continue
        add = nix.add_directory if item.nar is not None else nix.add_file
        _agree(path, add(item.store, root / item.path), item.path)
        added.append(path)
    return Seeded(present=tuple(sorted(there)), added=tuple(added), missing=tuple(missing))


def _add(closure: Closure, nix: Nix, able: Mapping[str, Blob], found: Mapping[str, Path], place: Path) -> None:
    """Puts files into the store all at once, busybox as the directory that is made of its package."""
    named: dict[str, Path] = {}
    for number, (path, blob) in enumerate(able.items()):
        if blob == closure.busybox.package:
            _agree(path, _add_busybox(closure, nix, found[blob.file], place), blob.file)
            continue
        named[path] = place / str(number) / blob.store
        with files.refusals(f"cannot hand over {blob.file}"):
            named[path].parent.mkdir()
            _link(found[blob.file], named[path])
    for path, given in zip(named, nix.add_files(list(named.values())), strict=True):
        _agree(path, given, able[path].file)


def _link(source: Path, target: Path) -> None:
    """The same file under another name, a copy where that cannot be."""
    try:
        target.hardlink_to(source.resolve())
    except OSError:
        shutil.copyfile(source, target)


def _add_busybox(closure: Closure, nix: Nix, source: Path, place: Path) -> str:
    blob = closure.busybox.package
    program = locking.busybox_program(debian_packages.read(source))
    if locking.busybox_digest(program) != closure.busybox.nar:
        raise IntegrityError(
            f"{blob.file}: the busybox in it is not the one of the lock",
            hint="the lock contradicts itself: write it anew with `entrenar-research env lock`",
        )
    directory = place / closure.busybox.store
    with files.refusals("cannot unpack busybox"):
        (directory / "bin").mkdir(parents=True)
        (directory / "bin" / "busybox").write_bytes(program)
        (directory / "bin" / "busybox").chmod(0o755)
    return nix.add_directory(closure.busybox.store, directory)


def _agree(wanted_path: str, given: str, shown: str) -> None:
    if given != wanted_path:
        raise IntegrityError(f"{shown}: Nix put it at {given}, expected {wanted_path}: did the file change meanwhile?")


def _data_fault(item: Data, root: Path) -> str | None:
    try:
        path = files.contained(root, item.path, what="input")
        if item.nar is not None:
            found, expected = nar.directory_hash(path) if path.is_dir() else "no directory", item.nar
        else:
            found, expected = hashing.hash_file(path, md5=False).sha256, str(item.sha256)
    except ResearchError as error:
        return error.message
    return None if found == expected else f"found {found}, expected {expected}"


def together(one: Seeded, other: Seeded) -> Seeded:
    """Two reports as one."""
    return Seeded(
        present=one.present + other.present, added=one.added + other.added, missing=one.missing + other.missing
    )
