"""Calls as strace -y writes them, from numbers and from what was read at the stops.

Contents that nobody read are `""...`, structures `{...}`, lists `[...]`: strace's own signs for what it leaves out.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from entrenar_research.tools.kernel_ring import log
from entrenar_research.tools.kernel_ring.flags import Flags, octal, signal_name
from entrenar_research.tools.kernel_ring.memory import signed
from entrenar_research.tools.kernel_ring.signatures import AT_EXIT, signatures

_SHOWN: Final = 256
_CLOSING: Final = frozenset({"close", "close_range"})
_CHANGING: Final = frozenset({"unshare", "chdir", "fchdir", "chroot"})
_LONGEST_PATH: Final = 4095
_SPECIAL: Final = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_PLAIN: Final = re.compile(rb"[ !#-\[\]-~]*")
_DELETED: Final = b" (deleted)"
_CURRENT: Final = -100
_WORD: Final = 1 << 64
_MOST_ERRNO: Final = 4095
# Failures that never reach the program: the kernel makes the call again (linux/errno.h).
_RESTARTS: Final = {
    512: "ERESTARTSYS", 513: "ERESTARTNOINTR", 514: "ERESTARTNOHAND", 516: "ERESTART_RESTARTBLOCK",
}  # fmt: skip
_MAKES: Final = 0o100
_TEMPORARY: Final = {"x86_64": 0o20000000, "aarch64": 0o20000000}
_STAT_MODE: Final = {"x86_64": 24, "aarch64": 16}
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16
_LEFT_OUT: Final = {"in": '""...', "arr": "[...]", "st": "{...}"}


class Form(msgspec.Struct, frozen=True, gc=False):
    """A call's name, which of its arguments are descriptors, and what it gives back (`fd`, `x`, `dup`, `fcntl`).

    `before` and `after` say whether its beginning or its end may change what descriptors stand for.
    """

    name: str
    descriptors: tuple[int, ...]
    returns: str
    before: bool
    after: bool


class Moment(msgspec.Struct):
    """One call as it is to be written: what was read of it, and what its descriptors stood for when it began."""

    name: str
    arguments: Sequence[int]
    items: Mapping[int, bytes]
    behind: Mapping[int, bytes | None]
    directory: bytes | None
    failed: bool = False
    result: int | None = None


def escaped(content: bytes, also: bytes = b"") -> str:
    """Bytes as they stand between quotes; `also` are further bytes to write as numbers."""
    if _PLAIN.fullmatch(content) and not any(byte in content for byte in also):
        return content.decode("ascii")
    parts = []
    for place, byte in enumerate(content):
        if byte in _SPECIAL:
            parts.append(_SPECIAL[byte])
        elif 32 <= byte < 127 and byte not in also:
            parts.append(chr(byte))
        else:
            digit_follows = content[place + 1 : place + 2] in (
                b"0",
                b"1",
                b"2",
                b"3",
                b"4",
                b"5",
                b"6",
                b"7",
                b"8",
                b"9",
            )
            parts.append(f"\\{byte:03o}" if digit_follows else f"\\{byte:o}")
    return "".join(parts)


def quoted(content: bytes, most: int | None = _SHOWN) -> str:
    """A string in quotes, cut after `most` bytes."""
    cut = "..." if most is not None and len(content) > most else ""
    return f'"{escaped(content[:most])}"{cut}'


def shown(number: int, behind: bytes | None) -> str:
    """A descriptor with what is behind it, where that is known."""
    if behind is None:
        return str(number)
    gone = behind.endswith(_DELETED) and behind.startswith(b"/")
    path = behind.removesuffix(_DELETED) if gone else behind
    return f"{number}<{escaped(path, b'<>')}>{'(deleted)' if gone else ''}"


def address(value: int) -> str:
    """A pointer."""
    return hex(value) if value else "NULL"


def outcome(value: int) -> tuple[str, str | None]:
    """The result and the errno name of a value that the kernel gave back as a plain number."""
    if -_MOST_ERRNO <= value < 0:
        if -value in _RESTARTS:
            return "?", _RESTARTS[-value]
        return "-1", errno.errorcode.get(-value, f"ERRNO_{-value}")
    return str(value), None


def socket_address(content: bytes) -> str:
    """The address of a socket (sockaddr of a family), in braces."""
    if len(content) < 2:
        return "{...}"
    (family,) = struct.unpack_from("=H", content)
    if family == _UNIX:
        path = content[2:]
        abstract = "@" if path.startswith(b"\0") else ""
        name = path[1:] if abstract else path.split(b"\0")[0]
        return f"{{sa_family=AF_UNIX, sun_path={abstract}{quoted(name, None)}}}" if path else "{sa_family=AF_UNIX}"
    if family == _INET and len(content) >= 8:
        (port,) = struct.unpack_from(">H", content, 2)
        host = ipaddress.IPv4Address(content[4:8])
        return f'{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr("{host}")}}'
    if family == _INET6 and len(content) >= 28:
        port, flow, scope = *struct.unpack_from(">HI", content, 2), *struct.unpack_from("=I", content, 24)
        host6 = ipaddress.IPv6Address(content[8:24])
        return (
            f"{{sa_family=AF_INET6, sin6_port=htons({port}), sin6_flowinfo=htonl({flow}), "
            f'inet_pton(AF_INET6, "{host6}", &sin6_addr), sin6_scope_id={scope}}}'
        )
    if family == _NETLINK and len(content) >= 12:
        pid, groups = struct.unpack_from("=II", content, 4)
        return f"{{sa_family=AF_NETLINK, nl_pid={pid}, nl_groups={groups:08x}}}"
    return "{sa_family=AF_UNSPEC}" if family == 0 else f"{{sa_family={family:#x}}}"


class Notation:
    """Writes the calls of one machine."""

    def __init__(self, machine: str) -> None:
        self.flags = Flags(machine)
        self._signatures = signatures()
        self._mode_at = _STAT_MODE[machine]
        self._temporary = _TEMPORARY[machine]
        self._kinds: dict[str, Callable[[int, Moment], str | None]] = {
            "fd": self._descriptor,
            "dir": self._directory,
            "path": self._path,
            "str": self._string,
            "out": self._filled,
            "argv": self._words,
            "env": lambda place, call: address(call.arguments[place]),
            "how": self._how,
            "addr": self._address,
            ">addr": self._address_after,
            "msg": self._message,
            ">msg": self._message,
            "mmsg": self._messages,
            ">stat": self._stat,
            ">statx": self._statx,
            ">link": self._link,
            ">pair": self._pair,
            "omode": self._mode_of_new,
            "cl": self._clone,
            "proto": self._protocol,
            "sockopt": self._socket_option,
            "dev": self._device,
            "d": _narrow,
            "l": _wide,
            "u": lambda place, call: str(call.arguments[place] & 0xFFFFFFFF),
            "z": lambda place, call: str(call.arguments[place]),
            "x": lambda place, call: address(call.arguments[place]),
            "hex": lambda place, call: hex(call.arguments[place]) if call.arguments[place] else "0",
            "o": lambda place, call: octal(call.arguments[place] & 0xFFFF),
        }

    def form(self, name: str) -> Form:
        """What there is to know of a call by its name."""
        kinds, returns = self._signatures.get(name, ((), ""))
        places = tuple(place for place, kind in enumerate(kinds) if kind in ("fd", "dir"))
        after = name in _CHANGING or bool(returns) or any(kind in AT_EXIT for kind in kinds)
        return Form(name, places, returns, before=name in _CLOSING, after=after)

    def arguments(self, call: Moment) -> str:
        """The arguments of a call, as they stand between its parentheses."""
        if call.name not in self._signatures:
            return ", ".join(map(hex, call.arguments))
        kinds = self._signatures[call.name][0]
        parts = [self._one(kind, place, call) for place, kind in enumerate(kinds) if kind != "gap"]
        return ", ".join(part for part in parts if part is not None)

    def _one(self, kind: str, place: int, call: Moment) -> str | None:
        if kind in self._kinds:
            return self._kinds[kind](place, call)
        value = call.arguments[place]
        if kind[0] == ":":
            wide = kind in (":clone", ":namespaces", ":prot", ":map")
            return self.flags.text(kind[1:], value if wide else value & 0xFFFFFFFF)
        if kind[0] == ">" and (call.failed or call.result is None):
            return address(value)
        return (_LEFT_OUT.get(kind.removeprefix(">"), "{...}")) if value else "NULL"

    def _descriptor(self, place: int, call: Moment) -> str:
        return shown(signed(call.arguments[place]), call.behind.get(place))

    def _directory(self, place: int, call: Moment) -> str:
        number = signed(call.arguments[place])
        if number != _CURRENT:
            return shown(number, call.behind.get(place))
        return "AT_FDCWD" if call.directory is None else f"AT_FDCWD<{escaped(call.directory, b'<>')}>"

    def _path(self, place: int, call: Moment) -> str:
        content = call.items.get(place)
        if content is not None:
            return quoted(content, _LONGEST_PATH)
        # A call that was let pass has an empty path, one that was stopped at an address where nothing is.
        return (
            '""' if call.name in ("newfstatat", "statx") and call.arguments[place] else address(call.arguments[place])
        )

    def _string(self, place: int, call: Moment) -> str:
        content = call.items.get(place)
        return quoted(content) if content is not None else address(call.arguments[place])

    def _filled(self, place: int, call: Moment) -> str:
        value = call.arguments[place]
        return address(value) if call.failed or call.result is None or value == 0 else '""...'

    def _words(self, place: int, call: Moment) -> str:
        content = call.items.get(place)
        if content is None:
            return address(call.arguments[place])
        words = content.split(b"\0")[:-1]
        more = ", ..." if len(words) > _SHOWN else ""
        return f"[{', '.join(quoted(word) for word in words[:_SHOWN])}{more}]"

    def _address(self, place: int, call: Moment) -> str:
        content = call.items.get(place)
        return socket_address(content) if content else address(call.arguments[place])

    def _address_after(self, place: int, call: Moment) -> str:
        content = call.items.get(log.AFTER + place)
        return socket_address(content) if content else address(call.arguments[place])

    def _message(self, place: int, call: Moment) -> str:
        content = call.items.get(place, call.items.get(log.AFTER + place))
        if content is None:
            return address(call.arguments[place])
        named = socket_address(content) if content else "NULL"
        return f"{{msg_name={named}, msg_namelen={len(content)}, ...}}"

    def _messages(self, place: int, call: Moment) -> str:
        content = call.items.get(place)
        if content is None:
            return address(call.arguments[place])
        parts, at = [], 0
        while at < len(content):
            name = content[at + 1 : at + 1 + content[at]]
            parts.append(f"{{msg_hdr={{msg_name={socket_address(name) if name else 'NULL'}, ...}}}}")
            at += 1 + len(name)
        return f"[{', '.join(parts)}]"

    def _how(self, place: int, call: Moment) -> str:
        content = call.items.get(place, b"")
        if len(content) < 24:
            return address(call.arguments[place])
        flags, mode, resolve = struct.unpack("=3Q", content)
        made = f", mode={octal(mode)}" if flags & (_MAKES | self._temporary) else ""
        return f"{{flags={self.flags.open(flags)}{made}, resolve={resolve:#x}}}"

    def _stat(self, place: int, call: Moment) -> str:
        content = call.items.get(log.AFTER + place, b"")
        if len(content) < 56:
            return self._left_out(place, call)
        (mode,) = struct.unpack_from("=I", content, self._mode_at)
        return f"{{st_mode={self.flags.node(mode)}, st_size={struct.unpack_from('=q', content, 48)[0]}, ...}}"

    def _statx(self, place: int, call: Moment) -> str:
        content = call.items.get(log.AFTER + place, b"")
        if len(content) < 48:
            return self._left_out(place, call)
        (mode,) = struct.unpack_from("=H", content, 28)
        size = struct.unpack_from("=Q", content, 40)[0]
        return f"{{stx_mode={self.flags.node(mode)}, stx_size={size}, ...}}"

    def _left_out(self, place: int, call: Moment) -> str:
        value = call.arguments[place]
        return address(value) if call.failed or value == 0 else "{...}"

    def _link(self, place: int, call: Moment) -> str:
        content = call.items.get(log.AFTER + place)
        return quoted(content) if content is not None else address(call.arguments[place])

    def _pair(self, place: int, call: Moment) -> str:
        content = call.items.get(log.AFTER + place)
        if content is None:
            return address(call.arguments[place])
        return f"[{', '.join(shown(number, behind) for number, behind in listed(content))}]"

    def _mode_of_new(self, place: int, call: Moment) -> str | None:
        makes = call.arguments[place - 1] & (_MAKES | self._temporary)
        return octal(call.arguments[place] & 0o7777) if makes else None

    def _clone(self, place: int, call: Moment) -> str:
        content = call.items.get(place, b"")
        if len(content) < 8:
            return "{...}" if call.arguments[place] else "NULL"
        value = struct.unpack("=Q", content)[0]
        flags = self.flags.text("clonebits", value & ~0xFF)
        return f"{{flags={flags}, exit_signal={signal_name(value & 0xFF) if value & 0xFF else 0}, ...}}"

    def _protocol(self, place: int, call: Moment) -> str:
        family = call.arguments[0] & 0xFFFFFFFF
        kind = {_INET: "proto2", _INET6: "proto2", _NETLINK: "proto16"}.get(family, "proto")
        return self.flags.text(kind, call.arguments[place] & 0xFFFFFFFF)

    def _socket_option(self, place: int, call: Moment) -> str:
        level = call.arguments[1] & 0xFFFFFFFF
        return self.flags.text(f"sockopt{level}", call.arguments[place] & 0xFFFFFFFF)

    def _device(self, place: int, call: Moment) -> str | None:
        mode, device = call.arguments[place - 1], call.arguments[place]
        if mode & 0o170000 not in (0o020000, 0o060000):
            return None
        major, minor = device >> 8 & 0xFFF, (device & 0xFF) | (device >> 12 & 0xFFF00)
        return f"makedev({major:#x}, {minor:#x})"


def listed(content: bytes) -> list[tuple[int, bytes]]:
    """The descriptors in an item that lists them."""
    words = content.split(b"\0")[:-1]
    return [(int(number), behind) for number, behind in zip(words[::2], words[1::2], strict=True)]


def _narrow(place: int, call: Moment) -> str:
    return str(signed(call.arguments[place]))


def _wide(place: int, call: Moment) -> str:
    value = call.arguments[place]
    return str(value - _WORD if value >= _WORD // 2 else value)
