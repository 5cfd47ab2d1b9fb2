"""`sweep.yaml`: what is wrong with one is named with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrenar_research.errors import InvalidFileError, ResearchError, UsageError
from entrenar_research.models.sweep import Choice, Condition, Real, Whole
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from tests.integration.sweeping import DECLARATION, GRID, SWEEP, add_toy, write_sweep

HEAD = SWEEP[: SWEEP.index("space:")]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "experiments").mkdir()
    return add_toy(tmp_path)


def load(study: Path, text: str) -> object:
    write_sweep(study, text)
    return SweepFiles(StudyFiles(study)).load("s")


def complaint(study: Path, text: str) -> ResearchError:
    with pytest.raises(UsageError) as caught:
        load(study, text)
    assert caught.value.exit_code == 2
    return caught.value


def test_everything_at_once(study: Path) -> None:
    write_sweep(
        study,
        """\
experiment: toy
description: All that there is.
objective: {metric: y}
strategy: tpe
pruning: {type: hyperband, min: 2, max: 20, factor: 2}
seed: 3
budget: {trials: 9, time: 2h}
keep: all
trace: observe
space:
  x: {type: float, low: 1e-3, high: 1, log: true}
  n: {type: int, low: 1, high: 9, step: 2}
  optimizer: [sgd, adam]
  momentum: {type: float, low: 0.0, high: 0.9, step: 0.1, when: {param: optimizer, is: [sgd]}}
  nested.deep: {type: choice, values: [1.0, 2.5]}
