"""Holding the space of a sweep against the experiment it searches: its parameters and its command."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Iterable
from typing import Any

from entrenar_research.models.experiment import Declaration
from entrenar_research.models.sweep import Choice, Dimension, Real


def misfit(present: Any, dimension: Dimension) -> str | None:
    """In words, why a parameter that is `present` now cannot take the values of the dimension; None if it can."""
    if present is None:
        return None
    if isinstance(dimension, Choice):
        wrong = [value for value in dimension.values if not _same_kind(present, value)]
        return f"found {wrong[0]!r} among the values, expected {_kind(present)}" if wrong else None
    if isinstance(present, bool) or not isinstance(present, int | float):
        return f"found a range of numbers, expected {_kind(present)}: {{type: choice, values: [...]}}"
    if isinstance(present, int) and isinstance(dimension, Real):
        return f"found type float, expected type int (or write {present}.0 there, if it may be a fraction)"
    return None


def _same_kind(present: Any, value: Any) -> bool:
    if isinstance(present, bool) or isinstance(value, bool):
        return type(present) is type(value)
    if isinstance(present, int) and isinstance(value, float):
        return value.is_integer()
    if isinstance(present, int | float):
        return isinstance(value, int | float)
    return type(present) is type(value)


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "whole numbers", float: "numbers", str: "text", list: "lists"}
    return names.get(type(value), type(value).__name__)


def command_fault(declaration: Declaration, searched: Iterable[str]) -> tuple[str, str] | None:
    """Why a command would not see the values of a trial, and the edit that mends it; None if it takes them.

    Every trial has a params file of its own, so the command has to be told which: by `${params}`, or by
    `${params.<key>}` for each parameter.
    """
    command, file = declaration.command, declaration.params or ""
    named = next((part for word in shlex.split(command) for part in _parts(word) if _is(part, file)), None)
    if named is not None:
        fixed = command.replace(named, "${params}")
        return f"it names {named} itself, so that every trial would read the same parameters", f"command: {fixed}"
    if "${params}" in command:
        return None
    unseen = [name for name in searched if f"${{params.{name}}}" not in command]
    if not unseen:
        return None
    options = " ".join(f"--{name.rpartition('.')[2]} ${{params.{name}}}" for name in unseen)
    return (
        f"it does not take {', '.join(unseen)}, so that every trial would be the same",
        f"let the program take it, for example: command: {command} {options}",
    )


def _parts(word: str) -> tuple[str, ...]:
    return (word, word.partition("=")[2])


def _is(part: str, file: str) -> bool:
    return bool(part) and posixpath.normpath(part) == file
