"""Identifiers of the Research Organization Registry (ROR).

A ROR identifier is nine characters: `0`, six of Crockford's base 32 (no i, l, o, u), and two check digits by
ISO 7064 MOD 97-10 over the number that the first seven stand for (ROR documentation, "ROR identifier
pattern").
"""

from __future__ import annotations

import re
from typing import Final

from entrenar_research.errors import UsageError

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_WRITTEN: Final = re.compile(rf"(?:(?:https?://)?(?:www\.)?ror\.org/)?(0[{_ALPHABET}]{{6}})([0-9]{{2}})/?", re.ASCII)
_HINT: Final = "Look the organisation up at https://ror.org and copy its address."


def expected_check_digits(first_seven: str) -> str:
    """The two digits that must follow the first seven characters, `02` to `98` (ISO 7064 MOD 97-10).

    Raises:
        UsageError: if the argument is not seven lower-case characters of the alphabet.
    """
    if not re.fullmatch(rf"[{_ALPHABET}]{{7}}", first_seven):
        raise UsageError(f"ROR check digits are computed over seven characters, found {first_seven!r}")
    number = 0
    for character in first_seven:
        number = number * 32 + _ALPHABET.index(character)
    return f"{98 - number * 100 % 97:02d}"


def parse_ror(text: str) -> str:
    """The identifier as its full address, such as `https://ror.org/05dxps055`.

    Accepts the bare nine characters and the address, in any case.

    Raises:
        UsageError: if it has another shape or its check digits are wrong.
    """
    match = _WRITTEN.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(
            f"ROR identifier {text!r}: expected an address such as https://ror.org/05dxps055 "
            "(a zero, six letters or digits without i, l, o, u, then two check digits)",
            hint=_HINT,
        )
    first_seven, found = match.groups()
    expected = expected_check_digits(first_seven)
    if found != expected:
        raise UsageError(
            f"ROR identifier {first_seven}{found}: the last two digits should be {expected} "
            f"(ISO 7064 MOD 97-10), found {found}; one of its characters is mistyped",
            hint=_HINT,
        )
    return f"https://ror.org/{first_seven}{found}"
