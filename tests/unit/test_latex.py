import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.latex import escape_latex, protect_latex

COMMANDS = {
    "textbackslash": "\\",
    "textbraceleft": "{",
    "textbraceright": "}",
    "textasciitilde": "~",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
}


def printed(latex: str) -> str:
    """What LaTeX prints for the few commands that we write."""
    pattern = r"\\([a-z]+)\{\}|\\([&%$#_])|\{\}"
    return re.sub(pattern, lambda match: COMMANDS[match[1]] if match[1] else match[2] or "", latex)


@given(st.text() | st.text(st.sampled_from("\\{}~^<>|&%$#_-'`,!? ab")))
def test_latex_prints_what_went_in(text: str) -> None:
    escaped = escape_latex(text)
    assert printed(escaped) == text
    assert not re.search(r"--|''|``|,,|!`|\?`", escaped)


@given(st.text(st.sampled_from("\\{}%a")))
def test_braces_stay_balanced(text: str) -> None:
    depth = 0
    for character in protect_latex(escape_latex(text)):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0


@pytest.mark.parametrize(
    ("text", "protected"), [("ABC", "{ABC}"), ("% of ABC", r"{{}\% of ABC}"), ("A & B", r"{A \& B}")]
)
def test_protection_begins_no_special_character_of_bibtex(text: str, protected: str) -> None:
    assert protect_latex(escape_latex(text)) == protected
