"""One place, many spellings: `//home/x`, `/usr/../home/x`, `/proc/self/root/home/x`."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from typing import Final

_ODD: Final = re.compile(r"//|/\.\.?(?:/|$)|^/(?:proc|dev)/")
# `root` in a process's directory is where its paths begin.
_ROOT: Final = re.compile(r"/proc/(?:self|thread-self|\d+)(?:/task/\d+)?/root")
# What a link of /proc or /dev leads to is not known; a home directory behind it is seen by its name.
_BEHIND_A_LINK: Final = re.compile(r"/(?:proc|dev)/.*?(?=/home/[^/])", re.DOTALL)


def is_odd(path: str) -> bool:
    """Whether an absolute path may have a plainer spelling."""
    return _ODD.search(path) is not None


def straight(path: str) -> str:
    """An absolute path without `.`, `..` and doubled slashes, from the true root on; links are not followed."""
    *_, last = steps(path)
    found = _BEHIND_A_LINK.match(last)
    return last[found.end() :] if found else last


def steps(path: str) -> Iterator[str]:
    """The places that an absolute path goes through, one after the other, the last one included."""
    at = ""
    for part in path.split("/"):
        if part not in ("", "."):
            if at.startswith("/proc/") and _ROOT.fullmatch(at):
                at = ""
            at = posixpath.dirname(at).rstrip("/") if part == ".." else f"{at}/{part}"
        yield at or "/"
