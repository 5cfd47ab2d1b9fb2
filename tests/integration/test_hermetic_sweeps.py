"""Sweeps, golden traces, relations and `dvc repro` by the runners nix and bwrap: done there, or refused in words."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from entrenar_research.models.golden import GoldenRecord
from entrenar_research.runners.bwrap import RUNNER as BWRAP
from entrenar_research.store.yaml_text import Document
from tests import hermetic
from tests.conftest import World
from tests.integration import sweeping
from tests.integration.test_nix_runner import record

pytestmark = [pytest.mark.nix, pytest.mark.slow]
PRUNING = "pruning: {type: hyperband, min: 1, max: 9}\n"
TRIALS = {"random": "budget: {trials: 4}", "grid": ""}
ASKED = ("option", "variable")


@pytest.fixture
def study(tiny: Path, world: World) -> Path:
    world.environment["ENTRENAR_NIX_STORE"] = str(hermetic.store())
    hermetic.equip(tiny)
    return tiny


@pytest.fixture
def bwrap() -> None:
    if (reason := BWRAP.unavailable({})) is not None:
        pytest.skip(reason)


def runners(study: Path) -> dict[str, set[str]]:
    """Which runners made the runs of each experiment."""
    found: dict[str, set[str]] = {}
    for path in (study / "runs").glob("*/run.yaml"):
        lines = dict(line.split(": ", 1) for line in path.read_text().splitlines() if ": " in line)
        found.setdefault(lines["experiment"], set()).add(lines["runner"])
    return found


def best(study: Path, name: str = "s") -> list[tuple[object, object]]:
    return [(trial["params"], trial["value"]) for trial in sweeping.seen(study, name)["trials"]]


@pytest.mark.parametrize("asked", ASKED)
def test_a_sweep_is_carried_out_in_the_sandbox(study: Path, world: World, asked: str) -> None:
    sweeping.add_toy(study)
    sweeping.write_sweep(study, sweeping.SWEEP, name="by-hand")
    experiments = study / "nix" / "experiments.json"
    before = experiments.read_bytes() if experiments.is_file() else None
    words = ("--runner", "nix") if asked == "option" else ()
    variable = {} if asked == "option" else {"ENTRENAR_RUNNER": "nix"}
    world.tool("sweep", "run", "s", "--workers", "2", *words, cwd=study, env=variable)
    assert runners(study)["toy"] == {"nix"}
    assert (experiments.read_bytes() if experiments.is_file() else None) == before
    world.tool("sweep", "run", "by-hand", cwd=study)
    assert sorted(map(repr, best(study))) == sorted(map(repr, best(study, "by-hand")))
    run = record(study, "toy")
    assert run.trial is not None


def test_a_sweep_that_was_interrupted_goes_on(study: Path, world: World) -> None:
    waiting = sweeping.SCRIPT.replace("x, optimizer =", "time.sleep(600 if params['n'] == '9' else 0)\nx, optimizer =")
    sweeping.add_toy(study, sweeping.GRID, script=waiting)
    params = study / "experiments" / "toy" / "params.yaml"
    params.write_text(sweeping.PARAMS.replace("n: 2", "n: 9"))
    child = sweeping.begin(world, study, "--runner", "nix", "--workers", "2")
    sweeping.until(lambda: sum(1 for _ in (study / ".entrenar" / "staging").glob("*/nix-build-*")) == 2)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "go on with `entrenar-research sweep run s --resume --runner nix`" in said
    trials = sweeping.seen(study)["trials"]
    assert [trial["status"] for trial in trials] == ["cancelled", "cancelled"]
    assert not list((study / ".entrenar" / "staging").iterdir())
    params.write_text(sweeping.PARAMS)
    for verb in (("run", "s", "--resume"), ("work", "s")):
        said = world.tool("sweep", *verb, cwd=study, status=2).stderr
        assert "the 2 trials of s are the runner nix's, and this is host" in said
        assert "go on with `--runner nix`" in said
    world.tool("sweep", "run", "s", "--runner", "nix", "--resume", cwd=study)
    done = sweeping.counted(sweeping.seen(study)["trials"])
    assert [(trial["params"]["x"], trial["value"]) for trial in done] == [(x, (x - 3) ** 2) for x in range(1, 7)]


@pytest.mark.parametrize("asked", ASKED)
def test_pruning_is_refused_where_nothing_is_seen_in_time(study: Path, world: World, asked: str) -> None:
    sweeping.add_toy(study, sweeping.SWEEP + PRUNING)
    words = ("--runner", "nix") if asked == "option" else ()
    variable = {} if asked == "option" else {"ENTRENAR_RUNNER": "nix"}
    for verb in ("run", "work"):
        said = world.tool("sweep", verb, "s", *words, cwd=study, env=variable, status=2).stderr
        assert "asks for pruning" in said
        assert "does not leave the sandbox" in said
    assert not (study / "sweeps" / "s" / "journal.log").exists()
    assert "toy" not in runners(study)


def test_trials_are_pruned_in_the_world_of_bwrap(study: Path, world: World, bwrap: None) -> None:
    script = (
        "import sys, time\nimport entrenar_research as er\n"
        "params = dict(line.partition('#')[0].split(': ', 1) for line in open(sys.argv[1]) if ': ' in line)\n"
        "run = er.current_run()\n"
        "for step in range(1, 4): run.log_metric('y', float(params['x']), step)\n"
        "open(sys.argv[2] + '/metrics.json', 'w').write('{\"y\": %s}' % params['x'])\n"
    )
    text = sweeping.GRID + "pruning: {type: hyperband, min: 1, max: 3, factor: 3}\n"
    sweeping.add_toy(study, text.replace("[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]", "[1.0, 5.0, 6.0, 7.0]"), script=script)
    declaration = study / "experiments" / "toy" / "experiment.yaml"
    declaration.write_text(declaration.read_text().replace("y: {goal", "y: {file: metrics.json, goal"))
    world.tool("sweep", "run", "s", "--runner", "bwrap", cwd=study)
    states = {trial["status"] for trial in sweeping.seen(study)["trials"]}
    assert states == {"completed", "pruned"}
    assert runners(study)["toy"] == {"bwrap"}


def test_a_golden_trace_is_repeated_by_what_made_it(study: Path, world: World) -> None:
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    run = record(study, "line")
    said = world.tool("golden", "promote", run.id, "--as", "sealed", "--runner", "host", cwd=study, status=2).stderr
    assert "was made by the runner nix" in said
    assert not (study / "golden_traces" / "sealed").exists()
    before = outputs(world)
    world.tool("golden", "promote", run.id, "--as", "sealed", "--repeat", "2", cwd=study)
    assert outputs(world) >= before + 2 + 3, "repetitions, one of them to warm up, were not built"
    golden = Document((study / "golden_traces" / "sealed" / "golden.yaml").read_text(), "").convert(GoldenRecord)
    assert golden.runner == "nix"
    assert golden.tracer == run.trace.tracer
    assert (golden.noise.traced, golden.noise.agreed, len(golden.repetitions)) == (2, 2, 2)
    assert all(0 < item.wall < 60 for item in golden.repetitions)
    assert "the same calls" in world.tool("golden", "check", "sealed", cwd=study).stdout
    variable = {"ENTRENAR_RUNNER": "host"}
    said = world.tool("golden", "check", "sealed", cwd=study, env=variable, status=2).stderr
    assert "the golden trace sealed was made by the runner nix" in said
    script = study / "experiments" / "line" / "train.py"
    script.write_text(script.read_text() + "open(params_file)\n")
    assert "params.yaml" in world.tool("golden", "check", "sealed", cwd=study, status=1).stdout


def outputs(world: World) -> int:
    """How many results of the experiment the store has."""
    return sum(1 for _ in Path(world.environment["ENTRENAR_NIX_STORE"]).glob("nix/store/*-line-*-trace"))


def test_one_that_the_host_made_is_not_checked_by_nix(study: Path, world: World) -> None:
    variable = {"ENTRENAR_RUNNER": "nix"}
    said = world.tool("golden", "check", "line", cwd=study, env=variable, status=2).stderr
    assert "the golden trace line was made by the runner host" in said
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    said = world.tool("golden", "check", "line", "--run", "line", cwd=study, status=2).stderr
    assert "was made by the runner nix, the golden trace line by host" in said


def test_one_that_bwrap_made_is_repeated_there(study: Path, world: World, bwrap: None) -> None:
    world.tool("run", "line", "--runner", "bwrap", "--force", "--quiet", cwd=study)
    world.tool("golden", "promote", "line", "--as", "inside", "--repeat", "2", cwd=study)
    golden = Document((study / "golden_traces" / "inside" / "golden.yaml").read_text(), "").convert(GoldenRecord)
    assert (golden.runner, golden.noise.agreed, len(golden.repetitions)) == ("bwrap", 2, 2)
    world.tool("golden", "check", "inside", "--runner", "bwrap", cwd=study)


RELATIONS = """\
relations:
  - {kind: identity, metrics: [loss, weight], outputs: [curve.csv]}
  - kind: multiplicative
    variant: {inputs: [{file: data/points.csv, scale: 2, columns: [1]}]}
    metrics: [weight]
    factor: 2
