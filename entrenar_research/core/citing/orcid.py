"""ORCID identifiers: the check digit and the numbers that ORCID really issues.

An ORCID iD is an ISNI: fifteen digits and a check character by ISO 7064 MOD 11-2, where X stands for ten.
ORCID owns two blocks of ISNI numbers and issues no other ("Structure of the ORCID Identifier", ORCID support
pages), so a number with the right check digit can still be nobody's.
"""

from __future__ import annotations

import re
from typing import Final

from entrenar_research.errors import UsageError

_WRITTEN: Final = re.compile(
    r"(?:https?://(?:www\.)?orcid\.org/)?([0-9]{4})(-?)([0-9]{4})\2([0-9]{4})\2([0-9]{3}[0-9X])/?",
    re.IGNORECASE,
)
_BLOCKS: Final = (
    ("0000-0001-5000-0007", "0000-0003-5000-0001"),
    ("0009-0000-0000-0000", "0009-0010-0000-0000"),
)
_HINT: Final = "Copy the identifier from the person's page at https://orcid.org."


def expected_check_digit(fifteen_digits: str) -> str:
    """The character that must follow the first fifteen digits: `0` to `9` or `X` (ISO 7064 MOD 11-2).

    Raises:
        UsageError: if the argument is not fifteen digits.
    """
    if not re.fullmatch(r"[0-9]{15}", fifteen_digits):
        raise UsageError(f"an ORCID check digit is computed over fifteen digits, found {fifteen_digits!r}")
    total = 0
    for digit in fifteen_digits:
        total = (total + int(digit)) * 2
    value = (12 - total % 11) % 11
    return "X" if value == 10 else str(value)


def parse_orcid(text: str) -> str:
    """The identifier in its bare form, such as `0000-0002-1825-0097`.

    Accepts the bare form, the form without hyphens, a lower-case `x`, and the address at orcid.org.

    Raises:
        UsageError: if it is not sixteen characters, is a placeholder of zeros, fails the check digit, or
            lies outside the blocks of numbers that ORCID issues.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"ORCID {text!r}: expected four groups of four digits such as 0000-0002-1825-0097, "
            "bare or after https://orcid.org/",
            hint=_HINT,
        )
    bare = "-".join(match.group(1, 3, 4, 5)).upper()
    digits = bare.replace("-", "")
    if not digits.strip("0"):
        raise UsageError(f"ORCID {bare} is a placeholder of zeros, not a person's identifier", hint=_HINT)
    expected = expected_check_digit(digits[:15])
    if digits[15] != expected:
        raise UsageError(
            f"ORCID {bare}: the last character should be {expected} (ISO 7064 MOD 11-2), found {digits[15]}; "
            "one of its characters is mistyped",
            hint=_HINT,
        )
    # The groups have a fixed width, so text compares as the number does. The check digit is no part of it: the
    # end of the second block is printed with one that does not hold.
    if not any(first[:-1] <= bare[:-1] <= last[:-1] for first, last in _BLOCKS):
        blocks = " and ".join(f"{first} to {last}" for first, last in _BLOCKS)
        raise UsageError(f"ORCID {bare} lies outside the numbers that ORCID issues: {blocks}", hint=_HINT)
    return bare
