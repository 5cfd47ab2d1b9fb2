"""The last words of programs that are not Python, or of Python before it runs anything: one line, one pattern each.

Every pattern fits a whole line (or its beginning) in the form that the runtime itself prints.
"""

from __future__ import annotations

import errno
import re
from typing import Final

import msgspec

_LINES = 400


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """What a runtime said: which one, the type of the error where it has one, its message, the code it amounts to."""

    runtime: str
    exception: str | None
    message: str
    code: str


class _Form(msgspec.Struct, frozen=True):
    runtime: str
    code: str
    expression: re.Pattern[str]


def _form(runtime: str, code: str, expression: str) -> _Form:
    return _Form(runtime, code, re.compile(expression))


_THREAD = r'Exception in thread "[^"]*"'
_JAVA = r"[a-z_]\w*(?:\.\w+)*\.[A-Z][\w$]*"
_FORMS: Final = (
    _form("C++", "OOM_HOST", r"terminate called after throwing an instance of '(?P<type>std::bad_alloc)'"),
    _form("C++", "PROGRAM_ERROR", r"terminate called after throwing an instance of '(?P<type>[^']+)'"),
    _form("C", "ASSERTION_FAILED", r"\S+: \S+:\d+: .*: (?P<said>Assertion `.*' failed\.)"),
    _form("loader", "LIBRARY_NOT_FOUND", r"\S+: error while loading shared libraries: (?P<said>[^:]+: cannot open .*)"),
    _form("Python", "FILE_NOT_FOUND", r"\S*python[\d.]*: can't open file (?P<said>'.*': \[Errno 2\] .*)"),
    _form("Python", "PERMISSION_DENIED", r"\S*python[\d.]*: can't open file (?P<said>'.*': \[Errno 13\] .*)"),
    _form("Python", "MODULE_NOT_FOUND", r"\S*python[\d.]*: (?P<said>No module named \S+)"),
    _form("Java", "OOM_HOST", rf"{_THREAD} (?P<type>java\.lang\.OutOfMemoryError)(?:: (?P<said>.*))?"),
    _form("Java", "PROGRAM_ERROR", rf"{_THREAD} (?P<type>{_JAVA})(?:: (?P<said>.*))?"),
    _form("Go", "OOM_HOST", r"fatal error: (?P<said>runtime: (?:out of memory|cannot allocate memory).*)"),
    _form("Go", "PROGRAM_ERROR", r"(?P<type>panic): (?P<said>.*)"),
    _form("Go", "PROGRAM_ERROR", r"(?P<type>fatal error): (?P<said>all goroutines are asleep .*)"),
    _form("Rust", "OOM_HOST", r"(?P<said>memory allocation of \d+ bytes failed)"),
    _form("Rust", "PROGRAM_ERROR", r"thread '[^']*'(?: \(\d+\))? (?P<type>panicked) at (?P<said>.*)"),
    _form("Julia", "OOM_HOST", r"ERROR: (?:LoadError: )?(?P<type>OutOfMemoryError)(?:\(\)|: .*)?"),
    _form("Julia", "PROGRAM_ERROR", r"ERROR: (?:LoadError: )?(?P<type>[A-Z]\w*(?:Error|Exception))(?:: (?P<said>.*))?"),
    _form("R", "OOM_HOST", r"Error(?: in .* :)?:? ?(?P<said>cannot allocate vector of size .*)"),
    _form("R", "PROGRAM_ERROR", r"(?P<type>Error) in .* : ?(?P<said>.*)"),
    _form("Node", "OOM_HOST", r"FATAL ERROR: (?P<said>.* JavaScript heap out of memory)"),
)  # fmt: skip
_USAGE = re.compile(r"usage: \S+")
_USAGE_ERROR = re.compile(r"\S+(?: \S+)*?: error: (.*)")
_SHELL = r"\S+: (?:line )?(?:\d+: )?(\S+): "
_SHELL_MISSING = re.compile(rf"{_SHELL}(?:command )?not found")
_SHELL_REFUSED = re.compile(rf"{_SHELL}(?:Permission denied|cannot execute.*|Exec format error)")


def last_words(text: str) -> Words | None:
    """The last line of `text` in which a known runtime says that it gives up, or None."""
    for line in reversed(text.split("\n")[-_LINES:]):
        for form in _FORMS:
            match = form.expression.fullmatch(line.rstrip()[:2000])
            if match:
                found = match.groupdict()
                said = found.get("said") or ""
                return Words(runtime=form.runtime, exception=found.get("type"), message=said, code=form.code)
    return None


def usage_error(text: str) -> str | None:
    """What a program complained about in the manner of argparse: `usage: ...`, then `prog: error: ...` at the end."""
    lines = [line.rstrip() for line in text.rstrip().split("\n")[-_LINES:]]
    found = _USAGE_ERROR.fullmatch(lines[-1][:2000])
    return found[1] if found and any(_USAGE.match(line) for line in lines) else None


def missing_program(text: str) -> str | None:
    """The program that a shell did not find, by the shell's own last words."""
    found = _SHELL_MISSING.fullmatch(text.rstrip().rpartition("\n")[2][:2000])
    return found[1] if found else None


def refused_program(text: str) -> str | None:
    """The program that a shell could not execute, by the shell's own last words."""
    found = _SHELL_REFUSED.fullmatch(text.rstrip().rpartition("\n")[2][:2000])
    return found[1] if found else None


def error_name(number: int) -> str:
    """`ENOSPC` for 28; the number itself where it has no name."""
    return errno.errorcode.get(number, str(number))
