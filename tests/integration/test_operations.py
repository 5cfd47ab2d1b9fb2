"""The template `operations`: six small scripts, none of which fails, each with a golden trace that holds."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import World

SIX = ("algorithms", "async_await", "basics", "control_flow", "dataframes", "file_io")


def test_all_six_run_become_golden_and_hold(world: World, tmp_path: Path) -> None:
    study = tmp_path / "six"
    world.tool(
        "init", study, "--title", "Six", "--author", "Ada Lovelace", "--license", "MIT", "--template", "operations",
        cwd=tmp_path,
    )  # fmt: skip
    world.run("make", "golden", cwd=study)
    listed = json.loads(world.tool("runs", "list", "--format", "json", cwd=study).stdout)
    assert {(run["experiment"], run["status"]) for run in listed} == {(name, "completed") for name in SIX}
    assert "up to date" in world.run("dvc", "repro", cwd=study).stdout
    world.run("make", "golden", cwd=study)
    assert json.loads((study / "experiments/control_flow/result/answer.json").read_text()) == {
        "kinds": ["truth", "negative", "whole", "list of 1 and 2 more", "record of Ada", "something else"],
        "longest": 1161,
        "steps": 181,
        "quotients": [5, 10, None],
    }


def test_a_failing_program_is_no_baseline(world: World, tmp_path: Path) -> None:
    study = tmp_path / "one"
    world.tool(
        "init", study, "--title", "One", "--author", "Ada Lovelace", "--license", "MIT", "--template", "operations",
        cwd=tmp_path,
    )  # fmt: skip
    with (study / "experiments/basics/basics.py").open("a") as stream:
        stream.write("    sys.exit(3)\n")
    world.tool("run", "basics", "--quiet", cwd=study, status=1)
    [run] = json.loads(world.tool("runs", "list", "--format", "json", cwd=study).stdout)
    refused = world.tool("golden", "promote", run["id"], "--as", "basics", cwd=study, status=None)
    assert refused.returncode != 0
    assert "failed" in refused.stdout + refused.stderr
    assert not (study / "golden_traces/basics").exists()
