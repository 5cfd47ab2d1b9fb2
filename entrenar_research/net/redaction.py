"""Keeping secrets out of what is said: addresses without passwords and parameters, texts without tokens."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit, urlunsplit

HIDDEN: Final = "***"
_SHORTEST: Final = 4


def address(url: str) -> str:
    """The address without user, password and fragment, and with the values of its parameters hidden."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    shown = [f"{pair.partition('=')[0]}={HIDDEN}" if "=" in pair else HIDDEN for pair in parts.query.split("&") if pair]
    user = f"{HIDDEN}@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, f"{user}{host}", parts.path, "&".join(shown), ""))


def text(words: str, secrets: Iterable[str]) -> str:
    """The words with each secret hidden, and each word of one: of `Bearer abcd`, `abcd` alone is one as well.

    Words of fewer than four letters hide nothing: they would take half of the message with them.
    """
    parts = {part for secret in secrets for part in (secret, *secret.split())}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= _SHORTEST:
            words = words.replace(part, HIDDEN)
    return words
