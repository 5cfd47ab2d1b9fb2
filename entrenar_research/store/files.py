"""Writing files so that a killed process leaves the old state or the new one, and reading them with care."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from entrenar_research.errors import StorageError, UsageError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextlib.contextmanager
def refusals(doing: str) -> Iterator[None]:
    """Turns what the file system refuses into a `StorageError` that says what was being done.

    Raises:
        StorageError: for any `OSError` from the block.
    """
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        hint = {
            errno.ENOSPC: "free some space, then run the same command again: nothing was lost",
            errno.EDQUOT: "your quota is used up: free some space, then run the same command again",
            errno.EACCES: "check the owner and the mode of the directory",
            errno.EROFS: "the file system is mounted read-only",
        }.get(error.errno or 0)
        raise StorageError(f"{doing}: {error.strerror or error}{where}", hint=hint) from error


def write_atomically(path: Path, data: bytes | str, *, mode: int = 0o644) -> None:
    """Replaces `path` by `data`: temporary file in the same directory, fsync, rename.

    A temporary file that a killed process left for the same path is removed.

    Raises:
        StorageError: if the file system refuses; `path` is left as it was.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with refusals(f"cannot write {path.name}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale_parts(path)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            try:
                with contextlib.suppress(OSError):  # a file system without locks
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                view = memoryview(raw)
                while view:
                    view = view[os.write(descriptor, view) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def remove_stale_parts(target: Path) -> None:
    """Removes `.<target>.<pid>.part` files of dead processes that nobody holds a lock on.

    Raises:
        OSError: if the directory cannot be read.
    """
    pattern = re.compile(re.escape(f".{target.name}.") + r"([0-9]{1,9})\.part")
    with os.scandir(target.parent) as entries:
        found = [(Path(entry.path), match[1]) for entry in entries if (match := pattern.fullmatch(entry.name))]
    for path, pid in found:
        if int(pid) == os.getpid() or not _alive(int(pid)):
            with contextlib.suppress(OSError):  # held by another machine, or not ours: it stays
                _remove_unlocked(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
    finally:
        os.close(descriptor)


def read_text(path: Path, *, shown: str | None = None) -> str:
    """The text of a small file.

    Raises:
        UsageError: if it is absent, unreadable or not UTF-8.
    """
    name = shown or path.name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{name}: no such file") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error


def exchange(fresh: Path, place: Path) -> None:
    """Puts the directory `fresh` at `place`; what was there before is then at `fresh`. One atomic step.

    Where the file system has no exchange, the old directory is moved aside first.

    Raises:
        StorageError: if the file system refuses.
    """
    with refusals(f"cannot put {place.name} in place"):
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            fresh.rename(place)
            return
        if _rename_exchange(fresh, place):
            return
        aside = fresh.with_name(fresh.name + ".old")
        place.rename(aside)
        fresh.rename(place)
        aside.rename(fresh)


def _rename_exchange(one: Path, other: Path) -> bool:
    """renameat2(2) with RENAME_EXCHANGE; false where kernel or file system do not have it."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    done = renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def remove_tree(path: Path) -> None:
    """Deletes a directory or file, read-only entries included; absent is fine."""

    def retry(function: object, name: str, _: object) -> None:
        del function
        parent = Path(name).parent
        with contextlib.suppress(OSError):
            parent.chmod(0o755)
            if Path(name).is_dir() and not Path(name).is_symlink():
                Path(name).chmod(0o755)
                shutil.rmtree(name, ignore_errors=True)
            else:
                Path(name).unlink()

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, onerror=retry)
    else:
        path.unlink(missing_ok=True)


def contained(root: Path, relative: str, *, what: str) -> Path:
    """`root/relative`, if it names something inside `root` without following a link out of it.

    Raises:
        UsageError: if it is absolute, climbs out, or a symbolic link leads out.
    """
    path = Path(relative)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise UsageError(f"{what} {relative!r}: expected a path inside the study, relative to it")
    place = root / path
    real = Path(os.path.realpath(place))
    if not real.is_relative_to(os.path.realpath(root)):
        raise UsageError(
            f"{what} {relative!r} is, or lies behind, a symbolic link that leaves the study (to {real})",
            hint="copy the file into the study: a stranger does not have what lies outside",
        )
    return place


class Containment:
    """`contained` for many files of one study: each directory is looked at once, each file only if it is a link."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._good: set[str] = set()

    def problem(self, relative: str, *, what: str) -> str | None:
        """Why `root/relative` is not inside `root`, or None if it is."""
        directory, _, name = relative.rpartition("/")
        try:
            if directory and directory not in self._good:
                contained(self._root, directory, what=what)
                self._good.add(directory)
            if name in ("", ".", "..") or os.path.islink(f"{self._root}/{relative}"):  # noqa: PTH114 - thousands of files
                contained(self._root, relative, what=what)
        except UsageError as error:
            return error.message
        return None
