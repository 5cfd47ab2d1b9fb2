"""Asking the person, on a terminal only: never in a pipe, never with a default that invents anything."""

from __future__ import annotations

import sys

from entrenar_research.errors import UsageError


def interactive() -> bool:
    """Whether there is a person to ask: both ends are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, *, missing: str, hint: str, default: str | None = None) -> str:
    """The person's answer to `question`.

    Raises:
        UsageError: with `missing` and `hint`, if there is nobody to ask or no answer comes.
    """
    if not interactive():
        raise UsageError(missing, hint=hint)
    sys.stderr.write(f"{question}{f' [{default}]' if default else ''}: ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip() or (default or "")
    if not answer:
        raise UsageError(missing, hint=hint)
    return answer


def confirm(question: str) -> bool:
    """Yes or no; no if there is nobody to ask."""
    if not interactive():
        return False
    sys.stderr.write(f"{question} [y/N]: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
