"""`er.Sweep`: the loop in a script, on the same journal as the command."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest
import yaml

import entrenar_research as er
from entrenar_research.errors import NotAStudyError, UsageError
from tests.conftest import World
from tests.integration.sweeping import SWEEP, add_toy, counted, seen, until, write_sweep

LOOP = """\
import os, sys, time
import entrenar_research as er

sweep = er.Sweep("ranks", space={"rank": range(1, 100)}, seed=1, trials=6, objective="loss", goal="minimize")
for config in sweep:
    with sweep.start_run(config) as run:
        run.log_metric("loss", 1 / config["rank"])
        open(f"began-{os.getpid()}-{config.trial}", "w").close()
        while os.path.exists("hold"):
            time.sleep(0.01)
print(sweep.best.params["rank"])
"""


@pytest.fixture
def study(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tiny)
    return tiny


def reported(sweep: er.Sweep, key: str) -> list[float]:
    """Goes through a sweep and reports this parameter as the value; the values."""
    found = []
    for config in sweep:
        sweep.report(config, config[key])
        found.append(config[key])
    return found


def test_the_loop_of_the_specification(world: World, study: Path) -> None:
    sweep = er.Sweep(
        "lora-rank-search",
        strategy="random",
        space={"lora_rank": [8, 16, 32, 64]},
        seed=1,
        trials=8,
        objective="loss",
        goal="minimize",
    )
    given = []
    for config in sweep:
        with sweep.start_run(config) as run:
            for step in range(3):
                run.log_metric("loss", 1 / config["lora_rank"] + 1 / (step + 1), step)
            given.append(config["lora_rank"])
    assert len(given) == 8
    assert sweep.best is not None
    assert sweep.best.params == {"lora_rank": max(given)}
    assert sweep.best.value == 1 / max(given) + 1 / 3
    assert [trial.params["lora_rank"] for trial in sweep.trials] == given
    record = yaml.safe_load((study / "runs" / sweep.best.run / "run.yaml").read_text())
    assert record["trial"] == {"sweep": "lora-rank-search", "number": sweep.best.number}
    assert record["params"] == sweep.best.params
    assert (record["experiment"], record["runner"], record["status"]) == ("lora-rank-search", "script", "completed")
    shown = world.tool("sweep", "show", "lora-rank-search", cwd=study).stdout
    assert "8 trials: 8 completed" in shown
    assert f"best: trial {sweep.best.number}, loss" in shown


def test_started_again_it_goes_on(study: Path) -> None:
    def params(trials: int) -> list[float]:
        sweep = er.Sweep("s", space={"a": (1, 2, 3, 4, 5, 6, 7)}, objective="y", goal="maximize", trials=trials)
        return reported(sweep, "a")

    whole = params(3) + params(3) + params(5)
    assert len(whole) == 5
    assert seen(study)["limit"] == 5
    (study / "sweeps" / "s" / "journal.log").unlink()
    assert params(5) == whole
    with pytest.raises(UsageError, match=r"sweeps/s/sweep\.yaml: objective changed since the first trial of s"):
        er.Sweep("s", space={"a": (1, 2, 3, 4, 5, 6, 7)}, objective="z", goal="maximize", trials=5)


def test_a_body_that_fails_fails_its_trial_alone(study: Path) -> None:
    sweep = er.Sweep("s", space={"a": [1, 2, 3]}, objective="y", goal="minimize", strategy="grid")
    for config in sweep:
        try:
            with sweep.start_run(config) as run:
                if config["a"] == 2:
                    raise ValueError("two is too much")
                run.log_metric("y", config["a"])
        except ValueError:
            continue
    assert [trial.status for trial in sweep.trials] == ["completed", "failed", "completed"]
    assert sweep.trials[1].reason == "ValueError: two is too much"


def test_one_that_is_left_by_an_exception_is_settled(study: Path) -> None:
    sweep = er.Sweep("s", space={"a": [1, 2, 3]}, objective="y", goal="minimize", strategy="grid")
    with pytest.raises(ValueError, match="no"):
        _leave(sweep)
    assert [trial.status for trial in sweep.trials] == ["failed"]
    for config in sweep:
        sweep.report(config, 1.0)
    assert [trial.status for trial in sweep.trials] == ["failed", "completed", "completed"]


def _leave(sweep: er.Sweep) -> None:
    for config in sweep:
        with sweep.start_run(config):
            raise ValueError("no")


def test_a_break_leaves_the_rest_for_later(study: Path) -> None:
    sweep = er.Sweep("s", space={"a": [1, 2, 3]}, objective="y", goal="minimize", strategy="grid")
    for config in sweep:
        with sweep.start_run(config) as run:
            run.log_metric("y", config["a"])
        break
    for _ in sweep:
        break
    assert [trial.status for trial in sweep.trials] == ["completed", "cancelled"]
    assert len(reported(sweep, "a")) == 2
    assert [trial["status"] for trial in counted(seen(study)["trials"])] == ["completed"] * 3


def test_a_trial_of_which_nothing_was_said(study: Path) -> None:
    sweep = er.Sweep("s", space={"a": [1, 2]}, objective="y", goal="minimize", strategy="grid")
    for _ in sweep:
        pass
    assert {trial.reason for trial in sweep.trials} == {"the script neither started a run for it nor reported a value"}
    with pytest.raises(UsageError, match="this is no trial that is under way"):
        sweep.report({"a": 1}, 1.0)  # type: ignore[arg-type]


def test_pruning_in_a_loop(study: Path) -> None:
    pruning = {"type": "hyperband", "min": 1, "max": 2}
    sweep = er.Sweep("s", space={"a": [1, 9]}, objective="y", goal="minimize", strategy="grid", pruning=pruning)
    steps = []
    for config in sweep:
        with sweep.start_run(config) as run:
            for step in range(1, 5):
                run.log_metric("y", config["a"], step)
                steps.append((config["a"], step))
                if sweep.should_prune(config):
                    break
    assert steps == [(1, 1), (1, 2), (1, 3), (1, 4), (9, 1)]
    assert [trial.status for trial in sweep.trials] == ["completed", "pruned"]


def test_the_run_around_it_is_the_parent(study: Path) -> None:
    sweep = er.Sweep("s", space={"a": [1]}, objective="y", goal="minimize", strategy="grid")
    with er.start_run("outer") as outer:
        for config in sweep:
            with sweep.start_run(config) as run:
                run.log_metric("y", 1.0)
        assert er.current_run() is outer
    record = yaml.safe_load((study / "runs" / sweep.trials[0].run / "run.yaml").read_text())
    assert record["lineage"]["parents"] == [{"run": outer.id, "relationship": "hyperparameter_search"}]


def test_two_scripts_share_the_trials_and_a_killed_ones_is_done_again(world: World, study: Path) -> None:
    (study / "loop.py").write_text(LOOP)
    (study / "hold").touch()
    scripts = [
        subprocess.Popen(
            ["python", "loop.py"], cwd=study, env=world.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    until(lambda: len(list(study.glob("began-*"))) == 2)
    scripts[0].send_signal(signal.SIGKILL)
    (study / "hold").unlink()
    assert scripts[0].communicate() == (b"", b"")
    out, err = scripts[1].communicate(timeout=60)
    assert err == b""
    trials = seen(study, "ranks")["trials"]
    last = counted(trials)
    assert [trial["status"] for trial in last] == ["completed"] * 6
    assert [trial["status"] for trial in trials].count("lost") == 1
    assert int(out) == max(trial["params"]["rank"] for trial in last)


def test_a_declared_sweep_can_be_looped_over(study: Path) -> None:
    add_toy(study, SWEEP)
    sweep = er.Sweep("s")
    values = reported(sweep, "x")
    assert len(values) == 4
    assert sweep.best is not None
    assert sweep.best.value == min(values)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"space": {}}, r"er\.Sweep\('s'\): `space`: it is empty; expected at least one parameter to search"),
        ({"space": {"a": {"type": "int", "low": 3, "high": 1}}}, r"`space\.a\.low`: low is 3 and high 1"),
        ({"space": {"a": [1]}, "objective": None}, "the key `objective` is missing"),
        ({"space": {"a": [1]}, "goal": None}, "the key `goal` is missing"),
        ({"space": {"a": [1]}, "strategy": "annealing"}, "expected one of: grid, random, tpe"),
        ({"space": {"a": [1]}, "trials": 0}, "`budget.trials`: found 0, expected 1 or more"),
    ],
)
def test_bad_requests(study: Path, given: dict[str, object], words: str) -> None:
    usual = {"objective": "y", "goal": "minimize", "trials": 3}
    with pytest.raises(UsageError, match=words) as caught:
        er.Sweep("s", **{**usual, **given})  # type: ignore[arg-type]
    assert ", line" not in caught.value.message
    assert not (study / "sweeps" / "s").exists()


def test_outside_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotAStudyError):
        er.Sweep("s", space={"a": [1]}, objective="y", goal="minimize", trials=1)


def test_an_unknown_sweep(study: Path) -> None:
    write_sweep(study, SWEEP, name="rate")
    with pytest.raises(UsageError, match="no sweep named 'rte'"):
        er.Sweep("rte")
