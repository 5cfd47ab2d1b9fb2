"""The notation of decoded system calls (strace(1)): arguments, strings, descriptors with paths, addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

STRING: Final = r'"(?:[^"\\]|\\.)*"(?:\.\.\.)?'
# The path behind a descriptor, `3</etc/hosts>` or `AT_FDCWD</home>`: strace writes < and > in it as octal.
BEHIND: Final = r"(?<=[\dD])<[^<>]*>"
_SIGN: Final = re.compile(rf"{STRING}|{BEHIND}|[(){{}}\[\]]|, ", re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"(?:\.\.\.)?', re.DOTALL)
_DESCRIPTOR: Final = re.compile(r"(?:(-?\d+)|AT_FDCWD)<([^<>]*)>(?:\(deleted\))?", re.DOTALL)
_STRING_OR_DESCRIPTOR: Final = re.compile(
    r'"(?P<quoted>(?:[^"\\]|\\.)*)"(?:\.\.\.)?|(?:(?P<number>-?\b\d+)|AT_FDCWD)<(?P<path>[^<>]*)>', re.DOTALL
)
_ESCAPE: Final = re.compile(r"\\([0-7]{1,3}|x[0-9a-fA-F]{2}|.)|([^\\]+)", re.DOTALL)
_LETTERS: Final = {"n": b"\n", "t": b"\t", "r": b"\r", "v": b"\v", "f": b"\f", "a": b"\a", "b": b"\b"}
_ADDRESS: Final = re.compile(
    r"sa_family=AF_INET, sin_port=htons\((?P<port4>\d+)\), sin_addr=inet_addr\(\"(?P<ip4>[^\"]*)\"\)"
    r"|sa_family=AF_INET6, sin6_port=htons\((?P<port6>\d+)\),.*?inet_pton\(AF_INET6, \"(?P<ip6>[^\"]*)\""
)


def in_strings_and_descriptors(
    text: str, string: Callable[[str, int], str], behind: Callable[[int | None, str], str]
) -> str:
    """`text` with the content of every string (and its place among them) and every path behind a descriptor replaced.

    What comes back is in the same notation: what stands for a string in quotes, with what it cannot hold escaped.
    """
    place = 0

    def one(found: re.Match[str]) -> str:
        nonlocal place
        if found["quoted"] is not None:
            place += 1
            cut = "..." if found[0].endswith("...") else ""
            return f'"{_escaped(string(_unescape(found["quoted"]), place - 1))}"{cut}'
        number = int(found["number"]) if found["number"] else None
        shown = _escaped(behind(number, _unescape(found["path"]))).replace("<", r"\74").replace(">", r"\76")
        return f"{found['number'] or 'AT_FDCWD'}<{shown}>"

    return _STRING_OR_DESCRIPTOR.sub(one, text)


def split_arguments(text: str) -> list[str]:
    """The arguments of a call: split at commas outside of strings, paths, brackets and braces."""
    if not text:
        return []
    parts, depth, start = [], 0, 0
    for sign in _SIGN.finditer(text):
        mark = sign[0]
        if mark == ", ":
            if depth == 0:
                parts.append(text[start : sign.start()])
                start = sign.end()
        elif mark in "([{":
            depth += 1
        elif mark in ")]}":
            depth -= 1
    parts.append(text[start:])
    return parts


def end_of_arguments(text: str) -> int | None:
    """Where in `text`, which begins after a call's opening parenthesis, the closing one stands."""
    depth = 1
    for sign in _SIGN.finditer(text):
        if sign[0] == "(":
            depth += 1
        elif sign[0] == ")":
            depth -= 1
            if depth == 0:
                return sign.start()
    return None


def unquote(text: str) -> str | None:
    """What a string argument holds, or None if `text` is none; bytes that are no UTF-8 stay escaped."""
    found = _QUOTED.match(text)
    return _unescape(found[1]) if found else None


def descriptor(text: str) -> tuple[int | None, str] | None:
    """The number (None for AT_FDCWD) and path of `3</etc/hosts>`, or None if `text` is nothing like it."""
    found = _DESCRIPTOR.match(text)
    if found is None:
        return None
    return (int(found[1]) if found[1] else None, _unescape(found[2]))


def first_descriptor(arguments: str) -> tuple[int | None, str] | None:
    """The first descriptor with a path among a call's arguments, strings apart."""
    found = descriptor(arguments)
    if found is None and "<" in arguments:
        shown = (descriptor(argument) for argument in split_arguments(arguments))
        found = next((one for one in shown if one is not None), None)
    return found


def internet_addresses(arguments: str) -> list[str]:
    """The IPv4 and IPv6 endpoints in a call's arguments, as `192.0.2.1:80` and `[2001:db8::1]:80`."""
    if "sa_family=AF_INET" not in arguments:
        return []
    found = []
    for match in _ADDRESS.finditer(arguments):
        if match["ip4"] is not None:
            found.append(f"{match['ip4']}:{match['port4']}")
        else:
            found.append(f"[{match['ip6']}]:{match['port6']}")
    return found


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return plain if plain.isascii() and plain.isprintable() else plain.encode("unicode_escape").decode("ascii")


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    plain = b"".join(_piece(*found.groups()) for found in _ESCAPE.finditer(text))
    return plain.decode("utf-8", "backslashreplace")


def _piece(escaped: str | None, plain: str | None) -> bytes:
    if escaped is None:
        return (plain or "").encode()
    if escaped[0] == "x" and len(escaped) == 3:
        return bytes([int(escaped[1:], 16)])
    if escaped[0] in "01234567":
        return bytes([int(escaped, 8) & 0xFF])
    return _LETTERS.get(escaped, escaped.encode())
