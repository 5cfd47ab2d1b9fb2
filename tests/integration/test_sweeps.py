"""Carrying out sweeps: what is recorded, what is left alone, in which order, and with how many at once."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import World
from tests.integration.sweeping import GRID, SWEEP, add_toy, begin, counted, seen, until, work, write_sweep


@pytest.fixture
def study(tiny: Path) -> Path:
    """A study with the experiment `toy` and the sweep `s` over it."""
    return add_toy(tiny)


def digest_of(place: Path) -> dict[str, str]:
    return {
        path.relative_to(place).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


def test_trials_are_runs_of_their_own(world: World, study: Path) -> None:
    before = digest_of(study / "experiments")
    lock = (study / "dvc.lock").read_bytes()
    said = world.tool("sweep", "run", "s", cwd=study).stdout.splitlines()
    assert [line.split()[:3] for line in said[:4]] == [["trial", str(number), "completed"] for number in range(4)]
    assert said[4] == "s: 4 trials: 4 completed"
    assert digest_of(study / "experiments") == before
    assert (study / "dvc.lock").read_bytes() == lock
    assert not (study / "experiments" / "toy" / "result").exists()
    found = seen(study)
    assert (found["done"], found["limit"], found["over"], found["workers"]) == (4, 4, True, 0)
    for trial in found["trials"]:
        run = yaml.safe_load((study / "runs" / trial["run"] / "run.yaml").read_text())
        assert run["trial"] == {"sweep": "s", "number": trial["number"]}
        assert (run["status"], run["metrics"]) == ("completed", {"y": trial["value"]})
        assert run["params"]["x"] == trial["params"]["x"]
        assert run["result"].startswith("sha256:")
        assert "lineage" not in run
        assert trial["value"] == (trial["params"]["x"] - 3) ** 2
        text = (study / "runs" / trial["run"] / "params.yaml").read_text()
        assert re.sub(r"x: \S+", "x: 1.5", text) == (study / "experiments/toy/params.yaml").read_text()
        assert (study / "runs" / trial["run"] / "SHA256SUMS").is_file()
    assert list((study / ".entrenar" / "staging").iterdir()) == []


def test_the_result_of_the_best_is_kept(world: World, study: Path) -> None:
    work(world, study)
    found = seen(study)
    best = min(found["trials"], key=lambda trial: trial["value"])
    assert found["best"]["number"] == best["number"]
    results = study / "sweeps" / "s" / "results"
    assert [item.name for item in results.iterdir()] == [str(best["number"])]
    kept = json.loads((results / str(best["number"]) / "metrics.json").read_text())
    assert kept == {"y": best["value"]}
    listed = world.run("git", "status", "--short", "-uall", "sweeps", cwd=study).stdout
    assert "results" not in listed
    assert "journal.log" in listed


@pytest.mark.parametrize(("keep", "names"), [("all", ["0", "1", "2", "3"]), ("none", [])])
def test_what_is_kept_can_be_said(world: World, study: Path, keep: str, names: list[str]) -> None:
    write_sweep(study, f"{SWEEP}keep: {keep}\n")
    work(world, study)
    results = study / "sweeps" / "s" / "results"
    assert sorted(item.name for item in results.iterdir()) == names


def test_best_is_applied_as_run_set_does(world: World, study: Path) -> None:
    work(world, study)
    best = json.loads(world.tool("sweep", "best", "s", "--format", "json", cwd=study).stdout)["trial"]
    said = world.tool("sweep", "best", "s", "--apply", cwd=study).stdout
    assert f"experiments/toy/params.yaml: x 1.5 -> {best['params']['x']:.6g}" in said
    text = (study / "experiments/toy/params.yaml").read_text()
    assert text.splitlines()[1] == f"x: {best['params']['x']!r}  # anything"
    world.tool("run", "toy", cwd=study)
    assert json.loads((study / "experiments/toy/result/metrics.json").read_text())["y"] == best["value"]


def test_runs_of_trials_are_not_the_experiments_last_good_run(world: World, study: Path) -> None:
    world.tool("run", "toy", cwd=study)
    work(world, study)
    assert world.tool("run", "toy", cwd=study).stdout.startswith("toy is up to date")
    report = json.loads(world.tool("verify", ".", "--format", "json", cwd=study, status=None).stdout)
    found = [item for item in report["findings"] if item["area"] in ("data", "evidence", "replay")]
    assert {item["verdict"] for item in found} == {"identical"}
    assert sum(item["subject"].startswith("runs/") and "-toy-" in item["subject"] for item in found) == 5


def params_of(world: World, study: Path, text: str, **share: Any) -> list[dict[str, object]]:
    write_sweep(study, text)
    return [trial["params"] for trial in counted(work(world, study, **share))]


SPACE = """\
space:
  x: {type: float, low: 0.0, high: 10.0}
  n: {type: int, low: 1, high: 64, log: true}
  optimizer: [sgd, adam]
  momentum: {type: float, low: 0.0, high: 0.9, when: {param: optimizer, is: [sgd]}}
