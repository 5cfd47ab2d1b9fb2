"""A run in the main memory, for tests and fuzzers: the same client, and no file anywhere."""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from entrenar_research.client.reading import Log

_PIECE = 1 << 16


class MemoryStorage:
    """Keeps a log and artifacts in memory; `capacity` (bytes) makes it a full disk for those who test that.

    with start_run("fuzz", storage=(kept := MemoryStorage())) as run:
        run.log_metric("coverage", 0.5)
    assert kept.log().points("coverage") == [(0, 0.5)]
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self.artifacts: dict[str, bytes] = {}
        self._data = bytearray()

    def append(self, size: int) -> bytearray:
        """Makes room, in pieces of 64 KiB.

        Raises:
            OSError: beyond the capacity, or while another thread's value is just being converted.
        """
        wanted = -(-size // _PIECE) * _PIECE
        if self.capacity is not None and len(self._data) + wanted > self.capacity:
            wanted = size
            if len(self._data) + wanted > self.capacity:
                raise OSError(errno.ENOSPC, "No space left in memory set aside")
        try:
            self._data.extend(bytes(wanted))
        except BufferError as error:
            raise OSError(errno.EAGAIN, "The log is being written to") from error
        return self._data

    def read(self) -> bytes:
        """The log as it is."""
        return bytes(self._data)

    def log(self) -> Log:
        """The log as it is, read."""
        from entrenar_research.client import reading  # a training script does not read

        return reading.parse(self.read(), "memory")

    def seal(self, length: int) -> None:
        """Cuts the log off."""
        del self._data[length:]

    def keep(self, name: str, chunks: Iterable[bytes]) -> str:
        """Keeps an artifact in `artifacts`."""
        self.artifacts[name] = b"".join(chunks)
        return name

    def child(self) -> MemoryStorage:
        """The copy that a forked process has anyway, emptied."""
        return MemoryStorage(self.capacity)

    def close(self) -> None:
        """Does nothing: there is nothing to let go of."""
