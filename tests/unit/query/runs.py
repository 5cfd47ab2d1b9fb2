"""Runs made for tests: records and Parquet files as a sealing leaves them, without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.client.reading import Log
from entrenar_research.models.run import RunRecord
from entrenar_research.store import sums
from entrenar_research.store.logged import series_files, series_summary
from entrenar_research.store.logged.log import EventLog
from entrenar_research.store.run_files import RunFiles

STUDY = "title: Tests\nauthors:\n- {given: Ada, family: Lovelace}\nlicense: MIT\n"
SECOND = 1_000_000_000
BEGAN = 1_767_225_600 * SECOND  # 2026-01-01T00:00:00Z


def add_run(
    root: Path,
    name: str,
    series: Mapping[str, Sequence[float]] | None = None,
    *,
    code_quality: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Path:
    """A sealed run `20260101T000000000Z-<experiment>-<name>`, with a point a second of each series."""
    experiment = fields.pop("experiment", "imdb")
    run_id = f"20260101T000000000Z-{experiment}-{name}"
    record = RunRecord(
        id=run_id,
        experiment=experiment,
        status=fields.pop("status", "completed"),
        tool="tests",
        runner="script",
        started="2026-01-01T00:00:00Z",
        series={
            key: series_summary.of_values(list(values), last_step=len(values) - 1)
            for key, values in (series or {}).items()
        },
        **fields,
    )
    files = RunFiles(root)
    directory = files.open(record)
    if series:
        log = Log("1-abcd")
        for ref, (key, values) in enumerate(series.items(), 1):
            log.keys[ref], log.key_spans[ref] = key, 0
            log.refs += [ref] * len(values)
            log.steps += range(len(values))
            log.values += values
            log.times += [BEGAN + step * SECOND for step in range(len(values))]
        series_files.write(directory, [EventLog(path=directory, log=log, damaged=())], None)
    if code_quality is not None:
        text = (directory / "run.yaml").read_text()
        (directory / "run.yaml").write_text(f"{text}code_quality: {msgspec.json.encode(code_quality).decode()}\n")
    sums.close(directory)
    return directory
