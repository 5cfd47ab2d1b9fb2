"""The command `sweep` as people meet it: what it shows, asks, refuses."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from entrenar_research.actions.sweeps.sitting import Overview
from entrenar_research.core.sweeps import draft
from entrenar_research.core.sweeps.standing import Standing
from entrenar_research.models.experiment import Declaration, Experiment, Metric
from entrenar_research.models.sweep import TrialRecord
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.store.yaml_text import Document
from entrenar_research.views.terminal import sweeps as view
from tests.cli.conftest import Door, Terminal
from tests.conftest import World
from tests.integration.sweeping import GRID, SWEEP, add_toy, work, write_sweep


@pytest.fixture
def study(tiny: Path) -> Path:
    return add_toy(tiny)


def test_new_writes_a_sweep_that_runs(door: Door, study: Path) -> None:
    said = door("sweep", "new", "first", "--experiment", "toy", "--yes", cwd=study)
    assert said.status == 0
    text = (study / "sweeps/first/sweep.yaml").read_text()
    end = "wrote sweeps/first/sweep.yaml; edit it, then `entrenar-research sweep run first`\n"
    assert said.out == f"# sweeps/first/sweep.yaml\n{text}{end}"
    sweep = SweepFiles(StudyFiles(study)).load("first")
    assert (sweep.metric, sweep.goal, list(sweep.space)) == ("y", "minimize", ["momentum", "nested.deep", "x"])
    assert "  # n: {type: int, low: 1, high: 4}\n" in text
    assert '  # optimizer: ["sgd"]\n' in text
    for line in re.findall(r"^  # (\w+: .*)$", text, re.MULTILINE):
        (study / "sweeps/first/sweep.yaml").write_text(text.replace(f"  # {line}", f"  {line}"))
        SweepFiles(StudyFiles(study)).load("first")
    again = door("sweep", "new", "first", "--experiment", "toy", "--yes", cwd=study)
    assert again.complaint == ("there is a sweep 'first' already", "take another name, or edit its sweep.yaml")


def test_new_is_shown_and_asked_for(door: Door, terminal: Terminal, study: Path) -> None:
    said = door("sweep", "new", "first", "--experiment", "toy", cwd=study)
    assert said.status == 2
    assert "there is nobody to ask whether this is right; nothing was written" in said.err
    answered = terminal(
        "entrenar-research", "sweep", "new", "first", "--experiment", "toy", cwd=study, answers=[("Write this?", "n\n")]
    )
    assert "nothing was written" in answered.out
    assert not (study / "sweeps/first").exists()


def test_new_says_what_has_to_be_done_first(door: Door, study: Path) -> None:
    declared = study / "experiments/toy/experiment.yaml"
    declared.write_text(declared.read_text().replace("${params}", "experiments/toy/params.yaml"))
    said = door("sweep", "new", "first", "--experiment", "toy", "--yes", cwd=study)
    assert said.status == 0
    assert said.err.startswith("note: before it can run: experiments/toy/experiment.yaml: `command`: it names ")
    assert said.err.endswith("; write command: python experiments/toy/toy.py ${params} ${result}\n")


@pytest.mark.parametrize(
    ("params", "lines"),
    [
        (
            {"a": 1.0, "b": 2},
            ["a: {type: float, low: 0.1, high: 10.0, log: true}", "# b: {type: int, low: 1, high: 4}"],
        ),
        ({"a": 0.0, "b": -2.0}, ["a: {type: float, low: 0.0, high: 1.0}", "b: {type: float, low: -4.0, high: 0.0}"]),
        ({"b": True, "n": 0}, ["# b: [true, false]", "n: {type: int, low: 0, high: 10}"]),
        ({"m": -3, "n": 1}, ["m: {type: int, low: -6, high: -2}", "# n: {type: int, low: 0, high: 2}"]),
        ({"b": "x: y"}, ['b: ["x: y"]']),
        ({"odd key": 1, "7": "é"}, ['"odd key": {type: int, low: 0, high: 2}', '# "7": ["é"]']),
    ],
)
def test_what_is_proposed(params: dict[str, object], lines: list[str]) -> None:
    experiment = Experiment(name="e", declaration=Declaration(command="x", metrics={"m": Metric(goal="maximize")}))
    text = draft.text("s", experiment, params)
    assert text.partition("space:\n")[2].splitlines() == [f"  {line}" for line in lines]
    assert "objective: {metric: m, goal: maximize}\n" in text
    assert Document(text, "sweep.yaml").value["experiment"] == "e"


def test_nothing_yet(door: Door, tiny: Path) -> None:
    assert door("sweep", "list", cwd=tiny).out.startswith("no sweeps yet: `entrenar-research sweep new NAME")
    add_toy(tiny)
    shown = door("sweep", "show", "s", cwd=tiny).out
    assert shown == (
        "s: a random search of toy for the lowest y, seed 7\nno trials yet: `entrenar-research sweep run s` begins\n"
    )
    assert not (tiny / "sweeps/s/journal.log").exists()
    assert door("sweep", "best", "s", cwd=tiny).complaint[0] == "no trial of s is completed yet"


def test_show_list_and_best(door: Door, world: World, study: Path) -> None:
    write_sweep(study, GRID.replace("[1.0, 2.0", "[1.0, 13.0"))
    trials = work(world, study)
    lines = door("sweep", "show", "s", cwd=study).out.splitlines()
    assert lines[0] == "s: a grid of toy for the lowest y, seed 0"
    assert lines[1].split() == ["trial", "status", "y", "x", "time", "run", "note"]
    assert lines[2].split()[:4] == ["0", "completed", "4", "1"]
    assert lines[3].split()[:3] == ["1", "failed", "13"]
    assert lines[3].endswith("the command of toy ended with exit status 1: unlucky thirteen")
    assert lines[4].split()[:4] == ["2", "completed", "0", "3"]
    assert lines[4].endswith("best")
    assert lines[8:] == [
        "6 trials: 5 completed, 1 failed",
        f"best: trial 2, y 0 with x=3 (run {trials[2]['run']})",
        "hint: `entrenar-research sweep best s --apply` puts these into the params file",
    ]
    top = door("sweep", "show", "s", "--top", "2", cwd=study).out.splitlines()
    assert [line.split()[0] for line in top[2:4]] == ["2", "3"]
    listed = door("sweep", "list", cwd=study).out.splitlines()
    assert [line.split() for line in listed] == [
        ["sweep", "experiment", "strategy", "trials", "state", "best"], ["s", "toy", "grid", "6/6", "done", "y", "0"],
    ]  # fmt: skip
    assert door("sweep", "best", "s", cwd=study).out == f"trial 2: y 0 (run {trials[2]['run']})\nx  3\n"
    found = json.loads(door("sweep", "list", "--format", "json", cwd=study).out)
    assert [(item["name"], item["trials"], item["over"]) for item in found] == [("s", 6, True)]


def test_json_of_a_run(door: Door, study: Path) -> None:
    said = door("sweep", "run", "s", "--trials", "1", "--format", "json", cwd=study)
    assert said.status == 0
    found = json.loads(said.out)
    assert (found["done"], found["over"], found["best"]["number"]) == (1, True, 0)
    assert said.err.startswith("trial 0  completed  y ")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "s", "--workers", "0"], "--workers 0: expected a number from 1 to 256"),
        (["run", "s", "--workers", "9999"], "--workers 9999: expected a number from 1 to 256"),
        (["run", "s", "--trials", "0"], "--trials 0: expected 1 or more"),
        (["show", "s", "--top", "0"], "--top 0: expected 1 or more"),
        (["run", "t"], "no sweep named 't'"),
        (["new", "a/b", "--experiment", "toy", "--yes"], "sweep name 'a/b': expected letters"),
        (["new", "a", "--experiment", "tyo", "--yes"], "no experiment named 'tyo'"),
    ],
)
def test_bad_requests(door: Door, study: Path, words: list[str], complaint: str) -> None:
    said = door("sweep", *words, cwd=study)
    assert said.status == 2
    assert said.complaint[0].startswith(complaint)


def test_a_changed_search_is_refused(door: Door, world: World, study: Path) -> None:
    work(world, study)
    write_sweep(study, SWEEP.replace("seed: 7", "seed: 8").replace("high: 10.0", "high: 9.0"))
    said = door("sweep", "run", "s", "--resume", cwd=study)
    assert said.status == 2
    assert said.complaint[0] == (
        "sweeps/s/sweep.yaml: seed, space changed since the first trial of s, "
        "and its 4 trials were made with what it was"
    )


def test_without_optuna(door: Door, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    said = door("sweep", "run", "s", cwd=study)
    assert said.status == 3
    assert said.complaint == (
        "sweeps need Optuna, which is not installed", "pip install 'entrenar-research[sweeps]'",
    )  # fmt: skip


def test_on_a_terminal(terminal: Terminal, study: Path) -> None:
    said = terminal("entrenar-research", "sweep", "run", "s", "--workers", "2", cwd=study, columns=60)
    assert said.status == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.out)
    assert "━" in plain
    assert "s: a random search of toy for the lowest y, seed 7" in plain
    assert "s: 4 trials: 4 completed" in plain
    shown = terminal("entrenar-research", "sweep", "show", "s", cwd=study, columns=60).out
    assert "┌" in shown
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in shown.splitlines() if "│" in line) <= 60


def overview_of(study: Path, trials: int, running: int) -> Overview:
    sweep = SweepFiles(StudyFiles(study)).load("s")
    made = [
        TrialRecord(
            number=number, slot=number, params={"x": 1.0 / (number + 1)}, run=f"r{number}",
            status="running" if number >= trials - running else "completed",
            value=None if number >= trials - running else float(number),
            started="2026-01-01T00:00:00.000Z", seconds=1.0,
        )
        for number in range(trials)
    ]  # fmt: skip
    return Overview(sweep=sweep, standing=Standing(made), limit=200, workers=running)


@pytest.mark.parametrize(("columns", "lines"), [(40, 8), (80, 24), (200, 50)])
@pytest.mark.parametrize(("trials", "running"), [(0, 0), (3, 3), (100, 64), (100, 1), (200, 0)])
def test_the_overview_fits(study: Path, columns: int, lines: int, trials: int, running: int) -> None:
    found = view.overview(overview_of(study, trials, running), columns, lines, 12.0)
    assert len(found) < lines
    assert all(len(line) < columns and "\n" not in line for line, _ in found)
    shown = sum(line.startswith("trial ") and "  running  " in line for line, _ in found)
    more = [line for line, _ in found if line.startswith("and ")]
    assert not more or int(more[0].split()[1]) + shown == running
    assert more or shown == running
