"""Changing `experiment.yaml` without touching its comments and layout."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from entrenar_research.store import files


def extend(path: Path, shown: str, *, code: Sequence[str] = (), inputs: Sequence[str] = ()) -> None:
    """Adds entries to `code` and `inputs`.

    Raises:
        UsageError: if the file cannot be read.
        StorageError: if it cannot be written; it is then as before.
    """
    from ruamel.yaml import YAML  # costs 80 ms, needed only to keep comments

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    tree = editor.load(files.read_text(path, shown=shown))
    for key, added in (("code", code), ("inputs", inputs)):
        present = tree.get(key)
        new = [item for item in added if item not in (present or [])]
        if not new:
            continue
        if present is None:
            tree[key] = list(new)
        else:
            present.extend(new)
    out = io.StringIO()
    editor.dump(tree, out)
    files.write_atomically(path, out.getvalue())
