"""A log in a memory-mapped file: what was packed into the map is the kernel's, and outlives the process.

Room is allocated before it is mapped: where a sparse map meets a full disk, the process dies of SIGBUS, and where
posix_fallocate(3) does, there is an error that can be dealt with.
"""

# pathlib and contextlib take longer to import than all of the client:
# ruff: noqa: PTH103, PTH105, PTH108, SIM105
from __future__ import annotations

import errno
import fcntl
import mmap
import os

from entrenar_research.client import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ARTIFACTS = "artifacts"
FIRST = 1 << 20
LARGEST = 16 << 20
LEAST = 1 << 12
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV})
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def random_name() -> str:
    """Four random characters, as run ids end in."""
    return "".join(_ALPHABET[byte & 31] for byte in os.urandom(4))


class EventLog:
    """`events/<process id>-<random>.events` below `directory`, made at the first `append` and locked until `close`."""

    __slots__ = ("_descriptor", "_directory", "_map", "_size", "path")

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self.path = ""
        self._descriptor = -1
        self._size = 0
        self._map: mmap.mmap | None = None

    def append(self, size: int) -> mmap.mmap:
        """Allocates 1 MiB at first, then as much again up to 16 MiB at a time; less where that does not fit.

        Raises:
            OSError: if there is no space even for `size` bytes, or the file system cannot map files.
        """
        if self._descriptor < 0:
            self._create()
        needed = -(-size // LEAST) * LEAST
        piece = max(needed, min(max(self._size, FIRST), LARGEST))
        while True:
            try:
                _allocate(self._descriptor, self._size, piece)
                break
            except OSError as error:
                self._cut(self._size)
                if error.errno not in _FULL or piece <= needed:
                    raise
                piece = max(piece // 2 // LEAST * LEAST, needed)
        try:
            fresh = mmap.mmap(self._descriptor, self._size + piece)
        except OSError:
            self._cut(self._size)
            raise
        # The map before this one is not closed: another thread may be writing to it. It goes with its last user.
        self._size, self._map = self._size + piece, fresh
        return fresh

    def _create(self) -> None:
        folder = os.path.join(self._directory, layout.DIRECTORY)
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, f"{os.getpid()}-{random_name()}{layout.SUFFIX}")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, *_UNSUPPORTED):  # a file system without locks
                os.close(descriptor)
                raise
        self._descriptor, self.path = descriptor, path

    def _cut(self, length: int) -> None:
        try:
            os.ftruncate(self._descriptor, length)
        except OSError:
            pass  # it is longer than it has to be, then: zeros behind the end mean nothing

    def read(self) -> bytes:
        """The log as it is in the file: a map that reaches beyond the end of its file must not be looked at there.

        Raises:
            OSError: if it cannot be read.
        """
        if not self.path:
            return b""
        with open(self.path, "rb") as stream:
            return stream.read()

    def seal(self, length: int) -> None:
        """Cuts the file off and waits until it is on the disk.

        Raises:
            OSError: if the file system refuses.
        """
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, length)
            os.fsync(self._descriptor)

    def keep(self, name: str, chunks: Iterable[bytes]) -> str:
        """Writes an artifact to `artifacts/<name>`; what was there under that name is replaced.

        Raises:
            OSError: if the file system refuses; nothing of it is left then.
        """
        relative = os.path.join(ARTIFACTS, name)
        path = os.path.join(self._directory, relative)
        folder, base = os.path.split(path)
        os.makedirs(folder, exist_ok=True)
        part = os.path.join(folder, f".{base}.{os.getpid()}.part")
        try:
            with open(part, "wb") as stream:
                stream.writelines(chunks)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(part, path)
        except BaseException:
            remove_quietly(part)
            raise
        return relative

    def child(self) -> EventLog:
        """A log of its own for a forked process; the lock stays with the parent, the copies of its descriptors go."""
        if self._map is not None:
            try:
                self._map.close()
            except BufferError:  # a value that forked while it was converted; its parent's lock lives a little longer
                pass
        if self._descriptor >= 0:
            os.close(self._descriptor)
        return EventLog(self._directory)

    def close(self) -> None:
        """Gives up the lock."""
        if self._descriptor >= 0:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)  # the map has a descriptor of its own
            except OSError:
                pass
            os.close(self._descriptor)
            self._descriptor, self._map = -1, None


def _allocate(descriptor: int, start: int, size: int) -> None:
    """Space on the disk for `size` bytes from `start`, by writing zeros where the file system knows no other way."""
    try:
        os.posix_fallocate(descriptor, start, size)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        zeros = bytes(LEAST)
        for offset in range(start, start + size, LEAST):
            if os.pwrite(descriptor, zeros, offset) < LEAST:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def remove_quietly(path: str) -> None:
    """Removes a file that may not be there, or may not be removed."""
    try:
        os.unlink(path)
    except OSError:
        pass
