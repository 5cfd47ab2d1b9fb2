"""Asking the runs of a study with SQL."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.querying import engine, traces
from entrenar_research.store.querying.engine import Answer

Progress = Callable[[int, int], None]


def ask(root: Path, sql: str, progress: Progress = lambda done, total: None) -> tuple[Answer, tuple[str, ...]]:
    """What one SQL statement finds in the runs of the study at `root`, and in words what could not be read for it.

    Raises:
        MissingToolError: if DuckDB or pyarrow is not installed.
        UsageError: if the statement does more than read the views, or is wrong.
    """
    with contextlib.closing(Catalogue(root)) as catalogue:
        catalogue.refresh(progress)
        answer = engine.ask(root, catalogue.documents, sql)
        query = "SELECT id, damage FROM runs WHERE shown = 'damaged' ORDER BY id"
        damaged = catalogue.connection.execute(query).fetchall()
    records = [f"runs/{run_id}: not in the answer: {damage}" for run_id, damage in damaged]
    files = [f"{path}: damaged, its {_held(path)} are not in the answer" for path in answer.damaged]
    return answer, (*records, *files)


def _held(path: str) -> str:
    return "calls" if path.endswith(traces.DOCUMENT) else "points or spans"
