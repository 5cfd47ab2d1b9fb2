"""Changing single parameters in a YAML file without touching its comments and layout."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from entrenar_research.core import recipe, suggest
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.store import files
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
        return key.strip(), Document(value, f"the value of {key.strip()}").value
    except InvalidFileError as error:
        raise UsageError(error.message) from error


def assign(path: Path, shown: str, assignments: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Sets parameters that exist already; returns (old, new) for those that changed.

    Raises:
        UsageError: if a key is unknown or the value is of another type than the present one.
        StorageError: if the file cannot be written; it is then as before.
    """
    from ruamel.yaml import YAML  # costs 80 ms, needed only to keep comments

    text = files.read_text(path, shown=shown)
    known = recipe.dotted(Document(text, shown).convert(dict[str, Any]))
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    tree = editor.load(text)
    changes: dict[str, tuple[Any, Any]] = {}
    for key, value in assignments.items():
        if key not in known:
            error = suggest.unknown("parameter", key, known)
            raise UsageError(f"{shown}: {error.message}", hint=error.hint)
        _same_kind(shown, key, known[key], value)
        if known[key] != value or type(known[key]) is not type(value):
            *parents, last = key.split(".")
            node = tree
            for part in parents:
                node = node[part]
            node[last] = value
            changes[key] = (known[key], value)
    if changes:
        out = io.StringIO()
        editor.dump(tree, out)
        files.write_atomically(path, out.getvalue())
    return changes


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
