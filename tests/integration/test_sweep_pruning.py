"""Stopping trials that do badly, by what they log while they run."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.conftest import World
from tests.integration.sweeping import add_toy, begin, seen, until, work, write_sweep

# Logs x at steps 1, 2, ... and goes on only when it may: until it is stopped, or a file says that it is not judged.
SCRIPT = '''\
"""Logs y = x at steps 1 to 9; with the file `slow` it waits before each step until somebody has had time to look."""

import json
import os
import signal
import sys
import time

import entrenar_research as er

text = open(sys.argv[1]).read().splitlines()
x = float(dict(line.partition("#")[0].split(": ", 1) for line in text if ": " in line)["x"])
if os.path.exists("stubborn"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with er.start_run() as run:
    for step in range(1, 10):
        run.log_metric("y", x, step)
        if os.path.exists("slow"):
            time.sleep(0.3)
with open(os.path.join(sys.argv[2], "metrics.json"), "w") as stream:
    json.dump({"y": x}, stream)
'''
SWEEP = """\
experiment: toy
objective: {metric: y}
strategy: STRATEGY
seed: 5
pruning: {type: hyperband, min: 1, max: 9, factor: 3}
budget: {trials: 12}
space:
  x: {type: float, low: 0.0, high: 10.0}
"""


TWO = """\
experiment: toy
objective: {metric: y}
strategy: grid
pruning: {type: hyperband, min: 1, max: 2}
space:
  x: [1.0, 9.0]
"""


@pytest.fixture
def study(tiny: Path) -> Path:
    return add_toy(tiny, SWEEP.replace("STRATEGY", "random"), script=SCRIPT)


@pytest.mark.parametrize("strategy", ["random", "tpe"])
def test_the_same_trials_are_pruned_at_the_same_steps(world: World, study: Path, strategy: str) -> None:
    write_sweep(study, SWEEP.replace("STRATEGY", strategy))
    found = []
    for _ in range(2):
        trials = work(world, study)
        found.append([(t["params"], t["status"], t.get("step"), t.get("reason")) for t in trials])
        (study / "sweeps" / "s" / "journal.log").unlink()
    assert found[0] == found[1]
    statuses = [status for _, status, _, _ in found[0]]
    assert statuses.count("pruned") > 2
    assert statuses.count("completed") > 2
    for params, status, step, reason in found[0]:
        if status == "pruned":
            assert reason == f"pruned at step {step}: y {params['x']:.6g} was not among the best"
            assert step in (1, 3, 9)


def test_what_is_pruned_did_worse(world: World, study: Path) -> None:
    trials = work(world, study)
    best = seen(study)["best"]
    assert best["value"] == min(trial["params"]["x"] for trial in trials if trial["status"] == "completed")
    assert all(trial["params"]["x"] > best["value"] for trial in trials if trial["status"] == "pruned")


def test_a_running_trial_is_stopped(world: World, study: Path) -> None:
    (study / "slow").touch()
    write_sweep(study, TWO)
    good, bad = work(world, study)
    assert (good["status"], good["value"]) == ("completed", 1.0)
    assert (bad["status"], bad["reason"]) == ("pruned", "pruned at step 1: y 9 was not among the best")
    run = yaml.safe_load((study / "runs" / bad["run"] / "run.yaml").read_text())
    assert (run["status"], run["failure"], run["signal"]) == ("cancelled", bad["reason"], "SIGTERM")
    assert 0 < run["series"]["y"]["points"] < 9
    assert not (study / "sweeps" / "s" / "results" / "1").exists()


def test_one_that_ignores_it_is_killed(world: World, study: Path) -> None:
    (study / "stubborn").touch()
    script = study / "experiments/toy/toy.py"
    script.write_text(re.sub(r"        if os.path.exists\(\"slow\"\):\n.*\n", "    time.sleep(60 * (x > 5))\n", SCRIPT))
    write_sweep(study, TWO)
    bad = work(world, study)[1]
    assert bad["status"] == "pruned"
    run = yaml.safe_load((study / "runs" / bad["run"] / "run.yaml").read_text())
    assert (run["status"], run["signal"]) == ("cancelled", "SIGKILL")


def test_without_points_nothing_is_pruned_and_it_is_said(world: World, tiny: Path) -> None:
    study = add_toy(tiny, SWEEP.replace("STRATEGY", "random").replace("trials: 12", "trials: 3"))
    said = world.tool("sweep", "run", "s", cwd=study).stdout
    assert "s: 3 trials: 3 completed" in said
    assert "note: nothing could be pruned: no trial logged y with a step (run.log_metric('y', value, step))" in said


def test_an_objective_that_is_only_logged(world: World, tiny: Path) -> None:
    study = add_toy(tiny, SWEEP.replace("STRATEGY", "random").replace("{metric: y}", "{metric: z, goal: minimize}"))
    write_sweep(study, (study / "sweeps/s/sweep.yaml").read_text().replace("pruning", "# pruning"))
    (study / "experiments/toy/toy.py").write_text(SCRIPT.replace('log_metric("y"', 'log_metric("z"'))
    trials = work(world, study, trials=2)
    assert [trial["value"] for trial in trials] == [trial["params"]["x"] for trial in trials]


def test_an_objective_that_is_nowhere(world: World, tiny: Path) -> None:
    study = add_toy(tiny, SWEEP.replace("STRATEGY", "random").replace("{metric: y}", "{metric: q, goal: minimize}"))
    said = world.tool("sweep", "run", "s", cwd=study, status=1)
    assert "the run ended well but neither wrote nor logged the objective q; it has y" in said.stderr
    assert len(seen(study)["trials"]) == 3


def test_kept_points_of_a_running_trial_are_shown(world: World, study: Path) -> None:
    (study / "slow").touch()
    running = begin(world, study, "--trials", "1")
    until(lambda: any(trial.get("step", 0) >= 3 for trial in seen(study)["trials"]))
    now = seen(study)["trials"][0]
    assert (now["status"], now["intermediate"]) == ("running", now["params"]["x"])
    assert running.communicate(timeout=60)[1] == ""
    assert os.path.isdir(study / "runs" / now["run"])
