import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.citing.doi import parse_doi
from entrenar_research.errors import UsageError


@pytest.mark.parametrize("bare", ["10.5281/zenodo.123", "10.1000.10/Ab-C_(1)[2];3", "10.1016/S0140-6736(05)71146-6"])
@pytest.mark.parametrize(
    "written", ["{}", " {}", "doi:{}", "DOI: {}", "doi.org/{}", "https://doi.org/{}", "http://dx.doi.org/{}"]
)
def test_accepts_every_written_form_and_keeps_the_case(bare: str, written: str) -> None:
    assert parse_doi(written.format(bare)) == bare


@pytest.mark.parametrize(
    "text", ["", "10.5281", "10.5281/", "11.5281/x", "10.52/x", "10.5281/a b", "10.5281/{x}", "10.5281/é"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"such as 10\.5281/zenodo\.123"):
        parse_doi(text)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        doi = parse_doi(text)
    except UsageError:
        return
    assert doi.startswith("10.")
