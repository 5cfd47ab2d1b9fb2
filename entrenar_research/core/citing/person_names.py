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


def format_bibtex_name(person: Person, spell: Callable[[str], str] = str) -> str:
    """The name for BibTeX's `author` field, in the comma form, such as `van der Berg, Anna`.

    `spell` writes each part in LaTeX. Braces are put where BibTeX, biber, pybtex or bibtexparser would
    otherwise split the name elsewhere than `person` does. Unspelt, `parse_author` reads the result back as long
    as the parts hold no braces. What has no place in BibTeX, or none that its readers agree on, becomes part of
    the family name: a particle or suffix without a given name, and a particle with a word in upper case (the
    Belgian "Van der", which sorts so).
    """
    if not person.given:
        return f"{{{spell(person.name)}}}"
    particle, family = person.particle or "", person.family
    if not all(_is_particle(word) for word in particle.split()):
        particle, family = "", f"{particle} {family}"
    last = spell(family)
    # bibtexparser loses a backslash that a name begins with.
    if _splits_wrongly(family) or last.startswith("\\"):
        last = f"{{{last}}}"
    suffix, given = _guarded(person.suffix or "", spell), _guarded(person.given, spell)
    return ", ".join(part for part in (f"{spell(particle)} {last}".lstrip(), suffix, given) if part)


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


def _guarded(text: str, spell: Callable[[str], str]) -> str:
    """`text` with those words in braces that stand for something else in a list of names."""
    return " ".join(f"{{{spell(word)}}}" if _means_more(word) else spell(word) for word in text.split())


def _means_more(word: str) -> bool:
    """Whether BibTeX takes `word` for the end of a name or of its part, or biber for a named part of it."""
    return word.casefold() == "and" or "," in word or "=" in word


def _splits_wrongly(family: str) -> bool:
    """Whether a reader might cut a particle off `family`, or cut it apart.

    BibTeX decides by the first ASCII letter of each word and cuts at hyphens too. It never takes the last word
    for a particle, but biber does.
    """
    words = re.split(r"[\s~-]+", family)
    capital = all("A" <= word[:1] <= "Z" for word in words[:-1]) and not _is_particle(words[-1])
    return not capital or any(_means_more(word) for word in family.split())
