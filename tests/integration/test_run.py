"""`run`: when it runs and why, what it sets, what it records, and what it says of what was not declared."""

from __future__ import annotations

import datetime
import json
import platform
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrenar_research.core.traces import document
from entrenar_research.core.traces.storing import packed
from entrenar_research.store import run_files
from tests.conftest import DECLARATION, PARAMS, World

SCRIPT = "experiments/line/train.py"


def run(world: World, study: Path, *options: str, status: int = 0, env: dict[str, str] | None = None) -> Any:
    return world.tool("run", "line", "--quiet", *options, cwd=study, status=status, env=env)


def told(world: World, study: Path, *options: str) -> Any:
    return json.loads(run(world, study, "--format", "json", *options).stdout)


def latest(study: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(max(study.glob("runs/*/run.yaml")).read_text())
    return found


def declare(study: Path, old: str, new: str) -> None:
    path = study / "experiments/line/experiment.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def prepend(study: Path, text: str, path: str = SCRIPT) -> None:
    (study / path).write_text(text + (study / path).read_text())


def test_nothing_changed_and_nothing_runs_unless_forced(world: World, tiny: Path) -> None:
    before = sorted(tiny.glob("runs/*"))
    first = told(world, tiny)
    assert (first["up_to_date"], first["reasons"], first["drift"]) == (True, [], [])
    assert sorted(tiny.glob("runs/*")) == before
    forced = told(world, tiny, "--force")
    assert (forced["up_to_date"], forced["reasons"]) == (False, ["it was asked for (--force)"])
    assert forced["run"]["result"] == first["run"]["result"]
    assert forced["run"]["recipe"] == first["run"]["recipe"]
    assert forced["run"]["id"] > first["run"]["id"]


def test_why_it_runs_is_said_for_everything_that_changed(world: World, tiny: Path) -> None:
    (tiny / "experiments/line/params.yaml").write_text(PARAMS.replace("20", "21"))
    (tiny / "data/points.csv").write_text("1,2\n")
    prepend(tiny, "# changed\n", "experiments/line/slope.py")
    declare(tiny, "${result}", "${result} ignored")
    declare(tiny, "trace: full", "trace: full\nseed: 4\nplan: {cpus: 2}")
    reasons = told(world, tiny)["reasons"]
    digest = r"[0-9a-f]{12} -> [0-9a-f]{12}"
    expected = [
        r"command: python .* \$\{result\} -> python .* \$\{result\} ignored",
        "seed: None -> 4",
        "parameter steps: 20 -> 21",
        f"code experiments/line/slope.py: {digest}",
        f"input data/points.csv: {digest}",
        *[f"environment {name}_NUM_THREADS: 1 -> 2" for name in ("MKL", "NUMEXPR", "OMP", "OPENBLAS")],
    ]
    assert len(reasons) == len(expected)
    assert all(re.fullmatch(pattern, words) for pattern, words in zip(expected, reasons, strict=True))
    assert latest(tiny)["reasons"] == reasons
    assert told(world, tiny)["up_to_date"]


def test_a_result_that_is_gone_or_changed_is_made_again(world: World, tiny: Path) -> None:
    curve = tiny / "experiments/line/result/curve.csv"
    before = curve.read_bytes()
    curve.write_text("spoiled")
    (reason,) = told(world, tiny)["reasons"]
    assert re.fullmatch(r"its result is not that of run \S+-line-\w+", reason)
    assert curve.read_bytes() == before
    curve.rename(tiny / "aside")
    (tiny / "experiments/line/result/metrics.json").unlink()
    curve.parent.rmdir()
    assert told(world, tiny)["reasons"] == ["its result is missing"]
    assert curve.read_bytes() == before
    assert world.run("git", "status", "--short", "experiments", "dvc.lock", cwd=tiny).stdout == ""


def test_parameters_are_set_in_their_file_and_nowhere_else(world: World, tiny: Path) -> None:
    done = run(world, tiny, "--set", "rate=0.1", "--set", "steps=5")
    assert "rate: 0.05 -> 0.1" in done.stdout
    assert (tiny / "experiments/line/params.yaml").read_text() == PARAMS.replace("0.05", "0.1").replace("20", "5")
    assert latest(tiny)["params"] == {"rate": 0.1, "steps": 5}
    assert latest(tiny)["reasons"] == ["parameter rate: 0.05 -> 0.1", "parameter steps: 20 -> 5"]
    assert yaml.safe_load((tiny / "dvc.lock").read_text())["stages"]["line"]["params"] == {
        "experiments/line/experiment.yaml": {"command": yaml.safe_load(DECLARATION)["command"]},
        "experiments/line/params.yaml": {"rate": 0.1, "steps": 5},
    }
    (tiny / "experiments/line/params.yaml").write_text("rate: 0.1\nsteps: 5\nmodel: {depth: 1}  # nested\n")
    run(world, tiny, "--set", "model.depth=2")
    assert (tiny / "experiments/line/params.yaml").read_text().endswith("model: {depth: 2}  # nested\n")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("rat=1", "no parameter named 'rat'"),
        ("steps=many", "steps is 20 (int); found 'many' (str), expected int"),
        ("steps", "'steps': expected KEY=VALUE"),
        ("steps=[", "the value of steps, line 2"),
    ],
)
def test_what_cannot_be_set_changes_nothing(world: World, tiny: Path, option: str, said: str) -> None:
    before = sorted(tiny.glob("runs/*"))
    assert said in run(world, tiny, "--set", option, status=2).stderr
    assert (tiny / "experiments/line/params.yaml").read_text() == PARAMS
    assert sorted(tiny.glob("runs/*")) == before


