"""What every citation format promises. A new file in `citations/` is found and held to it."""

import importlib
import pkgutil
import re

import msgspec
import pytest

from entrenar_research import citations
from entrenar_research.citations.port import CitationFormat
from entrenar_research.errors import InvalidFileError
from entrenar_research.models.study import Affiliation, Person, Study

MEMBERS = sorted(module.name for module in pkgutil.iter_modules(citations.__path__) if module.name != "port")

STUDY = Study(
    title="Softmax on digits: 100 % of {it} & more",
    authors=(
        Person(
            given="Josiah",
            family="Carberry",
            suffix="Jr.",
            email="josiah@example.org",
            orcid="0000-0002-1825-0097",
            affiliations=(Affiliation(name="Brown University", ror="https://ror.org/05gq02987"),),
        ),
        Person(given="Anna", particle="van der", family="Berg"),
        Person(given="Élise", family="Ørsted"),
        Person(family="Institute of Softmax"),
    ),
    license="MIT OR Apache-2.0",
    version="1.0.0",
    description="One line.\n\nAnother: line.",
    keywords=("digits", "softmax"),
    released="2026-03-04",
    url="https://example.org/softmax",
    doi="10.5281/zenodo.123",
)
LEAST = Study(title="Softmax", authors=(Person(family="Plato"),), license="MIT")


@pytest.fixture(params=MEMBERS)
def member(request: pytest.FixtureRequest) -> CitationFormat:
    found: CitationFormat = importlib.import_module(f"{citations.__name__}.{request.param}").FORMAT
    assert found.name == request.param
    return found


def test_there_are_members_and_they_write_different_files() -> None:
    assert {"bibtex", "cff"} <= set(MEMBERS)
    formats = [importlib.import_module(f"{citations.__name__}.{name}").FORMAT for name in MEMBERS]
    assert len({found.file_name for found in formats}) == len(formats)


def test_the_file_name_is_a_plain_name(member: CitationFormat) -> None:
    assert member.file_name
    assert member.file_name == member.file_name.strip("./")
    assert "/" not in member.file_name


@pytest.mark.parametrize("study", [STUDY, LEAST], ids=["full", "least"])
def test_a_study_is_rendered_as_one_text_file_the_same_each_time(member: CitationFormat, study: Study) -> None:
    text = member.render(study)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert "\r" not in text
    assert text == text.encode("utf-8").decode("utf-8")
    assert member.render(msgspec.json.decode(msgspec.json.encode(study), type=Study)) == text


def test_every_author_and_what_identifies_the_study_are_named(member: CitationFormat) -> None:
    text = member.render(STUDY)
    for part in ("Carberry", "Josiah", "van der", "Berg", "Anna", "Institute of Softmax"):
        assert part in text
    for part in (
        "Softmax on digits",
        "1.0.0",
        "2026",
        "10.5281/zenodo.123",
        "https://example.org/softmax",
        "Apache-2.0",
    ):
        assert part in text


def test_no_date_is_invented(member: CitationFormat) -> None:
    text = member.render(msgspec.structs.replace(STUDY, released=None))
    assert not re.search(r"(?<![0-9])20[2-9][0-9](?![0-9])", text)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        (msgspec.structs.replace(STUDY, authors=()), "authors"),
        (msgspec.structs.replace(STUDY, authors=(Person(family=" "),)), r"authors\[0\]\.family"),
        (
            msgspec.structs.replace(STUDY, authors=(Person(family="A", orcid="0000-0001-2345-6789"),)),
            r"authors\[0\]\.orcid",
        ),
        (msgspec.structs.replace(STUDY, title=""), "title"),
        (msgspec.structs.replace(STUDY, license="MITT"), "license"),
        (msgspec.structs.replace(STUDY, released="March"), "released"),
        (msgspec.structs.replace(STUDY, doi="10.1"), "doi"),
        (msgspec.structs.replace(STUDY, url="example.org"), "url"),
    ],
)
def test_what_cannot_be_right_is_refused_by_the_key_of_study_yaml(
    member: CitationFormat, changed: Study, key: str
) -> None:
    with pytest.raises(InvalidFileError, match=rf"study\.yaml: {key}"):
        member.render(changed)
