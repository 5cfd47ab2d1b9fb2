"""`run --source`: a full trace that says from where in the program its calls come."""

from __future__ import annotations

import json
from pathlib import Path

from entrenar_research.actions.traces import files
from entrenar_research.store.run_files import RunFiles
from tests.conftest import World


def test_a_run_keeps_where_its_calls_come_from_and_promotes_it(world: World, tiny: Path) -> None:
    before = RunFiles(tiny).latest("line")
    world.tool("run", "line", "--force", "--source", "--trace", "full", "--quiet", cwd=tiny)
    run = RunFiles(tiny).latest("line")
    assert before is not None
    assert run is not None
    assert run.id != before.id
    assert run.result == before.result
    assert run.recipe == before.recipe
    assert run.trace.digest == before.trace.digest
    assert run.observed == before.observed
    found = json.loads((RunFiles(tiny).directory(run.id) / files.SOURCE).read_bytes())
    assert found["trace_id"] == run.trace.digest
    assert any(item[0] == "$STUDY/experiments/line/train.py" for item in found["locations"])
    world.tool("golden", "promote", run.id, "--as", "sourced", "--repeat", "2", cwd=tiny)
    kept = json.loads((tiny / "golden_traces/sourced/sourced_source.json").read_bytes())
    assert kept == found


def test_without_being_asked_nothing_of_it_is_kept(world: World, tiny: Path) -> None:
    world.tool("run", "line", "--force", "--source", "--trace", "observe", "--quiet", cwd=tiny)
    run = RunFiles(tiny).latest("line")
    assert run is not None
    assert not (RunFiles(tiny).directory(run.id) / files.SOURCE).exists()