def test_setting_needs_a_params_file(world: World, tiny: Path) -> None:
    declare(tiny, "params: experiments/line/params.yaml\n", "")
    declare(tiny, "${params}", "experiments/line/params.yaml")
    assert "line has no params file, so nothing can be set" in run(world, tiny, "--set", "a=1", status=2).stderr


UNDECLARED = 'open("data/extra.csv").read()\nopen("scratch.txt", "w").write("x")\nimport hidden\n'


@pytest.fixture
def careless(tiny: Path) -> Path:
    """The tiny study with a script that does what it does not declare, and declares what it does not do."""
    prepend(tiny, UNDECLARED)
    (tiny / "data/extra.csv").write_text("1\n")
    (tiny / "data/unread.csv").write_text("1\n")
    (tiny / "experiments/line/hidden.py").write_text("")
    declare(tiny, "inputs: [data/points.csv]", "inputs: [data/points.csv, data/unread.csv]  # all")
    return tiny


def test_what_is_not_declared_is_said_and_recorded(world: World, careless: Path) -> None:
    done = run(world, careless)
    assert "reads data/extra.csv, which is not declared" in done.stdout
    assert "the declared input data/unread.csv was not read" in done.stdout
    assert latest(careless)["observed"] == {
        "undeclared_reads": ["data/extra.csv", "experiments/line/hidden.py"],
        "undeclared_writes": ["scratch.txt"],
        "unused_inputs": ["data/unread.csv"],
    }
    assert latest(careless)["status"] == "completed"


def test_strict_fails_and_leaves_the_last_good_result(world: World, careless: Path) -> None:
    before = (careless / "experiments/line/result/curve.csv").stat()
    lock = (careless / "dvc.lock").read_bytes()
    done = run(world, careless, "--strict", status=1)
    assert "reads data/extra.csv without declaring it" in done.stderr
    assert "--fix" in done.stderr
    assert (latest(careless)["status"], latest(careless)["exit_status"]) == ("failed", 0)
    assert "reads data/extra.csv without declaring it" in latest(careless)["failure"]
    assert (careless / "experiments/line/result/curve.csv").stat().st_ino == before.st_ino
    assert (careless / "dvc.lock").read_bytes() == lock


