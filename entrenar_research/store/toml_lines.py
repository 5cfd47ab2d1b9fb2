"""Where everything stands in a TOML text: the line of every key and every table, which tomllib does not tell.

The text has to be valid already (tomllib read it); what is read here is its outline, after the grammar of
TOML 1.0.0 (https://toml.io/en/v1.0.0): headers, dotted and quoted keys, strings of all four kinds, arrays and inline
tables over several lines.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]
_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BASIC: Final = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_LITERAL: Final = re.compile(r"'[^'\n]*'")
_LONG_BASIC: Final = re.compile(r'"""(?:[^"\\]|\\.|"(?!""))*"{3,5}', re.DOTALL)
_LONG_LITERAL: Final = re.compile(r"'''(?:[^']|'(?!''))*'{3,5}", re.DOTALL)
_PLAIN: Final = re.compile(r"[^,\]}#\n]*")


class Lines:
    """The lines (from 1) of a valid TOML text by path: `("ci",)`, `("ci", "fail_fast")`, `("assertion", 0, "name")`."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0
        self._lines: dict[Path, int] = {(): 1}
        self._entries: dict[Path, int] = {}
        self._read()

    def of(self, path: Path) -> int:
        """The line of the entry at `path`, or of its nearest ancestor that there is."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _read(self) -> None:
        table: Path = ()
        while self._skip(_BLANK) < len(self._text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        line = self._here()
        many = self._text.startswith("[[", self._at)
        self._at += 2 if many else 1
        *above, last = self._key()
        self._at += 2 if many else 1
        path: Path = ()
        for name in above:
            path = self._inside((*path, name), line)
        path = (*path, last)
        if not many:
            path = self._inside(path, line)
            self._lines[path] = line  # where its own header is, though a sub-table may have come before
            return path
        self._lines.setdefault(path, line)
        place = self._entries.get(path, 0)
        self._entries[path] = place + 1
        self._lines[*path, place] = line
        return (*path, place)

    def _inside(self, path: Path, line: int) -> Path:
        """`path`, in its last entry so far where it is an array of tables."""
        self._lines.setdefault(path, line)
        return (*path, self._entries[path] - 1) if path in self._entries else path

    def _pair(self, table: Path) -> None:
        line = self._here()
        path = table
        for name in self._key():
            path = (*path, name)
            self._lines.setdefault(path, line)
        self._at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            quoted = _BASIC if self._peek() == '"' else _LITERAL if self._peek() == "'" else None
            word = self._take(quoted or _BARE)
            names.append(str(tomllib.loads(f"x = {word}")["x"]) if quoted else word)
            self._skip(_SPACE)
            if self._peek() != ".":
                return names
            self._at += 1

    def _value(self, path: Path) -> None:
        mark = self._peek()
        if mark in "\"'":
            long = self._text.startswith(mark * 3, self._at)
            basic, literal = (_LONG_BASIC, _LONG_LITERAL) if long else (_BASIC, _LITERAL)
            self._take(basic if mark == '"' else literal)
        elif mark == "[":
            self._array(path)
        elif mark == "{":
            self._at += 1
            while self._skip(_BLANK) < len(self._text) and self._peek() != "}":
                self._pair(path)
                self._comma()
            self._at += 1
        else:
            self._take(_PLAIN)

    def _array(self, path: Path) -> None:
        self._at += 1
        place = 0
        while self._skip(_BLANK) < len(self._text) and self._peek() != "]":
            self._lines[*path, place] = self._here()
            self._value((*path, place))
            self._comma()
            place += 1
        self._at += 1

    def _comma(self) -> None:
        self._skip(_BLANK)
        if self._peek() == ",":
            self._at += 1

    def _here(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        self._take(pattern)
        return self._at

    def _take(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        word = found[0] if found else ""
        self._at += len(word)
        return word
