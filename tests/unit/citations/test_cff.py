from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from entrenar_research.citations.cff import FORMAT
from entrenar_research.core.citing.citable import citable_study
from entrenar_research.errors import InvalidFileError
from entrenar_research.models.study import Affiliation, Person, Study

CARBERRY = Person(given="Josiah", family="Carberry", orcid="0000-0002-1825-0097")
STUDY = Study(title="Softmax on digits", authors=(CARBERRY,), license="MIT")

# Words and marks that YAML 1.1 or 1.2 reads as something else than text unless they are quoted.
TRAPS = st.sampled_from(
    [
        "yes",
        "No",
        "on",
        "~",
        "null",
        "1.0",
        "1e3",
        "0x1f",
        "012",
        "1:30",
        "2026-03-04",
        "- a",
        "a: b",
        "a #b",
        "# a",
        "'",
        '"',
        "[a]",
        "{a}",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "|",
        ">",
        "---",
        "...",
        "<<",
        "=",
        "a\\n",
        "é",
        "🧪",
        "a:",
        "?",
    ]
)
TEXT = TRAPS | st.text(min_size=1)


def read(text: str, version: tuple[int, int] = (1, 2)) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return yaml.load(text)


def rendered(**changes: Any) -> dict[str, Any]:
    document = read(FORMAT.render(msgspec.structs.replace(STUDY, **changes)))
    assert isinstance(document, dict)
    return document


def test_a_study_is_written_in_a_steady_order() -> None:
    study = Study(
        title="Softmax: on digits",
        authors=(
            msgspec.structs.replace(
                CARBERRY,
                particle="de",
                suffix="Jr.",
                email="j@example.org",
                affiliations=(
                    Affiliation(name="Brown University", ror="https://ror.org/05gq02987"),
                    Affiliation(name="ACME"),
                ),
            ),
            Person(family="Institute of Softmax"),
        ),
        license="MIT OR Apache-2.0",
        version="1.0",
        description="First line\nsecond line",
        keywords=("digits", "yes"),
        released="2026-03-04",
        url="https://example.org",
        doi="10.5281/zenodo.123",
    )
    assert (
        FORMAT.render(study)
        == """\
cff-version: 1.2.0
message: If you use this study, please cite it as below.
title: "Softmax: on digits"
version: "1.0"
type: software
authors:
  - family-names: Carberry
    given-names: Josiah
    name-particle: de
    name-suffix: Jr.
    email: "j@example.org"
    affiliation: "Brown University; ACME"
    orcid: "https://orcid.org/0000-0002-1825-0097"
  - name: Institute of Softmax
abstract: |-
  First line
  second line
keywords:
  - digits
  - "yes"
license:
  - MIT
  - Apache-2.0
date-released: "2026-03-04"
url: "https://example.org"
doi: "10.5281/zenodo.123"
"""
    )


def test_what_is_not_known_is_left_out() -> None:
    assert list(rendered()) == ["cff-version", "message", "title", "version", "type", "authors", "license"]


@given(TEXT, TEXT, TEXT, st.lists(TEXT, max_size=3), TEXT, TEXT)
def test_every_reader_of_yaml_gets_the_same_text_back(
    title: str, version: str, family: str, keywords: list[str], affiliation: str, description: str
) -> None:
    author = msgspec.structs.replace(CARBERRY, family=family, affiliations=(Affiliation(name=affiliation),))
    study = Study(
        title=title,
        version=version,
        authors=(author,),
        license="MIT",
        keywords=tuple(keywords),
        description=description,
        released="2026-03-04",
    )
    try:
        expected = citable_study(study)
    except InvalidFileError:
        assume(False)
    text = FORMAT.render(study)
    for yaml_version in ((1, 1), (1, 2)):
        found = read(text, yaml_version)
        assert found["title"] == expected.title
        assert found["version"] == expected.version
        assert found["authors"][0]["family-names"] == expected.authors[0].family
        assert found["authors"][0]["affiliation"] == expected.authors[0].affiliations[0].name
        assert found.get("keywords", []) == list(expected.keywords)
        assert found.get("abstract") == expected.description
        assert found["date-released"] == "2026-03-04"
        assert found["cff-version"] == "1.2.0"


@given(st.lists(st.lists(TEXT, min_size=1, max_size=3).map(" ".join), min_size=2, max_size=5).map("\n".join))
def test_a_text_of_several_lines_comes_back(description: str) -> None:
    study = msgspec.structs.replace(STUDY, description=description)
    try:
        expected = citable_study(study).description
    except InvalidFileError:
        assume(False)
    for yaml_version in ((1, 1), (1, 2)):
        assert read(FORMAT.render(study), yaml_version).get("abstract") == expected


def test_text_stays_readable_outside_ascii() -> None:
    text = FORMAT.render(
        msgspec.structs.replace(STUDY, title="Études: 毛 🧪", authors=(Person(given="Élise", family="Ørsted"),))
    )
    assert "Études: 毛 🧪" in text
    assert "family-names: Ørsted" in text


@pytest.mark.parametrize(
    ("person", "author"),
    [
        (Person(family="Plato"), {"name": "Plato"}),
        (Person(family="ACME", email="a@acme.org"), {"name": "ACME", "email": "a@acme.org"}),
        (
            Person(family="Plato", orcid="0000-0002-1825-0097"),
            {"family-names": "Plato", "orcid": "https://orcid.org/0000-0002-1825-0097"},
        ),
        (
            Person(family="Plato", affiliations=(Affiliation(name="Akademeia"),)),
            {"family-names": "Plato", "affiliation": "Akademeia"},
        ),
        (Person(family="Gogh", particle="van"), {"family-names": "Gogh", "name-particle": "van"}),
    ],
)
def test_a_name_alone_is_an_entity_and_anything_more_a_person(person: Person, author: dict[str, str]) -> None:
    assert rendered(authors=(person,))["authors"] == [author]


@pytest.mark.parametrize(
    ("licence", "fields"),
    [
        ("mit", {"license": "MIT"}),
        ("MIT OR MIT", {"license": "MIT"}),
        ("MIT OR (ISC OR Apache-2.0)", {"license": ["MIT", "ISC", "Apache-2.0"]}),
        ("BSD-2-Clause-Darwin", {"license-url": "https://spdx.org/licenses/BSD-2-Clause-Darwin"}),
        ("MIT OR BSD-2-Clause-Darwin", {}),
        ("MIT AND CC-BY-4.0", {}),
        ("Apache-2.0 WITH LLVM-exception", {}),
        ("EPL-1.0+", {}),
        ("LicenseRef-lab", {}),
    ],
)
def test_a_licence_is_given_where_it_can_be_and_named_in_the_message_otherwise(
    licence: str, fields: dict[str, Any]
) -> None:
    document = rendered(license=licence)
    assert {key: value for key, value in document.items() if key.startswith("license")} == fields
    assert document["message"].endswith(f"SPDX expression {licence}.") is not bool(fields)


def test_two_authors_that_come_out_alike_are_refused() -> None:
    twins = (Person(given="Wei", family="Wang"), CARBERRY, Person(given="Wei", family="Wang"))
    with pytest.raises(InvalidFileError, match=r"study\.yaml: authors\[2\]: Wei Wang is listed twice"):
        FORMAT.render(msgspec.structs.replace(STUDY, authors=twins))
    told_apart = (*twins[:2], msgspec.structs.replace(twins[2], email="w@example.org"))
    assert len(rendered(authors=told_apart)["authors"]) == 3
