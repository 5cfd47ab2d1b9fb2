import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.citations.bibtex import FORMAT, citation_key
from entrenar_research.errors import InvalidFileError
from entrenar_research.models.study import Person, Study

STUDY = Study(title="Softmax on digits", authors=(Person(given="Josiah", family="Carberry"),), license="MIT")


def changed(**changes: Any) -> Study:
    return msgspec.structs.replace(STUDY, **changes)


def test_a_study_is_written_in_a_steady_order() -> None:
    study = Study(
        title="% of Digits & more",
        authors=(
            Person(given="Anna", particle="van der", family="Berg"),
            Person(given="Josiah", family="Carberry", suffix="Jr."),
            Person(family="Softmax & Co"),
        ),
        license="MIT OR LicenseRef-a",
        version="1.0_b",
        released="2026-03-04",
        url="https://example.org/a_b%20c#d",
        doi="10.5281/zenodo.1_2",
    )
    assert (
        FORMAT.render(study)
        == r"""@misc{berg2026digits,
  author = {van der Berg, Anna and Carberry, Jr., Josiah and {Softmax \& Co}},
  title = {{{}\% of Digits \& more}},
  year = {2026},
  month = mar,
  day = {4},
  version = {1.0\_b},
  doi = {10.5281/zenodo.1_2},
  url = {https://example.org/a_b%20c#d},
  note = {Licence: MIT OR LicenseRef-a},
}
"""
    )


def test_no_date_is_invented() -> None:
    text = FORMAT.render(STUDY)
    assert not re.search(r"\b(year|month|day|date)\b", text)
    assert text.startswith("@misc{carberrysoftmax,\n")


@pytest.mark.parametrize(("month", "name"), [("01", "jan"), ("09", "sep"), ("12", "dec")])
def test_the_month_is_an_abbreviation_of_bibtex(month: str, name: str) -> None:
    assert f"  month = {name},\n  day = {{9}},\n" in FORMAT.render(changed(released=f"2026-{month}-09"))


@pytest.mark.parametrize(
    ("family", "title", "released", "key"),
    [
        ("Carberry", "The Title of It", "2026-03-04", "carberry2026title"),
        ("Ørsted", "On “Softmax”", "2026-03-04", "orsted2026softmax"),
        ("Müller-Lüdenscheidt", "A", "2026-03-04", "mullerludenscheidt2026"),
        ("Straße", "L'été", None, "strasselete"),
        ("Łukasiewicz", "3-SAT", None, "lukasiewicz3sat"),
        ("毛", "数字", "2026-03-04", "study2026"),
        ("毛", "数字 digits", None, "digits"),
        ("毛", "数字", None, "study"),
        ("García Márquez", "The and of", None, "garciamarquez"),
    ],
)
def test_the_key_is_made_of_name_year_and_title(family: str, title: str, released: str | None, key: str) -> None:
    assert citation_key(changed(authors=(Person(family=family),), title=title, released=released)) == key


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_any_text_gives_a_balanced_entry_or_a_refusal(title: str, family: str, version: str) -> None:
    try:
        text = FORMAT.render(changed(title=title, authors=(Person(family=family),), version=version))
    except InvalidFileError:
        return
    assert re.match(r"@misc\{[a-z0-9]+,\n", text)
    depth = 0
    for place, character in enumerate(text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth > 0 or place < len("@misc{") or place >= len(text) - 2
    assert depth == 0
    # Nothing in a value reads as the end of the entry or the start of another field.
    assert len(text.splitlines()) == 6
