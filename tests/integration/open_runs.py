"""Open runs of scripts, made by hand, and what `runs recover` says about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from entrenar_research.client import liveness
from tests.conftest import World
from tests.event_logs import EventLogWriter

STUDY = "title: Alone\nversion: 0.1.0\nlicense: MIT\nauthors: [{given: Ada, family: Lovelace}]\n"


def record(study: Path, run: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((study / "runs" / run / "run.yaml").read_text())
    return found


def ids(study: Path) -> list[str]:
    return sorted(path.name for path in (study / "runs").iterdir())


def recover(world: World, study: Path, *words: str, status: int = 0) -> list[dict[str, Any]]:
    """What `runs recover` says it did."""
    done = world.tool("runs", "recover", *words, "--format", "json", cwd=study, status=status)
    found: list[dict[str, Any]] = json.loads(done.stdout)["runs"]
    return found


def lose(study: Path, name: str, log: EventLogWriter | None = None, **fields: object) -> Path:
    """A run of a script that was killed, made by hand."""
    directory = study / "runs" / name
    directory.mkdir(parents=True)
    document = {
        "schema": 1, "id": name, "experiment": "alone", "status": "running", "tool": "entrenar-research 0.1.0",
        "runner": "script", "started": "2026-01-01T00:00:00.000Z", "trace_id": "ab" * 16,
        "holder": {"machine": liveness.machine(), "process": 4711}, **fields,
    }  # fmt: skip
    (directory / "run.yaml").write_text(json.dumps(document))
    (log or three_points()).write(directory)
    return directory


def three_points() -> EventLogWriter:
    log = EventLogWriter()
    log.points(log.key("loss"), [3.0, 2.0, 1.0])
    log.note("param", name="rank", value=16)
    return log
