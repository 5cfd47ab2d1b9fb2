"""Asking the person, on a terminal only: never in a pipe, never with a default that invents anything."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from typing import TypeVar

from entrenar_research.errors import UsageError

T = TypeVar("T")


def interactive() -> bool:
    """Whether there is a person to ask: both ends are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, accept: Callable[[str], T], *, missing: str, hint: str, default: str | None = None) -> T:
    """What `accept` makes of the person's answer to `question`; asks again while it refuses.

    Raises:
        UsageError: with `missing` and `hint`, if there is nobody to ask or the input ends.
    """
    if not interactive():
        raise UsageError(missing, hint=hint)
    while True:
        _prompt(f"{question}{f' [{default}]' if default else ''}: ")
        line = sys.stdin.readline()
        if not line:
            sys.stderr.write("\n")
            raise UsageError(missing, hint=hint)
        try:
            return accept(line.strip() or default or "")
        except UsageError as error:
            sys.stderr.write(f"  {error.message}\n" + (f"  {error.hint}\n" if error.hint else ""))


def confirm(question: str) -> bool:
    """Yes or no; no if there is nobody to ask."""
    if not interactive():
        return False
    _prompt(f"{question} [y/N]: ")
    line = sys.stdin.readline()
    if not line:
        sys.stderr.write("\n")
    return line.strip().lower() in ("y", "yes")


def secret(question: str) -> str:
    """The person's answer to `question`, not shown as it is typed; on the terminal, whatever the streams are.

    Raises:
        UsageError: if there is nobody to ask.
    """
    if not interactive():
        raise UsageError(
            f"{question}: there is no terminal to ask on", hint="sign on a terminal, or with a key without a passphrase"
        )
    try:
        return getpass.getpass(f"{question}: ")
    except EOFError as error:
        raise UsageError(f"{question}: nothing was given") from error


def _prompt(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()
