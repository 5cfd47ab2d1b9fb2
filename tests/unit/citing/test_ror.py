import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.citing.ror import expected_check_digits, parse_ror
from entrenar_research.errors import UsageError

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
FIRST_SEVEN = st.text(st.sampled_from(ALPHABET), min_size=6, max_size=6).map(lambda text: f"0{text}")

# Caltech, California Digital Library, DataCite, Brown University, CERN.
KNOWN = ["05dxps055", "03yrm5c26", "04wxnsj81", "05gq02987", "01ggx4157"]


@pytest.mark.parametrize("bare", KNOWN)
@pytest.mark.parametrize(
    "written", ["{}", "ror.org/{}", "http://ror.org/{}", "https://ror.org/{}/", " https://www.ror.org/{}"]
)
def test_accepts_every_written_form(bare: str, written: str) -> None:
    assert parse_ror(written.format(bare)) == f"https://ror.org/{bare}"
    assert parse_ror(written.format(bare).upper()) == f"https://ror.org/{bare}"


@given(FIRST_SEVEN)
def test_check_digits_make_the_number_one_modulo_97(first_seven: str) -> None:
    digits = expected_check_digits(first_seven)
    number = 0
    for character in first_seven:
        number = number * 32 + ALPHABET.index(character)
    assert (number * 100 + int(digits)) % 97 == 1
    assert parse_ror(first_seven + digits) == f"https://ror.org/{first_seven}{digits}"


@given(FIRST_SEVEN, st.integers(1, 6), st.sampled_from(ALPHABET))
def test_one_changed_character_is_always_refused(first_seven: str, place: int, character: str) -> None:
    wrong = first_seven[:place] + character + first_seven[place + 1 :]
    if wrong != first_seven:
        with pytest.raises(UsageError, match="should be"):
            parse_ror(wrong + expected_check_digits(first_seven))


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        address = parse_ror(text)
    except UsageError:
        return
    assert address.startswith("https://ror.org/0")


def test_wrong_check_digits_are_named_with_the_right_ones() -> None:
    with pytest.raises(UsageError, match=r"05dxps056: the last two digits should be 55 .* found 56"):
        parse_ror("https://ror.org/05dxps056")


@pytest.mark.parametrize("text", ["", "15dxps055", "05dxps05", "05dxps0555", "05dxpi055", "https://grid.ac/05dxps055"])
def test_another_shape_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"such as https://ror\.org/05dxps055"):
        parse_ror(text)


@pytest.mark.parametrize("text", ["", "05dxps", "05dxps0x", "05dxpi0"])
def test_check_digits_need_seven_characters_of_the_alphabet(text: str) -> None:
    with pytest.raises(UsageError, match="seven"):
        expected_check_digits(text)
