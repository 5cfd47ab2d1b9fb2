"""Changing single parameters in a YAML file without touching its comments and layout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.store import files, yaml_edit
from entrenar_research.store.yaml_text import Document


def parse_assignment(text: str) -> tuple[str, Any]:
    """`key=value` with the value read as YAML.

    Raises:
        UsageError: if it is not of that form.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"{text!r}: expected KEY=VALUE, for example learning_rate=0.5")
    try:
        return key.strip(), Document(value, f"the value of {key.strip()}", dates=True).value
    except InvalidFileError as error:
        raise UsageError(error.message) from error


def assign(path: Path, shown: str, assignments: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Sets parameters that exist already; returns (old, new) for those that changed.

    Raises:
        UsageError: if a key is unknown or the value is of another type than the present one.
        StorageError: if the file cannot be written; it is then as before.
    """
    before = files.read_text(path, shown=shown)
    text, changes = edited(before, shown, assignments)
    if text != before:
        files.write_atomically(path, text)
    return changes


def edited(text: str, shown: str, assignments: Mapping[str, Any]) -> tuple[str, dict[str, tuple[Any, Any]]]:
    """The text of a params file with parameters set that exist already, and (old, new) for those that changed.

    Raises:
        UsageError: if a key is unknown or the value is of another type than the present one.
    """
    known = dict(_leaves(Document(text, shown, dates=True).convert(dict[str, Any]), ()))
    changes: dict[str, tuple[Any, Any]] = {}
    for key, value in assignments.items():
        if key not in known:
            error = suggest.unknown("parameter", key, known)
            raise UsageError(f"{shown}: {error.message}", hint=error.hint)
        place, old = known[key]
        _same_kind(shown, key, old, value)
        if old != value or type(old) is not type(value):
            text = yaml_edit.put(text, shown, place, value)
            changes[key] = (old, value)
    return text, changes


def _leaves(params: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[tuple[str, ...], Any]]]:
    """Nested parameters by dotted key (as `recipe.dotted` has them), each with its keys one by one and its value."""
    for key, value in params.items():
        place = (*above, key)
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, place)
        else:
            yield ".".join(map(str, place)), (place, value)


def _same_kind(shown: str, key: str, old: Any, new: Any) -> None:
    numbers = (int, float)
    both_numbers = isinstance(old, numbers) and isinstance(new, numbers)
    if old is None or (both_numbers and isinstance(old, bool) == isinstance(new, bool)):
        return
    if type(old) is not type(new):
        raise UsageError(
            f"{shown}: {key} is {old!r} ({type(old).__name__}); found {new!r} ({type(new).__name__}), "
            f"expected {type(old).__name__}",
            hint="edit the file by hand if the type is meant to change",
        )
