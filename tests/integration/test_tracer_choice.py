"""`--tracer`, and what is taken where nobody names one: by runs, sweeps, declarations and golden traces."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrenar_research import workspace
from entrenar_research.core.traces import document
from entrenar_research.tracers import kernel
from tests.cli.conftest import tree
from tests.conftest import World

TRAIN = "experiments/line/train.py"
FULL = kernel.TRACER.unavailable("full")
RENACER = workspace.tracer("renacer").unavailable()
with_kernel = pytest.mark.skipif(FULL is not None, reason=str(FULL))
with_renacer = pytest.mark.skipif(RENACER is not None, reason=str(RENACER))


@pytest.fixture
def lacking(world: World, tmp_path: Path) -> dict[str, str]:
    """A PATH on which there is no strace."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("git", "sh", "env", "cat"):
        found = shutil.which(name, path=world.environment["PATH"])
        assert found is not None, name
        (place / name).symlink_to(found)
    return {"PATH": f"{Path(sys.executable).parent}:{place}"}


def last(study: Path, experiment: str = "line") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        max((study / "runs").glob(f"*-{experiment}-*")).joinpath("run.yaml").read_text()
    )
    return found


def described() -> str:
    return f"kernel {os.uname().release}"


def unroll(study: Path) -> None:
    text = (study / TRAIN).read_text()
    old = '    stream.write("\\n".join(rows) + "\\n")\n'
    assert old in text
    more = '    os.mkdir(out + "/more")\n    os.rmdir(out + "/more")\n'
    (study / TRAIN).write_text(text.replace(old, old + more))


@with_kernel
def test_without_strace_the_kernel_traces(world: World, tiny: Path, lacking: dict[str, str]) -> None:
    done = world.tool("run", "line", "--force", "--quiet", cwd=tiny, env=lacking)
    assert "no trace" not in done.stdout
    assert "it read what is declared" in done.stdout
    found = last(tiny)["trace"]
    assert (found["status"], found["tracer"], found["level"]) == ("recorded", described(), "full")
    assert (
        f"full: recorded by {described()} ({found['calls']} calls)"
        in world.tool("runs", "show", "line", cwd=tiny).stdout
    )
    world.tool("golden", "promote", "line", "--as", "new", "--repeat", "2", cwd=tiny, env=lacking)
    record = yaml.safe_load((tiny / "golden_traces/new/golden.yaml").read_text())
    assert (record["tracer"], record["noise"]["agreed"]) == (described(), 2)
    assert document.decode((tiny / "golden_traces/new/new.json").read_bytes(), "new.json").tracer == "kernel"
    world.tool("trace", "record", "--as", "cat", "--", "cat", "study.yaml", cwd=tiny, env=lacking)
    assert document.decode((tiny / "cat.json").read_bytes(), "cat.json").tracer == "kernel"


@with_kernel
def test_a_golden_trace_of_strace_is_checked_with_the_kernel(world: World, tiny: Path, lacking: dict[str, str]) -> None:
    """Equal lines are equal; other lines may come from the tracer: that is not known, and no pass either."""
    for words, env in ((("--tracer", "kernel"), None), ((), lacking)):
        done = world.tool("golden", "check", "line", *words, cwd=tiny, env=env)
        assert done.stdout.startswith("line: same as a fresh run traced with kernel\n")
    unroll(tiny)
    done = world.tool("golden", "check", "line", "--tracer", "kernel", cwd=tiny, status=3)
    assert done.stdout.startswith("line: differs from a fresh run traced with kernel\n")
    assert "first divergence at call" in done.stdout
    assert "  no data: calls: the golden trace is one of strace, this one of kernel" in done.stdout
    [checked] = json.loads(
        world.tool("golden", "check", "line", "--tracer", "kernel", "--format", "json", cwd=tiny, status=3).stdout
    )
    assert [case["state"] for case in checked["cases"] if case["name"] == "calls"] == ["no data"]
    assert checked["equivalence"] is None
    done = world.tool("golden", "check", "line", cwd=tiny, status=1)
    assert done.stdout.startswith("line: differs from a fresh run\n")


@with_kernel
def test_a_run_of_the_kernel_against_a_golden_trace_of_strace(world: World, tiny: Path) -> None:
    world.tool("run", "line", "--force", "--quiet", "--tracer", "kernel", cwd=tiny)
    run = last(tiny)
    assert run["trace"]["tracer"] == described()
    done = world.tool("golden", "check", "line", "--run", run["id"], cwd=tiny)
    assert done.stdout.startswith(f"line: same as run {run['id']} traced with kernel\n")
    promote = ("golden", "promote", run["id"], "--as", "new", "--repeat", "2")
    kept = tree(tiny)
    done = world.tool(*promote, "--tracer", "strace", cwd=tiny, status=2)
    assert f"run {run['id']} was traced with kernel: its golden trace cannot be one of strace" in done.stderr
    assert "hint: `entrenar-research run line --trace full --tracer strace --force`" in done.stderr
    assert tree(tiny) == kept
    world.tool(*promote, "--tracer", "kernel", cwd=tiny)
    assert yaml.safe_load((tiny / "golden_traces/new/golden.yaml").read_text())["tracer"] == described()


