"""What must be true of a study before anybody can cite it, whatever the format."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Final

import msgspec

from entrenar_research.core.citing.doi import parse_doi
from entrenar_research.core.citing.licences import parse_licence
from entrenar_research.core.citing.orcid import parse_orcid
from entrenar_research.core.citing.ror import parse_ror
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.models.study import Affiliation, Person, Study

# What YAML 1.2 (section 5.1) can print, less NEL; BibTeX has no use for more.
_UNPRINTABLE: Final = re.compile(r"[^\t\n\r\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LINE_SPACE: Final = re.compile(r"[ \t\r\n\u2028\u2029]+")
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]{2,}")
# RFC 3986, without user information, IP literals and relative references.
_URL: Final = re.compile(
    r"https?://[A-Za-z0-9.-]+(?::[0-9]+)?(?:[/?](?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
    r"(?:#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)
_HINT: Final = "Correct study.yaml and try again."


def citable_study(study: Study) -> Study:
    """`study` with every value checked and in its normal form.

    Text on one line loses superfluous blanks; the licence, DOI, ORCIDs and ROR addresses get their normal
    form; a keyword given twice is kept once. Nothing is added.

    Raises:
        InvalidFileError: naming the key of `study.yaml` and what is wrong with its value.
    """
    if not study.authors:
        raise _refused("authors", "there is none, and a citation begins with one")
    keywords = (_line(f"keywords[{index}]", keyword) for index, keyword in enumerate(study.keywords))
    return msgspec.structs.replace(
        study,
        title=_line("title", study.title),
        authors=tuple(_author(f"authors[{index}]", person) for index, person in enumerate(study.authors)),
        license=_parsed("license", study.license, parse_licence),
        version=_line("version", study.version),
        description=_text("description", study.description or "") or None,
        keywords=tuple(dict.fromkeys(keywords)),
        released=_date("released", study.released),
        url=_url("url", study.url),
        doi=None if study.doi is None else _parsed("doi", study.doi, parse_doi),
    )


def _author(key: str, person: Person) -> Person:
    def optional(field: str, value: str | None) -> str | None:
        return None if value is None else _line(f"{key}.{field}", value)

    email = optional("email", person.email)
    if email is not None and not _EMAIL.fullmatch(email):
        raise _refused(f"{key}.email", f"{email!r} is no e-mail address")
    return Person(
        family=_line(f"{key}.family", person.family),
        given=optional("given", person.given),
        particle=optional("particle", person.particle),
        suffix=optional("suffix", person.suffix),
        email=email,
        orcid=None if person.orcid is None else _parsed(f"{key}.orcid", person.orcid, parse_orcid),
        affiliations=tuple(
            _affiliation(f"{key}.affiliations[{index}]", affiliation)
            for index, affiliation in enumerate(person.affiliations)
        ),
    )


def _affiliation(key: str, affiliation: Affiliation) -> Affiliation:
    ror = None if affiliation.ror is None else _parsed(f"{key}.ror", affiliation.ror, parse_ror)
    return Affiliation(name=_line(f"{key}.name", affiliation.name), ror=ror)


def _refused(key: str, reason: str) -> InvalidFileError:
    return InvalidFileError(f"study.yaml: {key}: {reason}", hint=_HINT)


def _text(key: str, value: str) -> str:
    found = _UNPRINTABLE.search(value)
    if found is not None:
        raise _refused(key, f"holds the character U+{ord(found[0]):04X}, which no citation file can hold")
    return "\n".join(line.rstrip() for line in value.splitlines()).strip()


def _line(key: str, value: str) -> str:
    line = _LINE_SPACE.sub(" ", _text(key, value)).strip()
    if not line:
        raise _refused(key, "is empty")
    return line


def _parsed(key: str, value: str, parse: Callable[[str], str]) -> str:
    try:
        return parse(value)
    except UsageError as error:
        raise InvalidFileError(f"study.yaml: {key}: {error.message}", hint=error.hint or _HINT) from error


def _date(key: str, value: str | None) -> str | None:
    if value is None:
        return None
    try:
        datetime.date.fromisoformat(value)
    except ValueError as error:
        raise _refused(key, f"{value!r} is no date of the form 2026-03-14") from error
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise _refused(key, f"{value!r} is no date of the form 2026-03-14")
    return value


def _url(key: str, value: str | None) -> str | None:
    if value is not None and not _URL.fullmatch(value):
        raise _refused(
            key,
            f"{value!r} is no web address: expected http:// or https://, and all but ASCII percent-encoded",
        )
    return value
