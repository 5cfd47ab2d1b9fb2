import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.citing.latex import escape_latex, protect_latex, spell_latex

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


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("Élise", r"{\'{E}}lise"),
        ("E\u0301lise", r"{\'{E}}lise"),
        ("Ørsted & Łoś", r"{\O}rsted \& {\L}o{\'{s}}"),
        ("Straße", r"Stra{\ss}e"),
        ("Šmíd Çelik Åå", r"{\v{S}}m{\'{i}}d {\c{C}}elik {\r{A}}{\r{a}}"),
        ("Nguyễn 毛 Пётр đ ≠", "Nguyễn 毛 Пётр đ ≠"),
        ("plain ~", r"plain \textasciitilde{}"),
    ],
)
def test_latin_letters_are_spelt_with_plain_commands(text: str, spelt: str) -> None:
    assert spell_latex(text) == spelt


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
