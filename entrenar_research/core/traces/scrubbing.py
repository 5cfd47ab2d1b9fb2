"""A call as it may be shown to others: decoded, with names for places, and without the contents that were moved.

What was read and written can be anything, a password too; a path tells a person's name. So of strings only those
stay that are paths or words of a command line, with `core.traces.names` applied; every other one is `"..."`.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from entrenar_research.core.traces.calls import EXECUTIONS, LOOKS, ON_PATHS, OPENS, paths_among
from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.syntax import in_strings_and_descriptors
from entrenar_research.models.trace import SystemCall

_PATHS: Final = LOOKS | ON_PATHS | OPENS | {"getcwd"}
_ADDRESSED: Final = frozenset({"connect", "bind", "accept", "accept4", "getsockname", "getpeername"})
_GONE: Final = "..."


class Scrubber:
    """Scrubs the calls of the trace that `names` were made for."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._known: dict[tuple[str, str, str | None], str] = {}

    def arguments(self, call: SystemCall, directory: str | None = None) -> str:
        """The arguments of `call`, made in `directory` (None: nobody knows where)."""
        return self._text(call.name, call.arguments, directory if ".." in call.arguments else None)

    def result(self, call: SystemCall) -> str:
        """The result of `call`."""
        return self._text("", call.result)

    def _text(self, name: str, text: str, directory: str | None = None) -> str:
        if '"' not in text and "<" not in text:
            return text
        found = self._known.get((name, text, directory))
        if found is None:
            found = self._known[name, text, directory] = self._replaced(name, text, directory)
        return found

    def _replaced(self, name: str, text: str, directory: str | None) -> str:
        base = directory

        def word(content: str, place: int) -> str:
            nonlocal base
            here, base = base, directory
            return self._word(name, text, content, place, here)

        def behind(number: int | None, path: str) -> str:
            nonlocal base
            base = path  # where a path that follows begins
            return self._names.object(number, path)

        return in_strings_and_descriptors(text, word, behind)

    def _word(self, name: str, text: str, word: str, place: int, base: str | None) -> str:
        if name in EXECUTIONS:
            return self._names.text(word, base)
        if name in _PATHS and place < paths_among(name):
            return self._names.argument(word, base)
        if name in _ADDRESSED and "sun_path=" in text:
            return self._names.text(word)
        if "sa_family=AF_INET" in text and _is_address(word):
            return word
        return _GONE


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word)
    except ValueError:
        return False
    return True
