"""Git's own files, read byte by byte where `git` reads them leniently.

Git takes a reference in capital letters for the same one, passes over the comment of `packed-refs`, and does not
look at the bits that pad a compressed object. None of that changes what is meant; all of it is a changed byte.
The layouts are those of gitrepository-layout(5) and git-pack-refs(1).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

_LOOSE = re.compile(rb"(?:[0-9a-f]{40}|[0-9a-f]{64}|ref: refs/[!-~]+)\n")
_HEADER = re.compile(r"# pack-refs with:(?: peeled)?(?: fully-peeled)?(?: sorted)? ?")
_PACKED = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64}) (refs/.+)")
_PEELED = re.compile(r"\^([0-9a-f]{40}|[0-9a-f]{64})")
_ADLER = 4  # bytes of checksum at the end of a zlib stream
TAGS = "refs/tags/"
PACKED = "packed-refs"


class References(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say: the names of all tags, `packed-refs`' opinion of where they lead, and what is odd.

    `peeled` is by full name; `odd` pairs a file or reference with what is wrong with it.
    """

    tags: frozenset[str]
    peeled: dict[str, str]
    odd: tuple[tuple[str, str], ...]


def references(directory: Path) -> References:
    """The tags of the repository at `directory` (its common directory), loose and packed."""
    names: set[str] = set()
    odd: list[tuple[str, str]] = []
    top = directory / "refs" / "tags"
    for path in sorted(top.rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(top).as_posix()
        names.add(name)
        if not _LOOSE.fullmatch(_content(path)):
            odd.append((f"tag {name}", "its reference is not as Git writes one: expected an object id"))
    peeled: dict[str, str] = {}
    packed = directory / PACKED
    if packed.is_file():
        odd += _packed(_content(packed).decode("utf-8", "surrogateescape"), peeled, names)
    return References(tags=frozenset(names), peeled=peeled, odd=tuple(odd))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _packed(text: str, peeled: dict[str, str], names: set[str]) -> Iterator[tuple[str, str]]:
    last = ""
    for number, line in enumerate(text.split("\n"), 1):
        if match := _PACKED.fullmatch(line):
            last = match.group(2)
            if last.startswith(TAGS):
                names.add(last.removeprefix(TAGS))
        elif last and (match := _PEELED.fullmatch(line)):
            peeled[last] = match.group(1)
        elif not (number == 1 and _HEADER.fullmatch(line)) and (line or number <= text.count("\n")):
            yield PACKED, f"line {number} is not as Git writes it: {line[:60]!r}"
    if not text.endswith("\n"):
        yield PACKED, "its last line is cut off"


def padded_oddly(directory: Path, object_id: str) -> bool:
    """Whether a loose object has padding bits that are not zero (RFC 1951, section 3.2.4): no writer leaves that.

    False for an object in a pack: of a pack every byte is in its checksum.
    """
    path = directory / "objects" / object_id[:2] / object_id[2:]
    if not path.is_file():
        return False
    data = _content(path)
    content = _inflated(data)
    if content is None:
        return False
    return any(_padded(data, place, content) for place in [*_before_stored(data), len(data) - _ADLER - 1])


def _before_stored(data: bytes) -> Iterator[int]:
    """Where a block of stored bytes may begin: its length follows twice, the second time inverted."""
    for place in range(2, len(data) - _ADLER - 4):
        length, inverted = data[place + 1 : place + 3], data[place + 3 : place + 5]
        if int.from_bytes(length, "little") ^ int.from_bytes(inverted, "little") == 0xFFFF:
            yield place


def _padded(data: bytes, place: int, content: bytes) -> bool:
    """Whether a bit is set among those at the top of a byte that do not matter."""
    for bit in reversed(range(8)):
        other = bytearray(data)
        other[place] ^= 1 << bit
        if _inflated(bytes(other)) != content:
            return False
        if data[place] & (1 << bit):
            return True
    return False


def _inflated(data: bytes) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(data)
    except zlib.error:
        return None
    return content if inflater.eof and not inflater.unused_data else None
