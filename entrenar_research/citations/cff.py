"""CITATION.cff, the Citation File Format 1.2.0, for GitHub, Zenodo and Zotero.

The top level describes the study itself; there is no `preferred-citation`, which would make readers cite
something else instead. What the format cannot express is said in its `message`, never dropped in silence.
"""

from __future__ import annotations

import io
import re
from typing import Any, Final

from entrenar_research.citations.port import CitationFormat
from entrenar_research.core.citing.cff_licences import CFF_LICENCES
from entrenar_research.core.citing.citable import citable_study
from entrenar_research.core.citing.licences import licence_alternatives, licence_url
from entrenar_research.errors import InvalidFileError
from entrenar_research.models.study import Person, Study

_MESSAGE: Final = "If you use this study, please cite it as below."
# Words that YAML 1.1, which many readers of CFF still speak, takes for booleans or nothing.
_YAML_WORDS: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_PLAIN_MARKS: Final = frozenset(" .,()/_+-")


class Cff:
    """Renders a study as CITATION.cff."""

    name = "cff"
    file_name = "CITATION.cff"

    def render(self, study: Study) -> str:
        """See the port.

        Raises:
            InvalidFileError: also if two authors come out alike, which the format forbids.
        """
        checked = citable_study(study)
        message, licence = _licence(checked.license)
        fields: dict[str, Any] = {
            "cff-version": "1.2.0",
            "message": message,
            "title": checked.title,
            "version": checked.version,
            "type": "software",
            "authors": _authors(checked.authors),
            "abstract": checked.description,
            "keywords": list(checked.keywords),
            **licence,
            "date-released": checked.released,
            "url": checked.url,
            "doi": checked.doi,
        }
        return _yaml({key: value for key, value in fields.items() if value})


def _licence(expression: str) -> tuple[str, dict[str, Any]]:
    """The message and the licence fields.

    `license` holds one id or a list of alternatives, all from the format's own list. A single id that SPDX
    added later goes to `license-url`. Anything else is named in the message: a part of it would be untrue.
    """
    alternatives = licence_alternatives(expression)
    if alternatives and CFF_LICENCES.issuperset(alternatives):
        return _MESSAGE, {"license": alternatives[0] if len(alternatives) == 1 else list(alternatives)}
    if len(alternatives) == 1:
        return _MESSAGE, {"license-url": licence_url(alternatives[0])}
    return f"{_MESSAGE} Its licence is the SPDX expression {expression}.", {}


def _authors(people: tuple[Person, ...]) -> list[dict[str, str]]:
    authors = [_author(person) for person in people]
    for index, (author, person) in enumerate(zip(authors, people, strict=True)):
        if author in authors[:index]:
            raise InvalidFileError(
                f"study.yaml: authors[{index}]: {person.name} is listed twice",
                hint="Remove one, or tell two people of the same name apart by ORCID, affiliation or e-mail.",
            )
    return authors


def _author(person: Person) -> dict[str, str]:
    """A CFF person, or a CFF entity if a name is all that is known: then it may be a group or have one name.

    Only a person can hold an ORCID here, an affiliation, a particle or a suffix. The format takes a single
    affiliation: several are joined by semicolons, and their ROR addresses have no place.
    """
    if not (person.given or person.particle or person.suffix or person.orcid or person.affiliations):
        return {key: value for key, value in (("name", person.family), ("email", person.email)) if value}
    fields = {
        "family-names": person.family,
        "given-names": person.given,
        "name-particle": person.particle,
        "name-suffix": person.suffix,
        "email": person.email,
        "affiliation": "; ".join(affiliation.name for affiliation in person.affiliations),
        "orcid": f"https://orcid.org/{person.orcid}" if person.orcid else None,
    }
    return {key: value for key, value in fields.items() if value}


def _yaml(fields: dict[str, Any]) -> str:
    # Imported here: ruamel.yaml takes 90 ms, which every command would pay.
    from ruamel.yaml import YAML

    writer = YAML()
    writer.allow_unicode = True
    writer.width = 1_000_000
    writer.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    writer.dump(_styled(fields), stream)
    return stream.getvalue()


def _styled(value: Any) -> Any:
    """The same value, each text in a style that readers of YAML 1.1 and 1.2 alike take for just that text."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

    if isinstance(value, dict):
        return {key: item if key == "cff-version" else _styled(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_styled(item) for item in value]
    if re.fullmatch(r"(?:\S[^\t\n]*\n+)+\S[^\t\n]*", value):
        return LiteralScalarString(value)
    return value if _is_plain(value) else DoubleQuotedScalarString(value)


def _is_plain(text: str) -> bool:
    return (
        text[0].isalpha()
        and text[-1] != " "
        and all(character.isalnum() or character in _PLAIN_MARKS for character in text)
        and text.lower() not in _YAML_WORDS
    )


FORMAT: CitationFormat = Cff()
