"""Digital object identifiers."""

from __future__ import annotations

import re
from typing import Final

from entrenar_research.errors import UsageError

# The characters that both Crossref and DataCite recommend and that CFF 1.2.0 can hold.
_WRITTEN: Final = re.compile(
    r"(?:(?:https?://)?(?:dx\.)?doi\.org/|doi:\s*)?(10\.[0-9]{4,9}(?:\.[0-9]+)?/[A-Za-z0-9:/_;\-.()\[\]]+)",
    re.IGNORECASE,
)


def parse_doi(text: str) -> str:
    """The identifier in its bare form, such as `10.5281/zenodo.123`; its case is kept.

    Accepts the bare form, `doi:` before it, and the address at doi.org.

    Raises:
        UsageError: if it is not a DOI.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"DOI {text!r}: expected a prefix and a name such as 10.5281/zenodo.123",
            hint="Copy the DOI from the archive's page; before there is one, leave it out.",
        )
    return match.group(1)
