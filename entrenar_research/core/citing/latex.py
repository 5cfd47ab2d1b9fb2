"""Plain text as LaTeX, for values inside a BibTeX file.

LaTeX has read UTF-8 by default since 2018, and so does biber. Classic BibTeX passes it through, but cuts bytes:
the initial of "Élise" becomes half a character that LaTeX stops at. `spell_latex` is for what it may cut.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

# A brace that is only escaped still counts for BibTeX, so braces and backslashes become commands.
_COMMANDS: Final = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "{": r"\textbraceleft{}",
        "}": r"\textbraceright{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
    }
)
# Two of these side by side are drawn as one other character: dashes, curly quotes, inverted marks.
_LIGATURE: Final = re.compile(r"(?<=[-'`,!?])(?=[-'`,])")
# Combining marks and the accent commands of plain LaTeX, which need no package and no font encoding.
_ACCENTS: Final = {
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
    "\u0331": "b",
}
_LETTERS: Final = {
    "ß": "ss",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
}


def escape_latex(text: str) -> str:
    """`text` so that LaTeX prints exactly it, with balanced braces."""
    return _LIGATURE.sub("{}", text.translate(_COMMANDS))


def spell_latex(text: str) -> str:
    r"""As `escape_latex`, and accented Latin letters as BibTeX's "special characters": `{\'{E}}lise`.

    Letters that plain LaTeX has no command for stay as they are: two accents on one, other scripts.
    """
    return "".join(_spelt(character) for character in escape_latex(unicodedata.normalize("NFC", text)))


def _spelt(character: str) -> str:
    if character in _LETTERS:
        return f"{{\\{_LETTERS[character]}}}"
    parts = unicodedata.normalize("NFD", character)
    if len(parts) != 2 or not parts[0].isascii() or parts[1] not in _ACCENTS:
        return character
    return f"{{\\{_ACCENTS[parts[1]]}{{{parts[0]}}}}}"


def protect_latex(escaped: str) -> str:
    """`escaped` in a pair of braces that keeps BibTeX from splitting it or changing its case.

    A brace directly before a backslash would start one of BibTeX's "special characters", whose case does
    change; an empty pair stands between them.
    """
    return f"{{{{}}{escaped}}}" if escaped.startswith("\\") else f"{{{escaped}}}"
