"""Putting a study back as it was before a command that is not to stay."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from entrenar_research.store import files, hashing

_ONE_FILE = 1 << 20
_ALL_FILES = 64 << 20


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What lay in the study: directories, files with their status, and the bytes of the small ones.

    Version control, caches and virtual environments are passed over.
    """

    root: Path
    directories: frozenset[str]
    files: dict[str, os.stat_result]
    contents: dict[str, bytes]

    def restore(self) -> tuple[str, ...]:
        """Removes what is new and writes back what changed; the paths that were too large for that.

        Raises:
            StorageError: if the file system refuses.
        """
        lost = []
        with files.refusals("cannot put the study back as it was"):
            now = {path: status for path, status in _walk(self.root) if not stat.S_ISDIR(status.st_mode)}
            for path in now.keys() - self.files.keys():
                (self.root / path).unlink()
            folders = {path for path, status in _walk(self.root) if stat.S_ISDIR(status.st_mode)}
            for path in sorted(folders - self.directories, key=len, reverse=True):
                with contextlib.suppress(OSError):
                    (self.root / path).rmdir()
            for path, status in self.files.items():
                if path in now and _same(now[path], status):
                    continue
                if path in self.contents:
                    _write_back(self.root / path, self.contents[path], status)
                else:
                    lost.append(path)
        return tuple(lost)


def remember(root: Path) -> Before:
    """The study as it is now.

    Raises:
        StorageError: if something cannot be read.
    """
    with files.refusals("cannot look at the study"):
        every = dict(_walk(root))
        regular = {path: status for path, status in every.items() if stat.S_ISREG(status.st_mode)}
        contents: dict[str, bytes] = {}
        left = _ALL_FILES
        for path, status in sorted(regular.items(), key=lambda item: item[1].st_size):
            if status.st_size > min(left, _ONE_FILE):
                break
            contents[path] = (root / path).read_bytes()
            left -= len(contents[path])
    return Before(
        root=root,
        directories=frozenset(path for path, status in every.items() if stat.S_ISDIR(status.st_mode)),
        files={path: status for path, status in every.items() if not stat.S_ISDIR(status.st_mode)},
        contents=contents,
    )


def _walk(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    for top, directories, names in os.walk(root):
        directories[:] = [
            name
            for name in directories
            if name not in hashing.SKIPPED_DIRECTORIES and not os.path.exists(os.path.join(top, name, "pyvenv.cfg"))
        ]
        inside = os.path.relpath(top, root)
        for name in (*directories, *names):
            with contextlib.suppress(FileNotFoundError):
                yield name if inside == "." else f"{inside}/{name}", os.lstat(os.path.join(top, name))


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_size, one.st_mtime_ns, one.st_mode) == (other.st_size, other.st_mtime_ns, other.st_mode)


def _write_back(place: Path, data: bytes, status: os.stat_result) -> None:
    files.write_atomically(place, data, mode=stat.S_IMODE(status.st_mode))
    place.chmod(stat.S_IMODE(status.st_mode))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
