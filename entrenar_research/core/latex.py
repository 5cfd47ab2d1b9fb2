"""Plain text as LaTeX, for values inside a BibTeX file.

Characters outside ASCII are kept: LaTeX has read UTF-8 by default since 2018, and so do biber and BibTeX.
"""

from __future__ import annotations

import re
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


def escape_latex(text: str) -> str:
    """`text` so that LaTeX prints exactly it, with balanced braces."""
    return _LIGATURE.sub("{}", text.translate(_COMMANDS))


def protect_latex(escaped: str) -> str:
    """`escaped` in a pair of braces that keeps BibTeX from splitting it or changing its case.

    A brace directly before a backslash would start one of BibTeX's "special characters", whose case does
    change; an empty pair stands between them.
    """
    return f"{{{{}}{escaped}}}" if escaped.startswith("\\") else f"{{{escaped}}}"
