"""Names of people, between one line of text and the parts of a `Person`.

The forms are BibTeX's ("BibTeXing", section 4): `Given Family`, `Family, Given`, `Family, Suffix, Given`.
Words in lower case before the family name are its particle ("van der"). In the form without a comma the
family name is the last word, or all that follows a particle, so **a family name of two words needs the comma
form** (`García Márquez, Gabriel`), and so does a name whose family part comes first (`毛, 泽东`). Braces hold
words together: `{Institute of Applied Softmax}` is one family name, and thereby the name of a group.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from entrenar_research.errors import UsageError
from entrenar_research.models.study import Person

_EMAIL: Final = re.compile(r"[^\s@<>]+@[^\s@<>]+\.[^\s@<>]{2,}")
_WITH_EMAIL: Final = re.compile(r"(.*?)\s*<([^<>]*)>", re.DOTALL)
# These join the two halves of a family name: Ortega y Gasset, Eça e Queirós, Pi i Margall.
_JOINING: Final = frozenset({"y", "e", "i"})
_EMAIL_FORM: Final = "Write: Name <user@host.org>"
_FORMS: Final = 'Write "Given Family", "Family, Given" or "Family, Suffix, Given", one author at a time'


def parse_author(text: str) -> Person:
    """The person that `text` names, optionally followed by ` <email>`.

    A single word is a family name without a given name.

    Raises:
        UsageError: if there is no family name, an empty or a fourth part between commas, an unmatched brace,
            a second author after "and", or an e-mail address that is none.
    """
    name, email = _split_email(text)
    if not _balanced(name):
        raise UsageError(f"author {text!r}: a brace without its counterpart", hint=f"{_FORMS}.")
    parts = [_pieces(part, str.isspace) for part in _pieces(name, ",".__eq__, keep_empty=True)]
    if len(parts) > 3:
        raise UsageError(f"author {text!r}: more than two commas", hint=f"{_FORMS}.")
    if not all(_without_braces(part) for part in parts):
        where = "the name is empty" if len(parts) == 1 else "nothing stands on one side of a comma"
        raise UsageError(f"author {text!r}: {where}", hint=f"{_FORMS}.")
    if any(word.casefold() == "and" for part in parts for word in part):
        raise UsageError(f'author {text!r}: "and" separates two authors', hint=f"{_FORMS}; or use {{and}}.")
    if len(parts) == 1:
        given, particle, family = _split_plain(parts[0])
    else:
        given = parts[-1]
        particle, family = _split_leading_particle(parts[0])
    return Person(
        family=_without_braces(family),
        given=_without_braces(given) or None,
        particle=_without_braces(particle) or None,
        suffix=_without_braces(parts[1]) if len(parts) == 3 else None,
        email=email,
    )


def format_bibtex_name(person: Person) -> str:
    """The name for BibTeX's `author` field, in the comma form, such as `van der Berg, Anna`.

    Braces are put where BibTeX, biber or pybtex would otherwise split the name elsewhere than `person` does;
    `parse_author` reads the result back as long as the parts hold no braces. Two things have no place in
    BibTeX and become part of the family name: a suffix without a given name, and a particle with a word in
    upper case (the Belgian "Van der", which sorts so).
    """
    particle, family = (person.particle or "").split(), person.family
    if not all(_is_particle(word) for word in particle):
        particle, family = [], f"{person.particle} {family}"
    given = [_guarded(word) for word in (person.given or "").split()]
    if not given:
        whole = " ".join([*family.split(), *(person.suffix or "").split()])
        return " ".join([*particle, f"{{{whole}}}"])
    suffix = [_guarded(word) for word in (person.suffix or "").split()]
    shown = f"{{{family}}}" if _splits_wrongly(family) else family
    parts = ([*particle, shown], suffix, given)
    return ", ".join(" ".join(part) for part in parts if part)


def _split_email(text: str) -> tuple[str, str | None]:
    stripped = text.strip()
    match = _WITH_EMAIL.fullmatch(stripped)
    name, email = match.groups() if match else (stripped, None)
    if "<" in name or ">" in name:
        raise UsageError(f"author {text!r}: a '<' or '>' out of place", hint=_EMAIL_FORM)
    if email is not None and not _EMAIL.fullmatch(email):
        raise UsageError(f"author {text!r}: {email!r} is no e-mail address", hint=_EMAIL_FORM)
    return name, email


def _by_depth(text: str) -> Iterator[tuple[str, int]]:
    """Each character with the number of braces around it; a brace itself is inside."""
    depth = 0
    for character in text:
        if character == "{":
            depth += 1
        yield character, depth
        if character == "}":
            depth -= 1


def _balanced(text: str) -> bool:
    depths = [depth for character, depth in _by_depth(text) if character == "}"]
    return min(depths, default=1) > 0 and text.count("{") == text.count("}")


def _pieces(text: str, separates: Callable[[str], bool], *, keep_empty: bool = False) -> list[str]:
    """`text` cut at the separating characters outside braces."""
    pieces = [""]
    for character, depth in _by_depth(text):
        if depth == 0 and separates(character):
            pieces.append("")
        else:
            pieces[-1] += character
    return pieces if keep_empty else [piece for piece in pieces if piece]


def _without_braces(words: list[str]) -> str:
    bare = " ".join(words).replace("{", "").replace("}", "")
    return " ".join(bare.split())


def _is_particle(word: str) -> bool:
    """Whether the first letter outside braces is in lower case."""
    letters = (character for character, depth in _by_depth(word) if depth == 0 and character.isalpha())
    return next(letters, "").islower()


def _split_plain(words: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Given, particle and family of a name without commas."""
    if len(words) > 1 and all(_is_particle(word) for word in words):
        return words[:1], words[1:-1], words[-1:]
    start = next((index for index, word in enumerate(words[:-1]) if _is_particle(word)), len(words) - 1)
    if start > 0 and words[start] in _JOINING and start < len(words) - 1:
        return words[: start - 1], [], words[start - 1 :]
    particle, family = _split_leading_particle(words[start:])
    return words[:start], particle, family


def _split_leading_particle(words: list[str]) -> tuple[list[str], list[str]]:
    """The lower-case words that `words` begins with, and the rest, which keeps at least the last word."""
    end = next((index for index, word in enumerate(words[:-1]) if not _is_particle(word)), len(words) - 1)
    return words[:end], words[end:]


def _guarded(word: str) -> str:
    """`word`, in braces if BibTeX or biber would read something else in it than a word."""
    return f"{{{word}}}" if word.casefold() == "and" or "," in word or "=" in word else word


def _splits_wrongly(family: str) -> bool:
    """Whether a reader might cut a particle off `family`.

    BibTeX decides by the first ASCII letter of each word, cuts at hyphens too, and never cuts the last word.
    """
    words = re.split(r"[\s~-]+", family)
    return any(not "A" <= word[:1] <= "Z" for word in words[:-1]) or any(
        _guarded(word) != word for word in family.split()
    )