"""


@pytest.mark.parametrize("runner", ["nix", "bwrap"])
def test_relations_are_tested_in_that_world(study: Path, world: World, runner: str, bwrap: None) -> None:
    declaration = study / "experiments" / "line" / "experiment.yaml"
    declaration.write_text(declaration.read_text() + RELATIONS)
    before = outputs(world)
    shown = world.tool("experiment", "relations", "line", cwd=study, env={"ENTRENAR_RUNNER": runner}).stdout
    assert shown.splitlines() == ["identity: holds", "multiplicative: holds"]
    assert (outputs(world) >= before + 3) == (runner == "nix"), "the base, it again, and the variant"


@pytest.mark.parametrize("runner", ["nix", "bwrap"])
def test_dvc_runs_it_in_that_world(study: Path, world: World, runner: str, bwrap: None) -> None:
    params = study / "experiments" / "line" / "params.yaml"
    params.write_text(params.read_text().replace("steps: 20", "steps: 21"))
    world.run("dvc", "repro", "line", cwd=study, env={"ENTRENAR_RUNNER": runner})
    assert record(study, "line").runner == runner
    assert "up to date" in world.run("dvc", "repro", cwd=study).stdout


def test_the_status_of_a_hermetic_run_goes_by_the_toolchain(study: Path, world: World) -> None:
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    states = json.loads(world.tool("status", "--format", "json", cwd=study).stdout)["experiments"]
    assert {item["name"]: item["state"] for item in states}["line"] == "up to date"


def test_verify_replays_where_it_is_asked_to_and_anew(study: Path, world: World) -> None:
    before = outputs(world)
    for repeated in (1, 2):
        world.tool("verify", cwd=study, env={"ENTRENAR_RUNNER": "nix"}, status=None)
        assert outputs(world) == before + repeated, "what was built before is no replay"


def test_a_command_without_a_declaration_is_not_run(study: Path, world: World) -> None:
    for runner in ("nix", "bwrap"):
        said = world.tool(
            "experiment", "add", "new", "--yes", "--", "python", "-c", "open('made', 'w')",
            cwd=study, env={"ENTRENAR_RUNNER": runner}, status=2,
        ).stderr  # fmt: skip
        assert f"the runner is {runner}" in said
    assert not (study / "made").exists()
    assert not (study / "experiments" / "new").exists()


def test_without_nix_nothing_is_begun(study: Path, world: World) -> None:
    sweeping.add_toy(study)
    declaration = study / "experiments" / "line" / "experiment.yaml"
    declaration.write_text(declaration.read_text() + RELATIONS)
    away = {"PATH": f"{hermetic.TOOL.parent}:/nowhere", "ENTRENAR_RUNNER": "nix"}
    for words in (("sweep", "run", "s"), ("experiment", "relations", "line"), ("run", "line", "--force")):
        done = world.run(hermetic.TOOL, *words, cwd=study, env=away, status=3)
        assert "nix is not installed" in done.stderr
    assert "toy" not in runners(study)
