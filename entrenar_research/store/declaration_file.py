"""Changing `experiment.yaml` without touching its comments and layout."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from entrenar_research.store import files, yaml_edit
from entrenar_research.store.yaml_text import Document


def extend(path: Path, shown: str, *, code: Sequence[str] = (), inputs: Sequence[str] = ()) -> None:
    """Adds entries to `code` and `inputs`.

    Raises:
        UsageError: if the file cannot be read, or not be changed without rewriting it.
        StorageError: if it cannot be written; it is then as before.
    """
    text = before = files.read_text(path, shown=shown)
    declared = Document(text, shown).value
    for key, added in (("code", code), ("inputs", inputs)):
        present = declared.get(key) or []
        new = [item for item in added if item not in present]
        if new:
            text = yaml_edit.put(text, shown, [key], [*present, *new])
    if text != before:
        files.write_atomically(path, text)
