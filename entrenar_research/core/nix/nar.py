"""The Nix archive (NAR): a file tree as one stream of bytes, the same for the same tree.

The format is that of Eelco Dolstra, "The Purely Functional Software Deployment Model" (2006), figure 5.2: no times, no
owners, of modes only whether a file is executable, entries in the order of their bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def word(value: bytes) -> bytes:
    """A string of the archive: its length in eight bytes, little endian, then itself, padded to eight."""
    return len(value).to_bytes(8, "little") + value + bytes(-len(value) % 8)


MAGIC: Final = word(b"nix-archive-1")
"""What every archive begins with; a node follows."""
OPEN: Final = word(b"(")
CLOSE: Final = word(b")")
DIRECTORY: Final = OPEN + word(b"type") + word(b"directory")
"""The beginning of a directory: entries follow, then `CLOSE`."""
ENTRY_CLOSE: Final = CLOSE
"""The end of an entry, after its node."""
_REGULAR: Final = OPEN + word(b"type") + word(b"regular")
_EXECUTABLE: Final = word(b"executable") + word(b"")
_CONTENTS: Final = word(b"contents")
_SYMLINK: Final = OPEN + word(b"type") + word(b"symlink") + word(b"target")
_ENTRY: Final = word(b"entry") + OPEN + word(b"name")
_NODE: Final = word(b"node")


def file_head(size: int, *, executable: bool) -> bytes:
    """The beginning of a file of `size` bytes: they follow, then `file_tail`."""
    return _REGULAR + (_EXECUTABLE if executable else b"") + _CONTENTS + size.to_bytes(8, "little")


def file_tail(size: int) -> bytes:
    """The end of a file of `size` bytes."""
    return bytes(-size % 8) + CLOSE


def file(data: bytes, *, executable: bool = False) -> bytes:
    """A whole file."""
    return file_head(len(data), executable=executable) + data + file_tail(len(data))


def symlink(target: bytes) -> bytes:
    """A symbolic link."""
    return _SYMLINK + word(target) + CLOSE


def entry_head(name: bytes) -> bytes:
    """The beginning of a directory's entry: its node follows, then `ENTRY_CLOSE`."""
    return _ENTRY + word(name) + _NODE


def directory(entries: Mapping[bytes, bytes]) -> bytes:
    """A whole directory of nodes by name."""
    parts = (entry_head(name) + node + ENTRY_CLOSE for name, node in sorted(entries.items()))
    return DIRECTORY + b"".join(parts) + CLOSE
