"""Licences as SPDX expressions.

The list of ids is the one that `license-expression` carries, without its aliases and without the ids that
only ScanCode knows; the operators are those of the SPDX specification 2.3, annex D.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final, NamedTuple

from entrenar_research.errors import UsageError

_OPERATORS: Final = frozenset({"AND", "OR", "WITH"})
_WORD: Final = re.compile(r"[^\s()]+")
_OWN: Final = re.compile(r"(?:DocumentRef-[A-Za-z0-9.-]+:)?LicenseRef-(?!scancode-)[A-Za-z0-9.-]+")
# SPDX lists this id as a licence, the index as an exception.
_LICENCE_DESPITE_ITS_NAME: Final = "MPL-2.0-no-copyleft-exception"
_HINT: Final = "The ids are listed at https://spdx.org/licenses; join several with AND or OR."


class _Index(NamedTuple):
    """Ids by lower-case form: `licences` and `exceptions` in force, `replaced` with what they became."""

    licences: dict[str, str]
    exceptions: dict[str, str]
    replaced: dict[str, str]


def parse_licence(text: str) -> str:
    """The SPDX expression in its normal form: ids as SPDX writes them, operators in upper case.

    Ids in force, `<id>+` ("or any later version"), and an own `LicenseRef-<name>` are accepted.

    Raises:
        UsageError: if it is empty, names an id that SPDX does not know or has deprecated, or is malformed.
    """
    return str(_parse(text))


def licence_alternatives(text: str) -> tuple[str, ...]:
    """The ids of which any one may be chosen, each once; empty if AND, WITH, `+` or an own id takes part.

    Raises:
        UsageError: as `parse_licence`.
    """
    expression = parse_licence(text)
    words = _WORD.findall(expression)
    ids = [word for word in words if word != "OR"]
    if _OPERATORS & set(ids) or any(word.endswith("+") or _OWN.fullmatch(word) for word in ids):
        return ()
    return tuple(dict.fromkeys(ids))


def licence_url(licence: str) -> str:
    """The page of one licence: `https://spdx.org/licenses/<id>`.

    Raises:
        UsageError: if `licence` is not a single id of the SPDX list.
    """
    ids = licence_alternatives(licence)
    if len(ids) != 1:
        raise UsageError(
            f"licence {licence!r} has no single page at spdx.org: it is not one id of the list", hint=_HINT
        )
    return f"https://spdx.org/licenses/{ids[0]}"


def _parse(text: str) -> Any:
    # Imported here: it takes 50 ms, which every command would pay.
    from license_expression import (  # type: ignore[import-untyped]
        ExpressionError,
        ExpressionParseError,
        LicenseSymbol,
        Licensing,
    )

    words = _WORD.findall(text)
    if not words:
        raise UsageError(f"licence {text!r} names no licence", hint=_HINT)
    index = _index()
    named = {word: _resolve(word, index, text) for word in words if word.upper() not in _OPERATORS}
    normal = _WORD.sub(lambda match: named.get(match[0], match[0].upper()), text)
    ids = sorted(set(named.values()))
    symbols = [LicenseSymbol(key, is_exception=key.lower() in index.exceptions) for key in ids]
    try:
        # Not `Licensing.validate`: it fails with an AttributeError on "MIT AND".
        return Licensing(symbols).parse(normal, validate=True, strict=True, simple=True)
    except (ExpressionError, ExpressionParseError) as error:
        raise UsageError(f"licence {text!r} is no SPDX expression: {error}", hint=_HINT) from error
    except IndexError as error:
        raise UsageError(f"licence {text!r} is no SPDX expression: empty parentheses", hint=_HINT) from error


def _resolve(word: str, index: _Index, text: str) -> str:
    """The id that `word` stands for, as SPDX writes it."""
    lower = word.lower()
    known = index.licences.get(lower) or index.exceptions.get(lower)
    if known:
        return known
    if _OWN.fullmatch(word):
        return word
    where = f"licence {text!r}" if text.strip() == word else f"licence {text!r}: {word!r}"
    if lower in index.replaced:
        raise UsageError(f"{where} is not an SPDX id in force", hint=_replacement(index.replaced[lower]))
    if lower.endswith("+") and lower[:-1] in index.licences:
        return f"{index.licences[lower[:-1]]}+"
    alone = not any(part.upper() in _OPERATORS for part in text.split())
    meant = "-".join(text.split()).lower() if alone else lower
    raise UsageError(f"{where} is not an SPDX id", hint=_suggestion(meant, index))


def _replacement(current: str) -> str:
    if not current:
        return "Write the licence and its exception apart: GPL-2.0-only WITH Classpath-exception-2.0."
    if current.endswith("-only"):
        return f"Write {current} or {current.removesuffix('-only')}-or-later, whichever is meant."
    return f"Write {current}."


def _suggestion(lower: str, index: _Index) -> str:
    import difflib  # It costs 10 ms and is needed only after a mistake.

    known = index.licences | index.exceptions
    begun = [key for key in sorted(known) if key.startswith(f"{lower}-")]
    close = difflib.get_close_matches(lower, begun, 6, 0.0) or difflib.get_close_matches(lower, sorted(known))
    near = [known[key] for key in close]
    return f"Did you mean {' or '.join(near)}? {_HINT}" if near else _HINT


@functools.cache
def _index() -> _Index:
    # Imported here: see `_parse`.
    from license_expression import get_license_index

    index = _Index({}, {}, {})
    for entry in get_license_index():
        key = entry.get("spdx_license_key") or ""
        if not key or key.startswith("LicenseRef-"):
            continue
        if entry["is_deprecated"]:
            index.replaced[key.lower()] = ""
            continue
        exception = entry["is_exception"] and key != _LICENCE_DESPITE_ITS_NAME
        (index.exceptions if exception else index.licences)[key.lower()] = key
        # "GPL" alone is listed as an alias too, but says nothing of the version that is meant.
        index.replaced.update(
            (alias.lower(), key) for alias in entry["other_spdx_license_keys"] if re.search(r"[-0-9]", alias)
        )
    return index
