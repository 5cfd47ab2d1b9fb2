"""A BibTeX entry that classic BibTeX, biber, pybtex and bibtexparser read alike.

It is a `@misc`: the styles of classic BibTeX know neither `@software` nor `@dataset`, and biber's data model
has every field used here for it. The date is `year`, `month` and `day` rather than biblatex's `date`: classic
styles print the first two, and biber puts the three together again.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from entrenar_research.citations.port import CitationFormat
from entrenar_research.core.citing.citable import citable_study
from entrenar_research.core.citing.latex import escape_latex, protect_latex, spell_latex
from entrenar_research.core.citing.person_names import format_bibtex_name
from entrenar_research.models.study import Study

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_STOP_WORDS: Final = frozenset({"a", "an", "and", "at", "for", "from", "in", "of", "on", "the", "to", "with"})
# Letters that Unicode does not decompose into an ASCII letter and a mark.
_ASCII: Final = str.maketrans(
    {
        "ß": "ss",
        "æ": "ae",
        "œ": "oe",
        "ø": "o",
        "đ": "d",
        "ð": "d",
        "þ": "th",
        "ł": "l",
        "\u0131": "i",
        "ħ": "h",
    }
)


class Bibtex:
    """Renders a study as one BibTeX entry."""

    name = "bibtex"
    file_name = "CITATION.bib"

    def render(self, study: Study) -> str:
        """See the port. Without `released` there is no year: none is invented."""
        checked = citable_study(study)
        fields = {
            "author": _braced(" and ".join(format_bibtex_name(person, spell_latex) for person in checked.authors)),
            "title": _braced(protect_latex(escape_latex(checked.title))),
            **_date(checked.released),
            "version": _braced(escape_latex(checked.version)),
            "doi": _braced(checked.doi) if checked.doi else "",
            "url": _braced(checked.url) if checked.url else "",
            "note": _braced(f"Licence: {escape_latex(checked.license)}"),
        }
        lines = [f"  {name} = {value},\n" for name, value in fields.items() if value]
        return f"@misc{{{citation_key(checked)},\n{''.join(lines)}}}\n"


def citation_key(study: Study) -> str:
    """A key such as `carberry2026softmax`: first author's family name, year, first telling word of the title.

    It is in lower-case ASCII. A part without ASCII letters or digits is left out; `study` stands for the name
    and the word if both are.
    """
    words = (_ascii(word) for word in study.title.split())
    word = next((word for word in words if word and word not in _STOP_WORDS), "")
    year = study.released[:4] if study.released else ""
    name = _ascii(study.authors[0].family)
    return f"{name}{year}{word}" if name or word else f"study{year}"


def _ascii(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text.lower().translate(_ASCII))
    return re.sub(r"[^a-z0-9]", "", folded)


def _date(released: str | None) -> dict[str, str]:
    """The parts of an ISO 8601 date; the month is one of BibTeX's own abbreviations, without braces."""
    if released is None:
        return {}
    year, month, day = released.split("-")
    return {"year": _braced(year), "month": _MONTHS[int(month) - 1], "day": _braced(str(int(day)))}


def _braced(value: str) -> str:
    return f"{{{value}}}"


FORMAT: CitationFormat = Bibtex()
