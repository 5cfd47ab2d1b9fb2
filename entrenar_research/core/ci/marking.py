"""A line that tells a file of ours, which may be written anew, from one that a person has changed, which may not."""

from __future__ import annotations

import re
from typing import Final

from entrenar_research.core import digests

_MARK: Final = re.compile(
    r"^# Written by `entrenar-research golden ci`; its other lines: (sha256:[0-9a-f]{64})\n", re.MULTILINE
)


def marked(text: str) -> str:
    """The text, of whole lines, with the mark above it, or below a first line that names an interpreter (`#!`)."""
    line = f"# Written by `entrenar-research golden ci`; its other lines: {digests.sha256(text.encode())}\n"
    if text.startswith("#!"):
        first, _, rest = text.partition("\n")
        return f"{first}\n{line}{rest}"
    return line + text


def untouched(text: str) -> bool:
    """Whether `marked` made this text: nobody has changed a line of it."""
    found = _MARK.search(text)
    return found is not None and marked(text[: found.start()] + text[found.end() :]) == text
