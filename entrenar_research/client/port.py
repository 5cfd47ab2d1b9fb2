"""What keeps a run's log: the port between the client, which packs slots, and a place that holds bytes.

The client never asks a storage to keep a single point: that would cost a call for each. It asks for room, gets a
buffer, and packs point after point into it, until it has to ask for more. A storage has to keep what was written to
the buffer without being told, as a memory-mapped file does, or to look at it in its own time, up to the end, where
it is told by `seal`: that is how a storage in a browser would do it, which puts a page into its database at a time.

A storage in the main memory, in full:

    class Pages:
        def __init__(self):
            self.data, self.kept = bytearray(), {}

        def append(self, size):
            self.data.extend(bytes(size))
            return self.data

        def read(self):
            return bytes(self.data)

        def seal(self, length):
            del self.data[length:]

        def keep(self, name, chunks):
            self.kept[name] = b"".join(chunks)
            return name

        def child(self):
            return self

        def close(self):
            pass

`start_run("name", storage=Pages())` logs to it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import Protocol

Room = bytearray | mmap.mmap


class Storage(Protocol):
    """Holds the log of one process, byte by byte, and the artifacts it keeps."""

    def append(self, size: int) -> Room:
        """Makes room for `size` more bytes or more, all zero, and returns the log from its first byte, room included.

        A buffer that was returned before stays writable, and what is written there is in the new one.

        Raises:
            OSError: if there is no room; the log stays as it was. It may be asked again later.
        """
        ...

    def read(self) -> bytes:
        """The log as it is, room included.

        Raises:
            OSError: if it cannot be read.
        """
        ...

    def seal(self, length: int) -> None:
        """Cuts the log off after `length` bytes and makes it durable. Nothing is appended afterwards.

        Raises:
            OSError: if that fails; what was logged is still there, with the room behind it.
        """
        ...

    def keep(self, name: str, chunks: Iterable[bytes]) -> str:
        """Keeps an artifact under a relative name, whole or not at all, and returns where it is.

        Raises:
            OSError: if there is no room.
        """
        ...

    def child(self) -> Storage:
        """Called in a process that was just forked: the storage for its own log. It gives up what it has inherited."""
        ...

    def close(self) -> None:
        """Lets go of locks and descriptors. From then on the run may be taken for ended."""
        ...
