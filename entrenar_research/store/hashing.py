"""Hashing files and directories: SHA-256 for our records, MD5 for DVC's, each file read once."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from entrenar_research.core import digests
from entrenar_research.errors import StorageError, UsageError
from entrenar_research.models.run import FileDigest
from entrenar_research.store import files, workers

SKIPPED_DIRECTORIES = frozenset({".git", ".dvc", ".entrenar", "__pycache__", ".hg", ".svn"})
_UTF8 = re.compile(r"[^\ud800-\udfff]*", re.DOTALL)
_SMALL = 1 << 16
_CHUNK = 1 << 20
_PARALLEL_FILES = 2000
_PARALLEL_BYTES = 256 << 20
_RACY_SECONDS = 2.0


class FileHash(msgspec.Struct, frozen=True, array_like=True):
    """The digests of one file's bytes: SHA-256 and MD5 in hex (MD5 empty where not asked for), size."""

    sha256: str
    md5: str
    size: int


def hash_file(path: Path | str, *, md5: bool = True) -> FileHash:
    """Reads a file to its end, always.

    Raises:
        StorageError: if it cannot be read, or is no regular file (a pipe might never end).
    """
    try:
        with open(path, "rb", buffering=0, opener=_without_waiting) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StorageError(f"cannot read {path}: expected a regular file, found a pipe, socket or device")
            size = status.st_size
            chunk = _SMALL if size < _SMALL else _CHUNK
            data = stream.read(chunk)
            strong = hashlib.sha256(data)
            weak = hashlib.md5(data, usedforsecurity=False) if md5 else None
            total = len(data)
            while data:
                data = stream.read(chunk)
                strong.update(data)
                if weak is not None:
                    weak.update(data)
                total += len(data)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return FileHash(strong.hexdigest(), weak.hexdigest() if weak is not None else "", total)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def hash_files(paths: Sequence[str], *, md5: bool = True, root: Path | None = None) -> list[FileHash]:
    """The digests of many files, below `root` if given, in order; with two processes when there is much to read.

    Raises:
        StorageError: if one cannot be read.
    """
    full = [os.path.join(root, path) for path in paths] if root is not None else list(paths)
    processes = min(len(os.sched_getaffinity(0)), 4)
    if processes < 2 or not _worth_sharing(full):
        return [hash_file(path, md5=md5) for path in full]
    size = max(1, min(500, len(full) // processes + 1))
    parts = [full[start : start + size] for start in range(0, len(full), size)]
    with workers.pool(processes) as pool:
        done = pool.map(functools.partial(_hash_part, md5=md5), parts)
        return [item for part in done for item in part]


def _hash_part(paths: list[str], *, md5: bool) -> list[FileHash]:
    return [hash_file(path, md5=md5) for path in paths]


def _worth_sharing(paths: Sequence[str]) -> bool:
    if len(paths) >= _PARALLEL_FILES:
        return True
    if len(paths) < 2:
        return False
    total = 0
    for path in paths:
        try:
            total += os.stat(path).st_size
        except OSError:
            continue
        if total > _PARALLEL_BYTES:
            return True
    return False


def walk(root: Path, relative: str) -> Iterator[str]:
    """Every file at or below `root/relative`, as sorted paths relative to `root`.

    Links to files are followed. Directories of version control and caches are passed over.

    Raises:
        StorageError: if a directory cannot be read.
        UsageError: if something there is neither file nor directory, a link leads out of `root` or to a directory
            (DVC would leave that out), or a name is not UTF-8.
    """
    top = files.contained(root, relative, what="path")
    if not top.is_dir():
        if top.exists() and not top.is_file():
            raise UsageError(f"{relative}: expected a file or directory, found a device, pipe or socket")
        yield relative
        return
    pending = [os.path.normpath(relative)]
    found: list[str] = []
    while pending:
        directory = pending.pop()
        with files.refusals(f"cannot read {directory}"), os.scandir(root / directory) as entries:
            for entry in entries:
                path = f"{directory}/{entry.name}"
                if _is_file(root, path, entry):
                    found.append(path)
                elif entry.name not in SKIPPED_DIRECTORIES:
                    pending.append(path)
    yield from sorted(found)


def _is_file(root: Path, path: str, entry: os.DirEntry[str]) -> bool:
    """Whether the entry of a directory is a file; if not, it is a directory."""
    if not _UTF8.fullmatch(entry.name):
        raise UsageError(f"{path!r}: the name is not UTF-8; rename it, so that it means the same elsewhere")
    if entry.is_symlink():
        files.contained(root, path, what="path")
        if entry.is_dir():
            raise UsageError(
                f"{path}: a link to a directory, which DVC passes over",
                hint="put the directory itself there, or name the other one in the declaration",
            )
    if not entry.is_file() and not entry.is_dir():
        raise UsageError(f"{path}: expected a file or directory, found a device, pipe, socket or dangling link")
    return entry.is_file()


class Hasher:
    """Describes files and directories of a study; with `cache`, unchanged files are not read again.

    A file counts as unchanged when size, modification time (ns) and inode are those remembered: quick, and
    what `run` and `status` use. `verify` never uses the cache.
    """

    def __init__(self, root: Path, *, cache: Path | None = None) -> None:
        self.root = root
        self._file = cache
        self._known: dict[str, tuple[int, int, int, str, str]] = {}
        self._dirty = False
        if cache is not None:
            try:
                self._known = msgspec.json.decode(cache.read_bytes(), type=dict[str, tuple[int, int, int, str, str]])
            except (OSError, msgspec.DecodeError):
                self._known = {}

    def hashes(self, paths: Iterable[str]) -> dict[str, FileHash]:
        """The digests of files given relative to the root.

        Raises:
            StorageError: if one cannot be read.
        """
        found: dict[str, FileHash] = {}
        unknown: dict[str, os.stat_result] = {}
        for path in paths:
            try:
                status = os.stat(self.root / path)
            except OSError as error:
                raise StorageError(f"cannot read {path}: {error.strerror}") from error
            known = self._known.get(path)
            if known and known[:3] == (status.st_size, status.st_mtime_ns, status.st_ino):
                found[path] = FileHash(known[3], known[4], known[0])
            else:
                unknown[path] = status
        now = time.time()
        for (path, status), item in zip(unknown.items(), hash_files(list(unknown), root=self.root), strict=True):
            found[path] = item
            if now - status.st_mtime > _RACY_SECONDS and status.st_size == item.size:
                self._known[path] = (item.size, status.st_mtime_ns, status.st_ino, item.sha256, item.md5)
                self._dirty = True
        return found

    def describe(self, relative: str) -> tuple[FileDigest, dict[str, FileHash]]:
        """The digest of a file or directory, and of every file in it.

        A directory's digest is that of its manifest, with paths relative to it; its MD5 is DVC's.

        Raises:
            StorageError: if something cannot be read.
            UsageError: if a link leads out of the study.
        """
        every = self.hashes(walk(self.root, relative))
        if not (self.root / relative).is_dir():
            only = every[relative]
            digest = FileDigest(path=relative, digest=f"sha256:{only.sha256}", md5=only.md5, size=only.size)
            return digest, every
        prefix = len(os.path.normpath(relative)) + 1
        text = digests.manifest((path[prefix:], item.sha256) for path, item in every.items())
        listing = digests.dvc_directory((path[prefix:], item.md5) for path, item in every.items())
        digest = FileDigest(
            path=relative,
            digest=digests.sha256(text.encode()),
            md5=hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir",
            size=sum(item.size for item in every.values()),
            files=len(every),
        )
        return digest, every

    def save(self) -> None:
        """Remembers what was hashed; a cache that cannot be written is no error."""
        if self._file is not None and self._dirty:
            try:
                files.write_atomically(self._file, msgspec.json.encode(self._known))
            except StorageError:
                return
            self._dirty = False


def is_executable(path: Path) -> bool:
    """Whether the owner may execute the file (DVC records it)."""
    return bool(path.stat().st_mode & stat.S_IXUSR)