"""


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_same_seed_same_trials(world: World, study: Path, strategy: str) -> None:
    head = SWEEP[: SWEEP.index("space:")].replace("random", strategy).replace("trials: 4", "trials: 13")
    first = params_of(world, study, head + SPACE)
    (study / "sweeps" / "s" / "journal.log").unlink()
    assert params_of(world, study, head + SPACE) == first
    (study / "sweeps" / "s" / "journal.log").unlink()
    assert params_of(world, study, head.replace("seed: 7", "seed: 8") + SPACE) != first
    assert all(("momentum" in params) == (params["optimizer"] == "sgd") for params in first)
    assert {params["optimizer"] for params in first} == {"sgd", "adam"}


def test_an_interrupted_sweep_goes_on_as_it_would_have(world: World, study: Path) -> None:
    head = SWEEP[: SWEEP.index("space:")].replace("random", "tpe").replace("trials: 4", "trials: 12")
    whole = params_of(world, study, head + SPACE)
    (study / "sweeps" / "s" / "journal.log").unlink()
    assert params_of(world, study, head + SPACE, trials=5) == whole[:5]
    assert params_of(world, study, head + SPACE, trials=11) == whole[:11]
    assert params_of(world, study, head + SPACE) == whole


def test_random_trials_are_the_same_with_any_number_of_workers(world: World, study: Path) -> None:
    alone = params_of(world, study, SWEEP)
    (study / "sweeps" / "s" / "journal.log").unlink()
    world.tool("sweep", "run", "s", "--workers", "3", cwd=study)
    assert [trial["params"] for trial in seen(study)["trials"]] == alone


def test_a_grid_is_exhausted_by_several_workers_without_repeating(world: World, study: Path) -> None:
    write_sweep(
        study,
        GRID + "  optimizer: [sgd, adam]\n  momentum: {type: float, low: 0.0, high: 0.3, step: 0.1, "
        "when: {param: optimizer, is: [sgd]}}\n",
    )
    world.tool("sweep", "run", "s", "--workers", "3", cwd=study)
    points = [json.dumps(trial["params"], sort_keys=True) for trial in seen(study)["trials"]]
    assert len(points) == len(set(points)) == 6 * (4 + 1)
    assert sum('"momentum": 0.3' in point for point in points) == 6


def test_trials_run_side_by_side(world: World, study: Path) -> None:
    (study / "hold").touch()
    running = begin(world, study, "--workers", "3")
    until(lambda: len(list(study.glob("began-*"))) == 3)
    found = seen(study)
    assert [trial["status"] for trial in found["trials"]] == ["running"] * 3
    assert found["workers"] == 3
    (study / "hold").unlink()
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, "")
    assert "s: 4 trials: 4 completed" in out


def test_outputs_at_fixed_places_are_written_one_after_the_other(world: World, study: Path) -> None:
    script = (study / "experiments/toy/toy.py").read_text()
    script = script.replace('os.path.join(sys.argv[2], "metrics.json")', '"fixed.json"')
    script = script.replace(
        'open(f"began', 'assert not os.path.exists("busy"); open("busy", "w").close(); open(f"began'
    )
    script += 'time.sleep(0.05)\nos.unlink("busy")\n'
    (study / "experiments/toy/toy.py").write_text(script)
    declaration = study / "experiments/toy/experiment.yaml"
    declaration.write_text(
        declaration.read_text().replace("[metrics.json]", "[{path: metrics.json, from: fixed.json}]")
    )
    world.tool("sweep", "run", "s", "--workers", "3", cwd=study)
    trials = seen(study)["trials"]
    assert [trial["value"] for trial in trials] == [(trial["params"]["x"] - 3) ** 2 for trial in trials]
    assert not (study / "fixed.json").exists()


def test_a_traced_trial_must_read_its_own_params(world: World, study: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    declaration = study / "experiments/toy/experiment.yaml"
    declaration.write_text(declaration.read_text().replace("trace: none", "trace: observe"))
    script = study / "experiments/toy/toy.py"
    script.write_text(script.read_text().replace("open(sys.argv[1])", 'open("experiments/toy/params.yaml")'))
    said = world.tool("sweep", "run", "s", cwd=study, status=1)
    assert "the script reads experiments/toy/params.yaml itself" in said.stderr
    script.write_text(script.read_text().replace('open("experiments/toy/params.yaml")', "open(sys.argv[1])"))
    world.tool("sweep", "run", "s", "--resume", "--retry-failed", cwd=study)
    run = yaml.safe_load((study / "runs" / seen(study)["best"]["run"] / "run.yaml").read_text())
    assert run["trace"]["status"] == "recorded"
    assert not (run.get("observed") or {}).get("undeclared_reads")


def test_no_trial_begins_once_the_time_is_up(world: World, study: Path) -> None:
    assert work(world, study, seconds=0.0) == []
    write_sweep(study, SWEEP.replace("{trials: 4}", "{time: 1ms}"))
    said = world.tool("sweep", "run", "s", cwd=study)
    assert said.stdout.splitlines() == [
        "s: 0 trials",
        "hint: `entrenar-research sweep run s --resume` goes on with it",
    ]


def test_a_trial_cannot_be_removed_from_under_its_sweep(world: World, study: Path) -> None:
    trial = work(world, study, trials=1)[0]
    said = world.tool("runs", "remove", trial["run"], "--yes", cwd=study, status=2)
    assert said.stderr.startswith(f"error: run {trial['run']} stays: it is trial 0 of the sweep s\n")


def test_the_run_that_a_sweep_is_started_from_is_the_parent(world: World, study: Path) -> None:
    outer = next(path.name for path in (study / "runs").iterdir() if "-line-" in path.name)
    around = {"ENTRENAR_RUN": f"runs/{outer}", "ENTRENAR_STUDY": str(study)}
    world.tool("sweep", "run", "s", "--trials", "1", cwd=study, env=around)
    run = yaml.safe_load((study / "runs" / seen(study)["trials"][0]["run"] / "run.yaml").read_text())
    (parent,) = run["lineage"]["parents"]
    assert (parent["run"], parent["relationship"]) == (outer, "hyperparameter_search")


def test_other_versions_of_the_code_are_told(world: World, study: Path) -> None:
    work(world, study, trials=2)
    script = study / "experiments/toy/toy.py"
    script.write_text(script.read_text() + "# changed\n")
    work(world, study)
    shown = world.tool("sweep", "show", "s", cwd=study).stdout
    assert "parameters changed while it ran (2 versions): its trials cannot simply be compared" in shown


def test_an_objective_that_is_no_number_any_more(world: World, study: Path) -> None:
    script = study / "experiments/toy/toy.py"
    script.write_text(script.read_text().replace("(x - 3) ** 2 +", 'float("nan") +'))
    trial = work(world, study, trials=1)[0]
    assert (trial["status"], trial["reason"]) == ("failed", "the objective y is nan")


def test_a_worker_by_itself(world: World, study: Path) -> None:
    said = world.tool("sweep", "work", "s", cwd=study).stdout.splitlines()
    assert [line.split()[2] for line in said] == ["completed"] * 4
    assert world.tool("sweep", "work", "s", cwd=study).stdout == ""


def test_a_study_that_may_only_be_read(world: World, study: Path, as_root: None) -> None:
    work(world, study, trials=2)
    world.run("mount", "--bind", study, study, cwd=study.parent)
    try:
        world.run("mount", "-o", "remount,ro,bind", study, cwd=study.parent)
        assert "2 of 4 trials: 2 completed" in world.tool("sweep", "show", "s", cwd=study).stdout
        assert "2/4" in world.tool("sweep", "list", cwd=study).stdout
        said = world.tool("sweep", "run", "s", "--resume", cwd=study, status=1)
        assert "Read-only file system" in said.stderr
    finally:
        world.run("umount", study, cwd=study.parent)