@pytest.mark.parametrize("option", ["--strict", "--fix"])
def test_after_an_untraced_run_it_is_not_up_to_date_for_them(world: World, tiny: Path, option: str) -> None:
    run(world, tiny, "--force", "--trace", "none")
    untraced = latest(tiny)["id"]
    assert told(world, tiny)["up_to_date"]
    assert f"nothing was observed of run {untraced}" in run(world, tiny, option).stdout
    assert latest(tiny)["observed"] is not None
    assert "up to date" in run(world, tiny, option).stdout


@pytest.mark.parametrize("option", ["--strict", "--fix"])
def test_they_need_a_trace_to_go_by(world: World, tiny: Path, option: str) -> None:
    before = latest(tiny)["id"]
    done = run(world, tiny, "--force", "--trace", "none", option, status=2)
    assert f"error: {option} goes by what is observed of the run, and line is not traced" in done.stderr
    assert latest(tiny)["id"] == before


def test_fix_declares_what_was_read(world: World, careless: Path) -> None:
    done = run(world, careless, "--fix")
    assert "data/extra.csv is declared as an input" in done.stdout
    text = (careless / "experiments/line/experiment.yaml").read_text()
    assert "inputs: [data/points.csv, data/unread.csv, data/extra.csv]  # all\n" in text
    assert "experiments/line/hidden.py]\n" in text
    assert "undeclared_reads" not in latest(careless)["observed"]
    assert [item["path"] for item in latest(careless)["inputs"]] == [
        "data/points.csv",
        "data/unread.csv",
        "data/extra.csv",
    ]
    assert told(world, careless)["up_to_date"]
    run(world, careless, "--strict", "--force")
    assert world.run("dvc", "status", cwd=careless).stdout == "Data and pipelines are up to date.\n"


def test_untraced_says_so_and_records_what_is_installed(world: World, tiny: Path) -> None:
    traced = latest(tiny)
    assert (traced["environment"]["packages_scope"], traced["trace"]["status"]) == ("loaded", "recorded")
    assert set(traced["environment"]["packages"]) == {"pyyaml"}
    assert traced["environment"]["python"] == platform.python_version()
    assert "not traced" in run(world, tiny, "--force", "--trace", "none").stdout
    found = latest(tiny)
    assert found["trace"] == {} or found["trace"]["level"] == "none"
    assert "observed" not in found
    assert told(world, tiny)["up_to_date"]
    (tiny / "experiments/line/slope.py").touch()
    assert told(world, tiny)["up_to_date"]


def test_evidence_and_result_have_no_paths_of_this_machine(world: World, tiny: Path) -> None:
    place = max(tiny.glob("runs/*"))
    for path in [*place.rglob("*"), *(tiny / "experiments/line/result").iterdir()]:
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".trace":
                data = document.encode(packed.unpack(data, path.name))
            assert str(world.home.parent).encode() not in data, path
            assert str(Path(sys.prefix)).encode() not in data, path
    assert latest(tiny)["environment"]["variables"]["PYTHONHASHSEED"] == "0"


BROKEN = [
    (
        ("loss: {file: metrics.json", "los: {file: metrics.json"),
        "result/metrics.json: the metric `los` is missing: no `los` (there is: loss, weight)",
    ),
    (
        ("outputs: [curve.csv, metrics.json]", "outputs: [curve.csv, metrics.json, model.bin]"),
        "the command ended well but did not write: model.bin (declared in experiments/line/experiment.yaml)",
    ),
    (
        ("outputs: [curve.csv,", "outputs: [curve.csv, {path: x, from: out/x},"),
        "the command ended well but did not write out/x (declared in experiments/line/experiment.yaml)",
    ),
]


