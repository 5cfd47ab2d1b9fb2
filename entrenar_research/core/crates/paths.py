"""Paths in a crate and the identifiers that stand for them (RO-Crate 1.1, "Data Entities": relative URIs)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, unquote_to_bytes

METADATA: Final = "ro-crate-metadata.json"
PREVIEW: Final = "ro-crate-preview.html"

_PLAIN = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]*/)*[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LONGEST = 65_535
_LONGEST_PART = 255
_SURELY_SHORT = _LONGEST_PART // 4
_SURROGATE = re.compile("[\ud800-\udfff]")


def path_problem(path: str) -> str | None:
    """Why a file must not be written at this path below a directory, or None if it may.

    Refused are paths that leave the directory on any system: absolute ones, `..`, backslashes, drive letters;
    and those that cannot be written down: NUL and control characters, lone surrogates, names too long.
    """
    if len(path) <= _SURELY_SHORT and _PLAIN.fullmatch(path):
        return None
    parts = path.split("/")
    problems = (
        (not path, "the path is empty"),
        (path.startswith("/"), "the path is absolute: it leaves the bundle"),
        ("\\" in path, "the path has a backslash: it leaves the bundle on some systems"),
        (_DRIVE.match(path), "the path has a drive letter: it leaves the bundle on some systems"),
        (".." in parts, "the path has `..`: it leaves the bundle"),
        (_CONTROL.search(path), "the path has a control character"),
        ("" in parts or "." in parts, "the path is not in its shortest form"),
        (_SURROGATE.search(path), "the path is not valid Unicode"),
    )
    for wrong, detail in problems:
        if wrong:
            return detail
    if len(path) > _SURELY_SHORT and max(len(part.encode()) for part in parts) > _LONGEST_PART:
        return f"the path has a name longer than {_LONGEST_PART} bytes"
    return f"the path is longer than {_LONGEST} bytes" if len(path.encode()) > _LONGEST else None


def collisions(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each path that is there twice, or is at once a file and the directory of another, and what is wrong."""
    seen: set[str] = set()
    directories: set[str] = set()
    listed = list(paths)
    for path in listed:
        if path in seen:
            yield path, "there are two members of this name"
        seen.add(path)
        parent = path.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    for path in sorted(seen & directories):
        yield path, "it is both a file and a directory of other members"


def to_id(path: str, *, directory: bool = False) -> str:
    """The identifier of a path: percent-encoded, directories with `/` at the end."""
    return (path if _PLAIN.fullmatch(path) else quote(path)) + ("/" if directory else "")


def to_path(identifier: str) -> str | None:
    """The path an identifier stands for, or None if it is a web address or a `#` name."""
    if identifier.startswith("#") or _SCHEME.match(identifier):
        return None
    if "%" in identifier:
        identifier = unquote_to_bytes(identifier).decode("utf-8", "backslashreplace")
    return identifier.removeprefix("./")


def shown(text: str) -> str:
    """A name from an unknown hand, safe to print on one line."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", safe[:500])
