"""Where the files of a closure lock are kept outside of every Nix store: a cache by digest, directories by name."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from entrenar_research.errors import IntegrityError, StorageError
from entrenar_research.models.closure import Blob
from entrenar_research.store import files, hashing

_WORK: Final = "work-"


def cache(environment: Mapping[str, str]) -> Cache:
    """The person's cache: `$XDG_CACHE_HOME/entrenar-research/blobs`."""
    base = environment.get("XDG_CACHE_HOME") or str(Path(environment.get("HOME") or Path.home()) / ".cache")
    return Cache(Path(base) / "entrenar-research" / "blobs")


class Cache:
    """Files by the SHA-256 of their bytes, each under that name."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def shown(self) -> str:
        """What it is called in messages."""
        return f"the cache ({self.root})"

    def path(self, blob: Blob) -> Path | None:
        """Where a file lies, or None. Its bytes are not looked at."""
        place = self.root / blob.sha256
        return place if place.is_file() else None

    def keep(self, blob: Blob, source: Path) -> Path:
        """Copies a file into the cache unless it is there; where it lies then.

        Raises:
            IntegrityError: if it is not what its digest says.
            StorageError: if the file system refuses.
        """
        return put(blob, source, self.root / blob.sha256)


class Directory:
    """Files by their names in a directory: those of the lock, or those of the Nix store."""

    def __init__(self, root: Path, shown: str | None = None) -> None:
        self.root = root
        self.shown = shown or str(root)

    def path(self, blob: Blob) -> Path | None:
        """Where a file lies, or None. Its bytes are not looked at."""
        for name in (blob.file, blob.store, blob.sha256):
            if (self.root / name).is_file():
                return self.root / name
        return None

    def keep(self, blob: Blob, source: Path) -> Path:
        """Copies a file into the directory unless it is there; where it lies then.

        Raises:
            IntegrityError: if it is not what its digest says.
            StorageError: if the file system refuses.
        """
        return put(blob, source, self.root / blob.file)


def put(blob: Blob, source: Path, target: Path) -> Path:
    """Copies a file to its place if it is not there as it should be: checked first, then moved in, in one step.

    Raises:
        IntegrityError: if it is not what its digest says: it is not kept.
        StorageError: if the file system refuses.
    """
    if target.is_file() and target.stat().st_size == blob.size and fault(blob, target) is None:
        return target
    with files.refusals(f"cannot keep {blob.file} in {target.parent}"):
        target.parent.mkdir(parents=True, exist_ok=True)
        files.remove_stale_parts(target)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            shutil.copyfile(source, temporary)
            check(blob, temporary, f"{source}")
            temporary.chmod(0o644)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    return target


def fault(blob: Blob, path: Path) -> str | None:
    """What is wrong with the bytes of a file, or None."""
    try:
        found = hashing.hash_file(path, md5=False)
    except StorageError as error:
        return error.message
    if found.size != blob.size:
        return f"found {found.size} bytes, expected {blob.size}"
    if found.sha256 != blob.sha256:
        return f"found sha256 {found.sha256}, expected {blob.sha256}"
    return None


def check(blob: Blob, path: Path, shown: str) -> None:
    """Refuses a file that is not what the lock says.

    Raises:
        IntegrityError: if it is another.
    """
    wrong = fault(blob, path)
    if wrong is not None:
        raise IntegrityError(
            f"{blob.file}: {shown} holds another file: {wrong}",
            hint="it is not used; take it from elsewhere: `env seed --from DIR`, `mirror` or `packages`",
        )


@contextlib.contextmanager
def workplace(root: Path) -> Iterator[Path]:
    """A directory for work in progress below `root`, gone afterwards; those that killed processes left go as well.

    Raises:
        StorageError: if it cannot be made.
    """
    with files.refusals(f"cannot keep files in {root}"):
        root.mkdir(parents=True, exist_ok=True)
        for left in root.glob(f"{_WORK}*"):
            _remove_if_left(left)
        place = Path(tempfile.mkdtemp(prefix=_WORK, dir=root))
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield place
    finally:
        files.remove_tree(place)
        os.close(descriptor)


def _remove_if_left(place: Path) -> None:
    """Removes the directory of a process that is gone: nobody holds the lock on it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            files.remove_tree(place)
        finally:
            os.close(descriptor)