@pytest.mark.parametrize(("change", "said"), BROKEN)
def test_a_promise_that_is_not_kept_fails_the_run(world: World, tiny: Path, change: tuple[str, str], said: str) -> None:
    result = tiny / "experiments/line/result"
    before = (result / "metrics.json").stat().st_ino
    declare(tiny, *change)
    assert said in run(world, tiny, status=1).stderr
    assert (latest(tiny)["status"], latest(tiny)["failure"]) == ("failed", said)
    assert (result / "metrics.json").stat().st_ino == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("inputs: [data/points.csv]", "inputs: [data/point.csv]"), "missing input: data/point.csv (declared in"),
        (("slope.py]", "slop.py]"), "missing code file: experiments/line/slop.py (declared in"),
        (("params: experiments/line/params.yaml", "params: p.yaml"), "p.yaml: no such file; experiments/line/"),
        (("command: python", "command: pythonic"), "command not found: pythonic"),
        (("${result}", "${reslt}"), "command: no placeholder named 'reslt'"),
        (("trace: full", "trace: fully"), "experiments/line/experiment.yaml, line 12: `trace`: invalid value 'fully'"),
    ],
)
def test_what_cannot_run_is_a_usage_error_and_no_run(
    world: World, tiny: Path, change: tuple[str, str], said: str
) -> None:
    before = sorted(tiny.glob("runs/*"))
    declare(tiny, *change)
    assert said in run(world, tiny, status=2).stderr
    assert sorted(tiny.glob("runs/*")) == before
    assert not list(tiny.glob(".entrenar/staging/*"))


def test_missing_data_under_dvc_can_be_fetched(world: World, tiny: Path) -> None:
    (tiny / "data/points.csv").unlink()
    assert "hint: it is under DVC: fetch it with `dvc pull data/points.csv`" in run(world, tiny, status=2).stderr


def test_metrics_of_every_kind_of_json_are_read(world: World, tiny: Path) -> None:
    prepend(
        tiny,
        "import json as j\ndump = j.dump\nj.dump = lambda d, f, **k: dump({**d, 'n': '\U0001f600'}, f, indent='\\t')\n",
    )
    run(world, tiny)
    assert b"\\ud83d" in (tiny / "experiments/line/result/metrics.json").read_bytes()
    assert latest(tiny)["metrics"].keys() == {"loss", "weight"}


def test_a_run_from_below_and_from_elsewhere_is_the_same_run(world: World, tiny: Path) -> None:
    script = tiny / "experiments/line/go.sh"
    script.write_text('#!/bin/sh\nexec python "$@"\n')
    script.chmod(0o755)
    declare(tiny, "command: python", "command: ./experiments/line/go.sh")
    declare(tiny, "slope.py]", "slope.py, experiments/line/go.sh]")
    world.tool("run", "line", "--quiet", cwd=tiny / "data")
    assert latest(tiny)["argv"][0] == "./experiments/line/go.sh"
    assert latest(tiny)["environment"]["program"] == "go.sh"
    assert told(world, tiny)["up_to_date"]


def test_drift_of_dvc_yaml_is_said_with_every_run(world: World, tiny: Path) -> None:
    text = (tiny / "dvc.yaml").read_text()
    (tiny / "dvc.yaml").write_text(text.replace("    - experiments/line/slope.py\n", ""))
    done = run(world, tiny)
    words = (
        "experiments/line/experiment.yaml declares the dependency experiments/line/slope.py, dvc.yaml does not list it"
    )
    assert f"warning: {words}" in done.stdout
    assert "experiment sync line" in done.stdout
    assert told(world, tiny)["drift"] == [words]
    world.tool("experiment", "sync", "line", cwd=tiny)
    assert told(world, tiny)["drift"] == []


def test_ids_sort_by_time_and_are_never_given_out_twice() -> None:
    start = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    moments = [start + datetime.timedelta(milliseconds=n * n * 997) for n in range(300)]
    ids = [run_files.new_id("line", moment) for moment in moments]
    assert sorted(ids) == ids
    assert all(re.fullmatch(r"\d{8}T\d{9}Z-line-[0-9a-z]{4}", item) for item in ids)
    east = datetime.timezone(datetime.timedelta(hours=9))
    assert run_files.new_id("line", start.astimezone(east))[:20] == ids[0][:20]
    assert len({run_files.new_id("line", start) for _ in range(40)}) > 35
