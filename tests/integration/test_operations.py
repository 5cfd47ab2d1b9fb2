"""The template `operations`: six small scripts, none of which fails, each with a golden trace that holds."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import World

SIX = ("algorithms", "async_await", "basics", "control_flow", "dataframes", "file_io")
IN_RUCHY = tuple(f"ruchy_{name}" for name in SIX)


@pytest.fixture
def ruchy(world: World, tmp_path: Path) -> Path:
    """The real interpreter, of `ENTRENAR_RUCHY` or PATH, put where the world finds it."""
    found = os.environ.get("ENTRENAR_RUCHY") or shutil.which("ruchy")
    if found is None:
        pytest.skip("needs ruchy (cargo install ruchy) on PATH or in ENTRENAR_RUCHY")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ruchy").symlink_to(Path(found).resolve())
    world.environment["PATH"] += f":{tmp_path / 'bin'}"
    return Path(found)


@pytest.fixture
def without_ruchy(world: World) -> None:
    if shutil.which("ruchy", path=world.environment["PATH"]) is not None:
        pytest.skip("ruchy is installed for the whole system here")


def made(world: World, study: Path) -> str:
    """A new study of this template: what `init` said, in one line."""
    done = world.tool(
        "init", study, "--title", "Six", "--author", "Ada Lovelace", "--license", "MIT", "--template", "operations",
        cwd=study.parent,
    )  # fmt: skip
    return " ".join(done.stdout.split())


def completed(world: World, study: Path) -> set[tuple[str, str]]:
    listed = json.loads(world.tool("runs", "list", "--format", "json", cwd=study).stdout)
    return {(run["experiment"], run["status"]) for run in listed}


def answer(study: Path, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((study / f"experiments/{name}/result/answer.json").read_text())
    return found


@pytest.mark.usefixtures("without_ruchy")
def test_all_six_run_become_golden_and_hold(world: World, tmp_path: Path) -> None:
    study = tmp_path / "six"
    said = made(world, study)
    assert f"experiments: {', '.join(SIX)} note: ruchy" in said
    world.run("make", "golden", cwd=study)
    assert completed(world, study) == {(name, "completed") for name in SIX}
    assert "up to date" in world.run("dvc", "repro", cwd=study).stdout
    world.run("make", "golden", cwd=study)
    assert answer(study, "control_flow") == {
        "kinds": ["truth", "negative", "whole", "list of 1 and 2 more", "record of Ada", "something else"],
        "longest": 1161,
        "steps": 181,
        "quotients": [5, 10, None],
    }


def test_a_failing_program_is_no_baseline(world: World, tmp_path: Path) -> None:
    study = tmp_path / "one"
    made(world, study)
    with (study / "experiments/basics/basics.py").open("a") as stream:
        stream.write("    sys.exit(3)\n")
    refused_as_golden(world, study, "basics")


def refused_as_golden(world: World, study: Path, name: str) -> None:
    """`name` fails, and its run does not become a golden trace."""
    world.tool("run", name, "--quiet", cwd=study, status=1)
    [run] = json.loads(world.tool("runs", "list", "--format", "json", cwd=study).stdout)
    refused = world.tool("golden", "promote", run["id"], "--as", name, cwd=study, status=None)
    assert refused.returncode != 0
    assert "failed" in refused.stdout + refused.stderr
    assert not (study / "golden_traces" / name).exists()


@pytest.mark.usefixtures("without_ruchy")
def test_without_ruchy_its_six_are_left_out_and_named(world: World, tmp_path: Path) -> None:
    study = tmp_path / "six"
    said = made(world, study)
    assert f"ruchy is not installed, so {', '.join(IN_RUCHY)} were left out" in said
    assert not list(study.glob("**/*.ruchy"))
    assert "ruchy" not in (study / "dvc.yaml").read_text()


@pytest.mark.usefixtures("without_ruchy")
def test_a_program_called_ruchy_brings_its_six(world: World, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/ruchy").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "bin/ruchy").chmod(0o755)
    world.environment["PATH"] += f":{tmp_path / 'bin'}"
    said = made(world, tmp_path / "twelve")
    assert f"experiments: {', '.join((*SIX, *IN_RUCHY))} next:" in said
    assert "left out" not in said
    assert not world.run("git", "status", "--short", cwd=tmp_path / "twelve").stdout
    # It wrote no result: that is a failed run, whatever its exit status says.
    refused_as_golden(world, tmp_path / "twelve", "ruchy_basics")


def test_the_six_in_ruchy_run_become_golden_and_hold(world: World, ruchy: Path, tmp_path: Path) -> None:
    study = tmp_path / "twelve"
    assert "left out" not in made(world, study)
    world.run("make", "golden", cwd=study)
    assert completed(world, study) == {(name, "completed") for name in (*SIX, *IN_RUCHY)}
    world.run("make", "golden", cwd=study)
    # What both languages work out is the same.
    here, there = (answer(study, name) for name in ("algorithms", "ruchy_algorithms"))
    assert here["distance"] == there["distance"]
    here, there = (answer(study, name) for name in ("dataframes", "ruchy_dataframes"))
    assert here["trees"] == there["trees"]
    lines = [(study / f"experiments/{name}/result/lines.txt").read_bytes() for name in ("file_io", "ruchy_file_io")]
    assert lines[0] == lines[1]
    assert answer(study, "async_await")["squares"] == answer(study, "ruchy_async_await")["squares"]


@pytest.mark.parametrize(
    "change", ["let = 3\n", "assert_eq(1, 2)\n", 'throw "no"\n'], ids=["syntax", "assert", "throw"]
)
def test_a_failing_ruchy_program_is_no_baseline(world: World, ruchy: Path, tmp_path: Path, change: str) -> None:
    study = tmp_path / "one"
    made(world, study)
    with (study / "experiments/ruchy_basics/basics.ruchy").open("a") as stream:
        stream.write(change)
    refused_as_golden(world, study, "ruchy_basics")
