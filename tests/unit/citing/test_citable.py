from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.citing.citable import citable_study
from entrenar_research.errors import InvalidFileError
from entrenar_research.models.study import Affiliation, Person, Study

STUDY = Study(
    title="Softmax on digits",
    authors=(Person(given="Josiah", family="Carberry", orcid="0000-0002-1825-0097"),),
    license="MIT",
)


def with_author(**changes: Any) -> Study:
    return msgspec.structs.replace(STUDY, authors=(msgspec.structs.replace(STUDY.authors[0], **changes),))


def test_a_plain_study_stays_as_it_is() -> None:
    assert citable_study(STUDY) == STUDY


def test_values_get_their_normal_form() -> None:
    affiliations = (Affiliation(name=" Brown  University", ror="05gq02987"),)
    person = Person(family="Carberry ", orcid="https://orcid.org/000000021825009" + "7", affiliations=affiliations)
    study = Study(
        title=" Softmax\n on   digits ",
        authors=(person,),
        license="mit OR apache-2.0",
        keywords=("b", "a ", "b"),
        description="One \r\nline\n\nand another\n",
        doi="https://doi.org/10.5281/zenodo.123",
    )
    assert citable_study(study) == Study(
        title="Softmax on digits",
        authors=(
            Person(
                family="Carberry",
                orcid="0000-0002-1825-0097",
                affiliations=(Affiliation(name="Brown University", ror="https://ror.org/05gq02987"),),
            ),
        ),
        license="MIT OR Apache-2.0",
        keywords=("b", "a"),
        description="One\nline\n\nand another",
        doi="10.5281/zenodo.123",
    )


@pytest.mark.parametrize("description", ["", " \n", None])
def test_an_empty_description_is_none(description: str | None) -> None:
    assert citable_study(msgspec.structs.replace(STUDY, description=description)).description is None


def test_a_space_that_must_not_break_is_kept() -> None:
    assert citable_study(msgspec.structs.replace(STUDY, title="100\u00a0% ?")).title == "100\u00a0% ?"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"authors": ()}, "authors: there is none"),
        ({"title": " \n"}, "title: is empty"),
        ({"title": "a\x00b"}, r"title: holds the character U\+0000"),
        ({"title": "a\ud800b"}, r"title: holds the character U\+D800"),
        ({"description": "a\x1b[0m"}, r"description: holds the character U\+001B"),
        ({"version": ""}, "version: is empty"),
        ({"license": "MITT"}, "license: .*'MITT' is not an SPDX id"),
        ({"keywords": ("a", " ")}, r"keywords\[1\]: is empty"),
        ({"released": "2026-02-30"}, "released: '2026-02-30' is no date"),
        ({"released": "20260230"}, "released: '20260230' is no date"),
        ({"released": "20260228"}, "released: '20260228' is no date"),
        ({"released": "2026-W09-6"}, "released: '2026-W09-6' is no date"),
        ({"released": "2026-02-28\n"}, "released: .* is no date"),
        ({"released": "2026"}, "released: '2026' is no date"),
        ({"released": ""}, "released: '' is no date"),
        ({"url": "example.org"}, "url: 'example.org' is no web address"),
        ({"url": "ftp://example.org"}, "url: .* is no web address"),
        ({"url": "https://example.org/a b"}, "url: .* is no web address"),
        ({"url": "https://example.org/{a}"}, "url: .* is no web address"),
        ({"url": "https://example.org/é"}, "url: .* percent-encoded"),
        ({"url": "https://example.org/%zz"}, "url: .* is no web address"),
        ({"url": "https://example.org/#a#b"}, "url: .* is no web address"),
        ({"doi": "zenodo.123"}, "doi: DOI 'zenodo.123'"),
        ({"doi": ""}, "doi: DOI ''"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidFileError, match=rf"^study\.yaml: {key}") as caught:
        citable_study(msgspec.structs.replace(STUDY, **changes))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"family": ""}, "family: is empty"),
        ({"given": " "}, "given: is empty"),
        ({"particle": ""}, "particle: is empty"),
        ({"suffix": ""}, "suffix: is empty"),
        ({"email": "nobody"}, "email: 'nobody' is no e-mail address"),
        ({"orcid": "0000-0002-1825-0098"}, "orcid: .* should be 7 .* found 8"),
        ({"orcid": "0000-0001-2345-6789"}, "orcid: .* lies outside"),
        ({"affiliations": (Affiliation(name=""),)}, r"affiliations\[0\]\.name: is empty"),
        (
            {"affiliations": (Affiliation(name="B", ror="05gq02988"),)},
            r"affiliations\[0\]\.ror: .* should be 87",
        ),
    ],
)
def test_a_wrong_value_of_an_author_is_refused_by_its_key(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidFileError, match=rf"^study\.yaml: authors\[0\]\.{key}"):
        citable_study(with_author(**changes))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "http://a.b:8080/c?d=e&f=%20#g",
        "https://example.org?x",
        "https://example.org/~a/(b)",
    ],
)
def test_web_addresses_are_kept(url: str) -> None:
    assert citable_study(msgspec.structs.replace(STUDY, url=url)).url == url


@given(st.text(), st.text(), st.text(), st.lists(st.text(), max_size=2), st.text(), st.text())
def test_checking_twice_changes_nothing(
    title: str, family: str, description: str, keywords: list[str], released: str, url: str
) -> None:
    study = Study(
        title=title,
        authors=(Person(family=family),),
        license="MIT",
        description=description,
        keywords=tuple(keywords),
    )
    for candidate in (
        study,
        msgspec.structs.replace(study, released=released),
        msgspec.structs.replace(study, url=url),
    ):
        try:
            once = citable_study(candidate)
        except InvalidFileError:
            continue
        assert citable_study(once) == once
