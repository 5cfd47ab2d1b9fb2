"""What a pickle would import: its opcodes are read, never carried out.

Unpickling calls whatever the pickle names, so a model in such a format can run any program. The list of names says
what it is made of; it is no proof of harmlessness, since names can be put together while it is unpickled.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

PROTOCOL = 0x80
_MOST_OPCODES = 2_000_000
_TEXT = frozenset(
    ("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINSTRING", "BINSTRING", "STRING")
)
_PUT = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GET = frozenset(("GET", "BINGET", "LONG_BINGET"))
UNKNOWN = "a name that is put together while unpickling"


class Pickled(msgspec.Struct, frozen=True, kw_only=True):
    """The names that a pickle imports, sorted. `whole` is false if it does not end as a pickle, or is too long."""

    names: tuple[str, ...]
    whole: bool


def looks_like(start: bytes) -> bool:
    """Whether a file that begins so is a pickle of protocol 2 or newer, or the text of an older one."""
    if start[:1] == bytes([PROTOCOL]):
        return start[1:2] in (b"\2", b"\3", b"\4", b"\5")
    return start[:1] in (b"(", b"c", b"]", b"}")


def names(stream: BinaryIO) -> Pickled:
    """Every name that the pickle at the stream's position imports; the stream is then behind it.

    Text is followed through stack and memo, so that a name whose parts are recalled is found as well.
    """
    found: set[str] = set()
    machine = _Machine()
    whole = False
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            found.update(machine.step(opcode, argument))
            whole = opcode.name == "STOP"
            if count > _MOST_OPCODES:
                break
    except (ValueError, OverflowError, IndexError, UnicodeError, MemoryError):
        whole = False
    return Pickled(names=tuple(sorted(found)), whole=whole)


class _Machine:
    """The stack and memo of an unpickler that keeps text and forgets everything else (None)."""

    def __init__(self) -> None:
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def step(self, opcode: pickletools.OpcodeInfo, argument: object) -> Iterator[str]:
        """Takes one opcode; the name it imports, if it is one that does."""
        name = opcode.name
        if name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".")
        elif name == "STACK_GLOBAL":
            parts = [item for item in self.stack[-2:] if isinstance(item, str)]
            yield ".".join(parts) if len(parts) == 2 else UNKNOWN
        elif name.startswith("EXT"):
            yield f"{UNKNOWN} (extension {argument})"
        self._move(opcode, argument)

    def _move(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        name = opcode.name
        if name in _PUT or name == "MEMOIZE":
            key = len(self.memo) if name == "MEMOIZE" else int(str(argument))
            self.memo[key] = self.stack[-1] if self.stack else None
            return
        if name == "DUP":
            self.stack.append(self.stack[-1] if self.stack else None)
            return
        self._take(opcode)
        if name in _TEXT:
            self.stack.append(argument)
        elif name in _GET:
            self.stack.append(self.memo.get(int(str(argument))))
        else:
            self.stack += [pickletools.markobject if item is pickletools.markobject else None
                           for item in opcode.stack_after]  # fmt: skip

    def _take(self, opcode: pickletools.OpcodeInfo) -> None:
        """Removes what the opcode consumes: down to the last mark where it takes all that lies above one."""
        wanted = list(opcode.stack_before)
        if pickletools.markobject in wanted:
            while self.stack and self.stack.pop() is not pickletools.markobject:
                pass
            wanted = wanted[: wanted.index(pickletools.markobject)]
        for _ in wanted:
            if self.stack:
                self.stack.pop()