@pytest.mark.parametrize(
    ("words", "status", "reason"),
    [
        (("run", "line", "--tracer", "nono", "--force"), 2, "no tracer named 'nono'"),
        (("run", "line", "--tracer", "replay", "--force"), 2, "the trace of a run cannot be made with replay"),
        (("run", "line", "--tracer", "replay", "--set", "steps=3"), 2, "without looking at it"),
        (("run", "line", "--tracer", "renacer", "--strict"), 2, "what --strict and --fix go by cannot be made with"),
        (("run", "line", "--tracer", "kernel", "--trace", "none"), 2, "--tracer kernel: line is not traced"),
        (
            ("golden", "promote", "line", "--as", "x", "--tracer", "renacer"),
            2,
            "cannot be made with renacer: it leaves",
        ),
        (("golden", "promote", "line", "--as", "x", "--tracer", "replay"), 2, "cannot be made with replay: it runs"),
        (("golden", "check", "--tracer", "renacer"), 2, "cannot be made with renacer"),
        (("golden", "check", "--tracer", "kernel", "--run", "line"), 2, "--run and --tracer exclude each other"),
        (("experiment", "add", "x", "--yes", "--tracer", "renacer", "--", "true"), 2, "cannot be made with renacer"),
    ],
)
def test_what_a_tracer_cannot_do_is_said_before_anything_runs(
    world: World, tiny: Path, words: tuple[str, ...], status: int, reason: str
) -> None:
    (tiny / TRAIN).write_text("open('ran', 'w')\n" + (tiny / TRAIN).read_text())
    kept = tree(tiny)
    assert reason in world.tool(*words, cwd=tiny, status=status).stderr
    assert tree(tiny) == kept


def test_one_that_does_not_work_here_is_an_error_where_it_was_named(
    world: World, tiny: Path, lacking: dict[str, str]
) -> None:
    kept = tree(tiny)
    for words in (
        ("run", "line", "--force", "--tracer", "strace"),
        ("run", "line", "--set", "steps=3", "--tracer", "strace"),
        ("golden", "check", "--tracer", "strace"),
        ("golden", "promote", "line", "--as", "x", "--tracer", "strace"),
        ("trace", "record", "--tracer", "strace", "--", "cat", "study.yaml"),
    ):
        done = world.tool(*words, cwd=tiny, env=lacking, status=3)
        assert "nothing can be traced here with strace: strace is not installed or not on PATH" in done.stderr
        assert "hint: leave --tracer out, or name one that works" in done.stderr
    assert tree(tiny) == kept


@with_kernel
def test_trials_and_declarations(world: World, tiny: Path, lacking: dict[str, str]) -> None:
    done = world.tool("experiment", "add", "copy", "--yes", "--", "cat", "data/points.csv", cwd=tiny, env=lacking)
    assert "data/points.csv" in done.stdout
    assert last(tiny, "copy")["trace"]["tracer"] == described()
    (tiny / "sweeps/rate").mkdir(parents=True)
    (tiny / "sweeps/rate/sweep.yaml").write_text(
        "experiment: line\nspace: {rate: [0.01, 0.02]}\nstrategy: grid\nobjective: {metric: loss}\n"
    )
    kept = tree(tiny)
    done = world.tool("sweep", "run", "rate", "--tracer", "replay", cwd=tiny, status=2)
    assert "cannot be made with replay" in done.stderr
    assert tree(tiny) == kept
    world.tool("sweep", "run", "rate", "--tracer", "kernel", cwd=tiny)
    trials = [yaml.safe_load(path.read_text()) for path in (tiny / "runs").glob("*/run.yaml")]
    assert [run["trace"].get("tracer") for run in trials if run.get("trial")] == [described()] * 2


@with_renacer
def test_a_run_of_renacer_is_recorded_and_not_held_against_its_declaration(world: World, tiny: Path) -> None:
    renacer = shutil.which("renacer")
    assert renacer is not None
    env = {"PATH": f"{Path(renacer).parent}:{world.environment['PATH']}"}
    done = world.tool("run", "line", "--force", "--quiet", "--tracer", "renacer", cwd=tiny, env=env)
    assert "does not see everything: what it read was not held against its declaration" in done.stdout
    record = last(tiny)
    assert record["trace"]["tracer"].startswith("renacer ")
    assert "observed" not in record
    done = world.tool("golden", "promote", "line", "--as", "new", "--repeat", "2", cwd=tiny, env=env, status=1)
    assert "the trace is incomplete: renacer" in done.stdout
    assert not (tiny / "golden_traces/new").exists()
