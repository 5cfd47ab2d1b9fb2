"""Names of experiments for what others called theirs."""

from __future__ import annotations

import re
import unicodedata

_LONGEST = 64


def experiment_name(text: str, otherwise: str) -> str:
    """`text` as the name of an experiment: letters, digits, `-` and `_`, 64 at most; `otherwise` if nothing is left."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9_]+", "-", folded).lstrip("-_")[:_LONGEST].rstrip("-")
    return name or otherwise