""",
    )
    sweep = SweepFiles(StudyFiles(study)).load("s")
    assert (sweep.goal, sweep.metric, sweep.seconds, sweep.file) == ("minimize", "y", 7200, "sweeps/s/sweep.yaml")
    assert sweep.space == {
        "n": Whole(low=1, high=9, step=2),
        "nested.deep": Choice(values=(1.0, 2.5)),
        "optimizer": Choice(values=("sgd", "adam")),
        "x": Real(low=0.001, high=1.0, log=True),
        "momentum": Real(low=0.0, high=0.9, step=0.1, when=Condition(param="optimizer", values=("sgd",))),
    }
    assert list(sweep.space)[-1] in ("momentum", "x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEAD + "space: {}\n", "line 6: `space`: it is empty; expected at least one parameter to search"),
        (HEAD + "space:\n", "line 6: `space`: it is empty"),
        (HEAD, "the key `space` is missing"),
        (HEAD + "space:\n  x: {type: float, low: 2, high: 1}\n", "line 7: `space.x.low`: low is 2 and high 1"),
        (HEAD + "space:\n  x: {type: float, low: 0, high: 1, log: true}\n", "line 7: `space.x.low`: low is 0; on a"),
        (HEAD + "space:\n  x: {type: flaot, low: 0, high: 1}\n", "line 7: `space.x.type`: invalid value 'flaot'"),
        (HEAD + "space:\n  x: {low: 0, high: 1}\n", "line 7: the key `space.x.type` is missing"),
        (HEAD + "space:\n  x: {type: int, low: 0.5, high: 1}\n", "line 7: `space.x.low`: expected int, got float"),
        (HEAD + "space:\n  x: {type: float, low: 0, hihg: 1}\n", "line 7: unknown key `space.x.hihg`; did you mean"),
        (HEAD + "space:\n  y: [1.0]\n", "line 7: `space.y`: no parameter named 'y' in experiments/toy/params.yaml"),
        (HEAD + "space:\n  n: {type: float, low: 0, high: 1}\n", "`space.n`: n is 2 in experiments/toy/params.yaml"),
        (HEAD + "space:\n  x: [fast]\n", "x is 1.5 in experiments/toy/params.yaml; found 'fast' among the values"),
        (HEAD + "space:\n  x: [true]\n", "found True among the values, expected numbers"),
        (HEAD + "space:\n  n: [1, 2.5]\n", "found 2.5 among the values, expected whole numbers"),
        (HEAD + "space:\n  optimizer: {type: int, low: 0, high: 1}\n", "found a range of numbers, expected text"),
        (
            HEAD + "space:\n  x: {type: float, low: 0, high: 1, when: {param: n, is: [1]}}\n",
            "line 7: `space.x.when.param`: no parameter named 'n' in the space",
        ),
        (
            HEAD + "space:\n  n: {type: int, low: 0, high: 1, when: {param: optimizer, is: [sgd]}}\n"
            "  optimizer: {type: choice, values: [sgd], when: {param: n, is: [1]}}\n",
            "line 7: `space.n.when`: the conditions go round in a circle: n -> optimizer -> n",
        ),
        (
            GRID.replace("[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", "{type: float, low: 0, high: 1}"),
            "line 5: `space.x`: a grid over a float needs a `step`",
        ),
        (SWEEP.replace("trials: 4", "trials: 0"), "line 5: `budget.trials`: found 0, expected 1 or more"),
        (SWEEP.replace("trials: 4", "trials: many"), "line 5: `budget.trials`: expected int"),
        (SWEEP.replace("{trials: 4}", "{}"), "line 5: `budget`: a random search has no end of its own"),
        (SWEEP.replace("trials: 4", "time: soon"), "line 5: `budget.time`: found 'soon', expected a duration"),
        (SWEEP.replace("seed: 7", "seed: -1"), "line 4: `seed`: found -1, expected 0 or more"),
        (SWEEP.replace("random", "bayes"), "line 3: `strategy`: invalid value 'bayes', expected one of: grid, random"),
        (SWEEP.replace("toy", "toi"), "line 1: `experiment`: no experiment named 'toi'"),
        (SWEEP.replace("{metric: y}", "{metric: z}"), "line 2: `objective`: the key `goal` is missing"),
        (SWEEP.replace("{metric: y}", "{goal: minimize}"), "line 2: the key `objective.metric` is missing"),
        (SWEEP.replace("seed", "sede"), "line 4: unknown key `sede`; did you mean `seed`?"),
        (SWEEP + "pruning: {type: hyperband, min: 0, max: 9}\n", "`pruning.min`: found 0, expected 1 or more"),
        (SWEEP + "pruning: {type: hyperband, min: 9, max: 3}\n", "`pruning.max`: min is 9 and max 3"),
        (SWEEP + "pruning: {type: hyperband, min: 1, max: 3, factor: 1}\n", "`pruning.factor`: found 1"),
        (SWEEP + "pruning: {type: median, min: 1, max: 3}\n", "invalid value 'median'"),
        ("- 1\n", "line 1: expected mapping, got list"),
        (SWEEP + "  x: [1.0]\n", "line 8: the key `x` stands a second time (first: line 7)"),
        (SWEEP.replace("objective:", "objective: ["), "sweeps/s/sweep.yaml, line"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_place(study: Path, text: str, words: str) -> None:
    error = complaint(study, text)
    assert isinstance(error, InvalidFileError)
    assert error.message.startswith("sweeps/s/sweep.yaml, line ")
    assert words in error.message


@pytest.mark.parametrize(
    ("command", "words", "hint"),
    [
        (
            "python experiments/toy/toy.py experiments/toy/params.yaml ${result}",
            "it names experiments/toy/params.yaml itself, so that every trial would read the same parameters",
            "write in experiments/toy/experiment.yaml: command: python experiments/toy/toy.py ${params} ${result}",
        ),
        (
            "python toy.py --params=./experiments/toy/params.yaml ${params} ${result}",
            "it names ./experiments/toy/params.yaml itself",
            "write in experiments/toy/experiment.yaml: command: python toy.py --params=${params} ${params} ${result}",
        ),
        (
            "python toy.py ${result} --n ${params.n}",
            "it does not take x, so that every trial would be the same",
            "let the program take it, for example: command: python toy.py ${result} --n ${params.n} --x ${params.x}",
        ),
    ],
)
def test_the_command_has_to_take_the_params_of_the_trial(study: Path, command: str, words: str, hint: str) -> None:
    declared = study / "experiments/toy/experiment.yaml"
    declared.write_text(
        "description: A toy.\n" + DECLARATION.replace(DECLARATION.splitlines()[0], f"command: {command}")
    )
    error = complaint(study, SWEEP)
    assert error.message.startswith("experiments/toy/experiment.yaml, line 2: `command`: ")
    assert words in error.message
    assert error.hint is not None
    assert error.hint.endswith(hint)


def test_a_command_that_takes_each_parameter(study: Path) -> None:
    declared = study / "experiments/toy/experiment.yaml"
    declared.write_text(DECLARATION.replace("${params}", "--x ${params.x}"))
    load(study, SWEEP)


def test_no_params_file(study: Path) -> None:
    declared = study / "experiments/toy/experiment.yaml"
    declared.write_text(DECLARATION.replace("params: experiments/toy/params.yaml\n", "").replace("${params}", ""))
    assert complaint(study, SWEEP).message == "toy has no params file, so there is nothing to search over"


def test_a_broken_experiment_is_named_itself(study: Path) -> None:
    (study / "experiments/toy/experiment.yaml").write_text(DECLARATION + "pln: {}\n")
    assert complaint(study, SWEEP).message.startswith("experiments/toy/experiment.yaml, line 7: unknown key `pln`")


def test_an_empty_params_file_has_nothing_to_search(study: Path) -> None:
    (study / "experiments/toy/params.yaml").write_text("")
    error = complaint(study, SWEEP)
    assert "no parameter named 'x' in experiments/toy/params.yaml" in error.message


@pytest.mark.parametrize("name", ["t", "../s", "s/", "", "."])
def test_unknown_names(study: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no sweep named"):
        SweepFiles(StudyFiles(study)).load(name)


def test_names_are_sorted(study: Path) -> None:
    write_sweep(study, SWEEP, name="a")
    (study / "sweeps" / "empty").mkdir()
    assert SweepFiles(StudyFiles(study)).names() == ("a", "s")


def test_workers_are_known_by_their_locks(study: Path) -> None:
    places = SweepFiles(StudyFiles(study))
    assert places.workers("s") == ()
    with places.at_work("s") as worker:
        assert places.workers("s") == (worker,)
        dead = study / ".entrenar/sweeps/s/workers/1-dead"
        dead.touch()
        assert places.workers("s") == (worker,)
        assert not places.alive("s", "1-dead")
        places.forget_dead("s")
        assert not dead.exists()
        assert places.alive("s", worker)
    assert places.workers("s") == ()
    assert not places.alive("s", worker)
