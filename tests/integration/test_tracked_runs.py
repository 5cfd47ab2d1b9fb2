"""Runs of the tool whose script logs: what becomes of it in the record, in replays, in traces and under DVC."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrenar_research.store import sums
from entrenar_research.store.logged import points
from tests.conftest import TRAIN, World
from tests.integration import checking, faults

HEAD = '''\
"""Fits a line to points by gradient descent, and logs it."""

import entrenar_research as er

POINTS = 0010
run = er.current_run()
'''
LOGS = """
with run.span("descent", rate=params["rate"]):
    for step in range(POINTS):
        run.log_metric("loss", loss / (step + 1), step=step)
run.log_params({"rate": 99, "optimiser": {"name": "descent", "nesterov": False}})
run.add_tag("logged")
run.log_artifact(os.path.join(out, "curve.csv"))
"""
FAILS = """
raise RuntimeError("the loss went up")
"""


def script(*, count: int = 10, more: str = LOGS) -> str:
    """The training script of the tiny study, with a client; its size does not depend on `count`."""
    body = TRAIN.partition('"""\n')[2]
    return HEAD.replace("0010", f"int('{count:06}')") + body + more


@pytest.fixture
def tracked(tiny: Path) -> Path:
    """The tiny study with a script that logs ten points."""
    (tiny / "experiments/line/train.py").write_text(script())
    return tiny


def newest(study: Path) -> Path:
    return max((study / "runs").iterdir())


