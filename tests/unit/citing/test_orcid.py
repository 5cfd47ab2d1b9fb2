import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.citing.orcid import expected_check_digit, parse_orcid
from entrenar_research.errors import UsageError

IN_BLOCK = st.one_of(st.integers(15_000_001, 34_999_999), st.integers(900_000_000_000, 900_099_999_999)).map(
    lambda number: f"{number:015d}"
)


def hyphenated(digits: str) -> str:
    return "-".join(digits[start : start + 4] for start in range(0, 16, 4))


# From ORCID's own pages: Josiah Carberry, Laurel Haak, and one that ends in X.
@pytest.mark.parametrize("bare", ["0000-0002-1825-0097", "0000-0001-5109-3700", "0000-0002-1694-233X"])
@pytest.mark.parametrize(
    "written",
    [
        "{}",
        " {}\n",
        "https://orcid.org/{}",
        "http://orcid.org/{}",
        "https://www.orcid.org/{}/",
        "HTTPS://ORCID.ORG/{}",
    ],
)
def test_accepts_every_written_form(bare: str, written: str) -> None:
    for form in (bare, bare.lower(), bare.replace("-", "")):
        assert parse_orcid(written.format(form)) == bare


@given(IN_BLOCK)
def test_every_number_of_the_blocks_with_its_check_digit_is_accepted(digits: str) -> None:
    bare = hyphenated(digits + expected_check_digit(digits))
    assert parse_orcid(bare) == bare
    assert parse_orcid(f"https://orcid.org/{bare}") == bare


@given(IN_BLOCK, st.integers(0, 15), st.sampled_from("0123456789X"))
def test_one_changed_character_is_always_refused(digits: str, place: int, character: str) -> None:
    right = digits + expected_check_digit(digits)
    wrong = right[:place] + character + right[place + 1 :]
    if wrong == right:
        assert parse_orcid(wrong) == hyphenated(right)
        return
    with pytest.raises(UsageError):
        parse_orcid(wrong)


@given(IN_BLOCK, st.integers(0, 14))
def test_two_neighbours_exchanged_are_always_refused(digits: str, place: int) -> None:
    right = digits + expected_check_digit(digits)
    wrong = right[:place] + right[place + 1] + right[place] + right[place + 2 :]
    if wrong != right:
        with pytest.raises(UsageError):
            parse_orcid(wrong)


@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        bare = parse_orcid(text)
    except UsageError:
        return
    assert len(bare) == 19


def test_a_wrong_check_digit_is_named_with_the_right_one() -> None:
    with pytest.raises(UsageError, match=r"0000-0002-1825-0098: the last character should be 7 .* found 8"):
        parse_orcid("0000-0002-1825-0098")


def test_a_checksum_that_holds_outside_the_blocks_is_refused_by_block() -> None:
    with pytest.raises(UsageError, match=r"0000-0001-2345-6789 lies outside .* 0000-0001-5000-0007") as caught:
        parse_orcid("0000-0001-2345-6789")
    assert "0009-0010-0000-0000" in caught.value.message
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("edge", "accepted"),
    [
        (15000000, True),
        (14999999, False),
        (35000000, True),
        (35000001, False),
        (900000000000, True),
        (899999999999, False),
        (900100000000, True),
        (900100000001, False),
    ],
)
def test_the_blocks_end_where_orcid_says(edge: int, accepted: bool) -> None:
    digits = f"{edge:015d}"
    written = hyphenated(digits + expected_check_digit(digits))
    if accepted:
        assert parse_orcid(written) == written
    else:
        with pytest.raises(UsageError, match="outside"):
            parse_orcid(written)


def test_the_first_number_of_each_block_is_the_documented_one() -> None:
    assert expected_check_digit("000000015000000") == "7"
    assert expected_check_digit("000000035000000") == "1"


@pytest.mark.parametrize("zeros", ["0000-0000-0000-0000", "0000000000000000"])
def test_zeros_are_a_placeholder(zeros: str) -> None:
    with pytest.raises(UsageError, match="placeholder"):
        parse_orcid(zeros)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000-0002-1825-009",
        "0000-0002-1825-00977",
        "0000-0002-18250097",
        "X000-0002-1825-0097",
        "https://example.org/0000-0002-1825-0097",
        "orcid.org/0000-0002-1825-0097",
        "0000-0002-1825-009\u0667",
    ],
)
def test_another_shape_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="such as 0000-0002-1825-0097"):
        parse_orcid(text)


@pytest.mark.parametrize("digits", ["", "12345678901234", "1234567890123456", "12345678901234X", "\u0661" * 15])
def test_a_check_digit_needs_fifteen_digits(digits: str) -> None:
    with pytest.raises(UsageError, match="fifteen"):
        expected_check_digit(digits)
