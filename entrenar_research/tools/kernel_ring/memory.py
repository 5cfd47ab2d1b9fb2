"""What a stopped thread's calls point to: strings, lists of them, addresses of sockets; and what /proc says of it."""

from __future__ import annotations

import os
import struct

from entrenar_research.tools.kernel_ring import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

_PATH_BYTES: Final = 4096
_PIECE_BYTES: Final = 512
_WORD_BYTES: Final = 257
"""One more than is shown, so that it is known what was cut."""
_MOST_WORDS: Final = 257
_MOST_MESSAGES: Final = 16
_ADDRESS_BYTES: Final = 128
_STAT_BYTES: Final = 64
_HOW_BYTES: Final = 24
_HEADER: Final = struct.Struct("=QI4xQQQQ")  # struct msghdr: name and its length, parts, control data and its length
_MESSAGE_BYTES: Final = 64
_NEGATIVE: Final = 1 << 31
_FEW: Final = 8


def string(tid: int, address: int, most: int = _PATH_BYTES) -> bytes | None:
    """The string at an address, without its NUL; None where there is none."""
    found = b""
    while address and len(found) < most:
        piece = libc.peek(tid, address, min(libc.PAGE - address % libc.PAGE, most - len(found), _PIECE_BYTES))
        end = piece.find(b"\0")
        if end >= 0:
            return found + piece[:end]
        if not piece:
            return None
        found += piece
        address += len(piece)
    return found if address else None


def words(tid: int, address: int) -> bytes | None:
    """The strings in an array that a null pointer ends, each ended by NUL; None where there is none."""
    found: list[bytes] = []
    while address and len(found) < _MOST_WORDS:
        page = libc.peek(tid, address, min(libc.PAGE - address % libc.PAGE, _PIECE_BYTES))
        pointers = struct.unpack(f"={len(page) // 8}Q", page[: len(page) // 8 * 8])
        for pointer in pointers:
            if pointer == 0 or len(found) == _MOST_WORDS:
                return b"".join(word + b"\0" for word in found)
            found.append(string(tid, pointer, _WORD_BYTES) or b"")
        if not pointers:
            return None
        address += len(pointers) * 8
    return b"".join(word + b"\0" for word in found) if address else None


def before(tid: int, kind: str, call: Sequence[int], place: int) -> bytes | None:
    """What an argument points to as a call begins; `call` is its number and arguments, `place` counts the latter."""
    address, following = call[place + 1], call[min(place + 2, 6)]
    if kind == "path":
        return string(tid, address)
    if kind == "str":
        return string(tid, address, _WORD_BYTES)
    if kind == "argv":
        return words(tid, address)
    if kind == "mmsg":
        messages = range(min(following, _MOST_MESSAGES))
        names = [_addressee(tid, address + number * _MESSAGE_BYTES)[0] for number in messages]
        return b"".join(struct.pack("=B", len(name)) + name for name in names)
    return _structure(tid, kind, address, following)


def _structure(tid: int, kind: str, address: int, length: int) -> bytes | None:
    if not address:
        return None
    if kind == "addr":
        return libc.peek(tid, address, min(length, _ADDRESS_BYTES))
    return libc.peek(tid, address, _HOW_BYTES) if kind == "how" else _addressee(tid, address)[0]


def after(tid: int, kind: str, call: Sequence[int], place: int, result: int) -> list[tuple[int, bytes]]:
    """What an argument points to when a call has succeeded: the content (place 0) and, it may be, descriptors (1)."""
    address = call[place + 1]
    if not address:
        return []
    if kind == ">pair":
        pair = libc.peek(tid, address, 8)
        return [(0, _listed(tid, struct.unpack("=2i", pair)))] if len(pair) == 8 else []
    if kind == ">msg":
        name, control = _addressee(tid, address)
        # With control data other processes may have sent descriptors.
        return [(0, name), (1, descriptors(tid))] if control else [(0, name)]
    if kind == ">addr":
        length = libc.peek(tid, call[place + 2], 4)
        size = struct.unpack("=I", length)[0] if len(length) == 4 else 0
    else:
        size = result if kind == ">link" else _STAT_BYTES
    return [(0, libc.peek(tid, address, min(size, _ADDRESS_BYTES if kind == ">addr" else _PATH_BYTES)))]


def _addressee(tid: int, address: int) -> tuple[bytes, int]:
    """The address of a socket in a message's header, and how much control data there is."""
    header = libc.peek(tid, address, _HEADER.size)
    if len(header) < _HEADER.size:
        return b"", 0
    name, length, _, _, _, control = _HEADER.unpack(header)
    return (libc.peek(tid, name, min(length, _ADDRESS_BYTES)) if name else b""), control


def behind(tid: int, number: int) -> bytes | None:
    """What is behind a descriptor; None where it is not open."""
    try:
        return os.readlink(b"/proc/%d/fd/%d" % (tid, number))  # noqa: PTH115 - bytes
    except OSError:
        return None


def directory(tid: int) -> bytes | None:
    """The working directory."""
    try:
        return os.readlink(b"/proc/%d/cwd" % tid)  # noqa: PTH115 - bytes
    except OSError:
        return None


def descriptors(tid: int) -> bytes:
    """All descriptors: number and what is behind, each ended by NUL.

    Since Linux 6.2 the size of the directory is their number: where they are the first ones, it need not be read.
    """
    place = b"/proc/%d/fd" % tid
    try:
        found = [behind(tid, number) for number in range(min(os.stat(place).st_size, _FEW))]
        if 0 < len(found) < _FEW and None not in found:
            return b"".join(b"%d\0%s\0" % pair for pair in enumerate(found))
        names = os.listdir(place)
    except OSError:
        return b""  # it was killed
    return _listed(tid, sorted(map(int, names)))


def _listed(tid: int, numbers: Sequence[int]) -> bytes:
    pairs = ((number, behind(tid, number) or b"") for number in numbers)
    return b"".join(b"%d\0%s\0" % pair for pair in pairs)


def signed(value: int) -> int:
    """The lower half of a register as a signed number."""
    value &= 0xFFFFFFFF
    return value - (value & _NEGATIVE) * 2