def record(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((directory / "run.yaml").read_text())
    return found


def test_what_was_logged_is_in_the_record(world: World, tracked: Path) -> None:
    said = world.tool("run", "line", "--quiet", cwd=tracked).stdout
    assert "warning" not in said
    assert "undeclared" not in said
    run = newest(tracked)
    found = record(run)
    assert (found["status"], found["runner"]) == ("completed", "host")
    assert found["series"]["loss"]["points"] == 10
    assert (found["series"]["loss"]["last_step"], found["telemetry"]["points"]) == (9, 10)
    assert "holder" not in found
    assert found["tags"] == ["logged"]
    assert found["artifacts"][0]["path"] == "artifacts/curve.csv"
    assert len(found["trace_id"]) == 32
    assert found["observed"] == {}
    assert not (run / "events").exists()
    assert len(points.points(run, "loss").steps) == 10
    spans = {span.name: span for span in points.spans(run)}
    assert spans["line"].parent is None
    assert (spans["descent"].parent, spans["descent"].attributes) == (spans["line"].id, {"rate": 0.05})


def test_declared_parameters_count_and_logged_ones_are_no_part_of_the_recipe(world: World, tracked: Path) -> None:
    world.tool("run", "line", "--quiet", cwd=tracked)
    found = record(newest(tracked))
    optimiser = {"name": "descent", "nesterov": False}
    assert found["params"] == {"rate": 0.05, "steps": 20, "optimiser": optimiser}
    assert found["logged_params"] == ["optimiser"]
    (warning,) = found["warnings"]
    assert warning == "the script logged the parameter rate as 99; the params file has 0.05, which counts"
    said = world.tool("run", "line", cwd=tracked).stdout
    assert "line is up to date" in said
    locked = yaml.safe_load((tracked / "dvc.lock").read_text())["stages"]["line"]["params"]
    assert locked["experiments/line/params.yaml"] == {"rate": 0.05, "steps": 20}


def test_dvc_and_verify_agree(world: World, tracked: Path) -> None:
    world.run("dvc", "repro", "-q", cwd=tracked)
    run = newest(tracked)
    assert record(run)["series"]["loss"]["points"] == 10
    assert "up to date" in world.run("dvc", "repro", cwd=tracked).stdout
    before, runs = faults.contents(tracked / "runs"), sorted((tracked / "runs").iterdir())
    # What the environment says of another run is not for the replay.
    outside = {"ENTRENAR_RUN": f"runs/{run.name}", "ENTRENAR_STUDY": str(tracked), "TRACEPARENT": "nonsense"}
    done = world.tool("verify", "--replay", "--format", "json", cwd=tracked, env=outside, status=None)
    report = json.loads(done.stdout)
    wanting = [item for item in report["findings"] if item["verdict"] in ("different", "broken")]
    assert {item["area"] for item in wanting} <= {"history"}  # not sealed yet
    replayed = [item for item in report["findings"] if item["area"] == "replay"]
    assert {item["verdict"] for item in replayed} == {"identical"}
    assert faults.contents(tracked / "runs") == before
    assert sorted((tracked / "runs").iterdir()) == runs


def test_a_script_that_fails_keeps_what_it_logged(world: World, tracked: Path) -> None:
    (tracked / "experiments/line/train.py").write_text(script(more=LOGS + FAILS))
    said = world.tool("run", "line", "--quiet", cwd=tracked, status=1).stderr
    assert "the loss went up" in said
    run = newest(tracked)
    found = record(run)
    assert (found["status"], found["telemetry"]["points"]) == ("failed", 10)
    assert found["failure_context"]["exception"] == "RuntimeError"
    assert (run / "SHA256SUMS").is_file()
    assert (run / "metrics.parquet").is_file()


def test_processes_of_one_run(world: World, tracked: Path) -> None:
    more = """
import multiprocessing

def log(number):
    er.current_run().log_metric("part", float(number), step=number)

with multiprocessing.get_context("spawn" if POINTS else "fork").Pool(2) as pool:
    pool.map(log, range(8), chunksize=4)
    pool.close()
    pool.join()
"""
    body = script(more="").replace("POINTS = int('000010')", "POINTS = 0")
    (tracked / "experiments/line/train.py").write_text(body + more)
    world.tool("run", "line", "--quiet", "--trace", "none", cwd=tracked)
    found = record(newest(tracked))
    assert found["series"]["part"]["points"] == 8
    assert sorted(points.points(newest(tracked), "part").steps) == list(range(8))
    assert found["telemetry"]["processes"] >= 2


@pytest.mark.slow
def test_the_golden_trace_does_not_depend_on_how_much_is_logged(world: World, tracked: Path) -> None:
    faults.need_strace()
    world.tool("run", "line", "--quiet", "--trace", "full", cwd=tracked)
    world.tool("golden", "promote", "line", "--as", "logged", "--repeat", "2", cwd=tracked)
    golden = json.loads((tracked / "golden_traces/logged/logged.json").read_text())
    lines = [line for line, _, _ in golden["lines"] if ".events" in line]
    assert lines == ["1 openat($STUDY/runs/RUN/events/PROCESS.events, O_RDWR|O_CREAT|O_EXCL) = ok"]
    for count in (10, 10_000):
        (tracked / "experiments/line/train.py").write_text(script(count=count))
        said = world.tool("golden", "check", "logged", cwd=tracked).stdout
        assert "the same calls in the same order" in said
    world.tool("run", "line", "--quiet", "--trace", "full", cwd=tracked)
    assert record(newest(tracked))["telemetry"]["points"] == 10_000
    world.tool("golden", "check", "logged", "--run", newest(tracked).name, cwd=tracked)


def test_experiment_add_keeps_what_was_logged(world: World, tracked: Path) -> None:
    faults.need_strace()
    (tracked / "train.py").write_text(
        'import entrenar_research as er\nrun = er.start_run("other")\nrun.log_metric("loss", 0.5)\n'
        'open("out.txt", "w").write("done")\n'
    )
    before = set((tracked / "runs").iterdir())
    world.tool("experiment", "add", "plain", "--yes", "--", "python", "train.py", cwd=tracked)
    (run,) = set((tracked / "runs").iterdir()) - before
    found = record(run)
    assert (found["experiment"], found["status"]) == ("plain", "completed")
    assert found["series"]["loss"]["points"] == 1
    assert (found["observed"], sorted(path.name for path in run.iterdir() if path.name != "trace")) == (
        {},
        ["SHA256SUMS", "inputs.sha256", "metrics.parquet", "outputs.sha256", "run.yaml", "spans.parquet",
         "stderr.txt", "stdout.txt"],
    )  # fmt: skip


def test_a_script_by_itself_is_no_good_run_of_an_experiment(world: World, tracked: Path) -> None:
    code = 'import entrenar_research as er\nwith er.start_run("line") as run:\n    run.log_metric("loss", 1.0)\n'
    (tracked / "alone.py").write_text(code)
    world.tool("run", "line", "--quiet", cwd=tracked)
    good = newest(tracked).name
    world.run("python", "alone.py", cwd=tracked)
    world.tool("runs", "recover", cwd=tracked)
    assert newest(tracked).name != good
    assert "line is up to date" in world.tool("run", "line", cwd=tracked).stdout
    assert {item.area for item in checking.check(tracked).wanting} <= {"history"}


def test_tampering_is_found_and_named(world: World, tracked: Path) -> None:
    world.tool("run", "line", "--quiet", cwd=tracked)
    run = newest(tracked)
    for name in ("metrics.parquet", "spans.parquet", "run.yaml", "artifacts/curve.csv"):
        size = (run / name).stat().st_size
        with checking.Flipped(run / name, size // 2):
            assert checking.names(checking.check(tracked), f"runs/{run.name}/{name}"), name


def test_a_record_that_says_more_than_was_logged_is_found(world: World, tracked: Path) -> None:
    world.tool("run", "line", "--quiet", cwd=tracked)
    run = newest(tracked)
    text = (run / "run.yaml").read_text()
    changed = text.replace("points: 10\n    last:", "points: 11\n    last:", 1)
    assert changed != text
    (run / "run.yaml").write_text(changed)
    sums.close(run)
    assert checking.names(checking.check(tracked), "its metric loss is 11 points")
