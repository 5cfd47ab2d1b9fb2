"""How many columns a text takes on a terminal, and cutting it to as many as there are."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Control characters, and those that turn the direction of what follows: they would command the terminal.
_COMMANDS = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
_JOINER = "\u200d"
_EMOJI_STYLE = "\ufe0f"
# Format characters that are seen all the same: the soft hyphen, and Arabic signs that stand before a number.
_SEEN = frozenset("\xad\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")


def visible(text: str) -> str:
    """The text with control characters made visible: a name in somebody's bundle cannot command the terminal."""
    return text if text.isprintable() else re.sub(_COMMANDS, _escape, text)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"


def width(text: str) -> int:
    """The columns that a text takes on a terminal: wide characters two, combining ones none, joined emoji two."""
    if text.isascii():
        return len(text)
    return sum(columns for _, columns in clusters(text))


def cut(text: str, columns: int, ellipsis: str = "…") -> str:
    """The text, or as much of its beginning as fits into `columns` with an ellipsis after it."""
    if len(text) * 2 <= columns or width(text) <= columns:
        return text
    room, kept = columns - len(ellipsis), ""
    for cluster, wide in clusters(text):
        room -= wide
        if room < 0:
            break
        kept += cluster
    return (kept + ellipsis)[: max(columns, 0)] if columns <= len(ellipsis) else kept + ellipsis


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """What a terminal draws in one place, and the columns it takes: a letter with its marks, a joined emoji, a flag."""
    import unicodedata  # needed for text that is not ASCII only

    start, columns, joined = 0, 0, False
    for place, letter in enumerate(text):
        wide = _columns(letter, unicodedata)
        flag = _is_flag(letter) and place - start == 1 and _is_flag(text[start])
        tinted = "\U0001f3fb" <= letter <= "\U0001f3ff" and columns == 2
        if place > start and (wide == 0 or joined or flag or tinted):
            joined = letter == _JOINER and columns == 2
            columns = 2 if flag or (letter == _EMOJI_STYLE and columns == 1) else columns
            continue
        if place > start:
            yield text[start:place], columns
        start, columns, joined = place, wide, False
    if start < len(text):
        yield text[start:], columns


def _columns(letter: str, unicodedata: types.ModuleType) -> int:
    if letter.isascii():
        return 1
    if unicodedata.combining(letter) or (unicodedata.category(letter) in ("Mn", "Me", "Cf") and letter not in _SEEN):
        return 0
    if "\u1160" <= letter <= "\u11ff" or "\ud7b0" <= letter <= "\ud7ff":  # vowels and ends of Korean syllables
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _is_flag(letter: str) -> bool:
    return "\U0001f1e6" <= letter <= "\U0001f1ff"


TYPE_CHECKING = False
if TYPE_CHECKING:
    import types
