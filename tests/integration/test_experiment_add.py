"""`experiment add`: one observed run becomes a declaration, and a run; or nothing at all is left of it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import World

HELPER = "def loss(x):\n    return 1 / x\n"
TRAIN = """\
import argparse, json, os
from lib import helper
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float); p.add_argument("--epochs", type=int); p.add_argument("--seed", type=int)
a = p.parse_args()
points = open("data/points.csv").read().split()
os.makedirs("out/sub", exist_ok=True)
with open("out/curve.csv", "w") as f:
    f.write("epoch,loss\\n")
    for epoch in range(a.epochs):
        f.write(f"{epoch},{helper.loss(epoch + 1)}\\n")
with open("out/sub/metrics.json", "w") as f:
    json.dump({"loss": a.lr * a.seed, "n": len(points)}, f)
print("trained")
"""
TABLE = "x\n1\n2\n"


@pytest.fixture(scope="module")
def _ground(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study without experiments, with a script, a helper module and data that nobody tracks."""
    world, base = World(_shared / "home"), tmp_path_factory.mktemp("ground")
    study = base / "ground"
    world.tool("init", study, "--title", "T", "--author", "Ada Lovelace", "--license", "MIT", cwd=base)
    for path, text in {
        "train.py": TRAIN,
        "lib/__init__.py": "",
        "lib/helper.py": HELPER,
        "data/points.csv": "1,2\n3,4\n",
        "tracked.csv": TABLE,
    }.items():
        (study / path).parent.mkdir(parents=True, exist_ok=True)
        (study / path).write_text(text)
    world.run("git", "add", "train.py", "lib", "tracked.csv", cwd=study)
    world.run("git", "commit", "-q", "-m", "Code", cwd=study)
    return study


@pytest.fixture
def ground(_ground: Path, tmp_path: Path) -> Path:
    shutil.copytree(_ground, tmp_path / "ground", symlinks=True)
    return tmp_path / "ground"


def state(study: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of the study with its bytes and mode, apart from Git's own and our scratch space."""
    found = {}
    for top, folders, names in os.walk(study):
        folders[:] = [name for name in folders if not (top == str(study) and name in (".git", ".entrenar"))]
        for name in (*names, *folders):
            path = Path(top, name)
            if not (".dvc/tmp" in str(path) or ".dvc/cache" in str(path)):
                data = path.read_bytes() if path.is_file() else b"directory"
                found[str(path.relative_to(study))] = (path.lstat().st_mode, data)
    return found


def script(study: Path, text: str, name: str = "script.py") -> str:
    (study / name).write_text(text)
    return name


def add(world: World, study: Path, *words: str, status: int = 0, name: str = "e") -> Any:
    return world.tool("experiment", "add", name, *words, cwd=study, status=status)


def declaration(study: Path, name: str = "e") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((study / f"experiments/{name}/experiment.yaml").read_text())
    return found


def record(study: Path, name: str = "e") -> dict[str, Any]:
    (place,) = study.glob(f"runs/*-{name}-*/run.yaml")
    found: dict[str, Any] = yaml.safe_load(place.read_text())
    return found


def test_an_observed_run_becomes_a_declaration_and_the_first_run(world: World, ground: Path) -> None:
    done = add(world, ground, "--yes", "--", "python", "train.py", "--lr", "0.5", "--epochs", "3", "--seed", "2")
    assert "data/points.csv will be put under DVC" in done.stdout
    assert "trained" in done.stdout
    assert declaration(ground) == {
        "command": "python train.py --lr ${params.lr} --epochs ${params.epochs} --seed ${seed}",
        "params": "experiments/e/params.yaml",
        "seed": 2,
        "code": ["lib/__init__.py", "lib/helper.py", "train.py"],
        "inputs": ["data/points.csv"],
        "outputs": [
            {"path": "curve.csv", "from": "out/curve.csv"},
            {"path": "metrics.json", "from": "out/sub/metrics.json"},
        ],
        "metrics": {"loss": {"file": "metrics.json", "goal": "minimize"}, "n": {"file": "metrics.json"}},
        "plots": [{"file": "curve.csv", "x": "epoch", "y": ["loss"]}],
    }
    assert yaml.safe_load((ground / "experiments/e/params.yaml").read_text()) == {"lr": 0.5, "epochs": 3}
    result = ground / "experiments/e/result"
    assert json.loads((result / "metrics.json").read_text()) == {"loss": 1.0, "n": 2}
    assert sorted(path.name for path in result.iterdir()) == ["curve.csv", "metrics.json"]
    first = record(ground)
    assert first["status"] == "completed"
    assert first["reasons"] == ["it was declared by `experiment add`"]
    assert first["metrics"] == {"loss": 1.0, "n": 2.0}
    assert first["argv"] == ["python", "train.py", "--lr", "0.5", "--epochs", "3", "--seed", "2"]
    assert [item["path"] for item in first["inputs"]] == ["data/points.csv"]
    assert first["observed"] == {}
    assert {path.name for path in (ground / "runs" / first["id"]).iterdir()} >= {"stdout.txt", "SHA256SUMS"}
    assert (ground / "runs" / first["id"] / "stdout.txt").read_text() == "trained\n"
    assert "up to date" in world.tool("run", "e", cwd=ground).stdout
    world.tool("run", "e", "--force", "--quiet", cwd=ground)
    assert world.run("dvc", "status", cwd=ground).stdout == "Data and pipelines are up to date.\n"
    assert not list(ground.glob(".entrenar/staging/*"))


SPOILER = """\
import os, sys
open("new.txt", "w").write("new"); os.makedirs("deep/er"); open("deep/er/x", "w").close()
open("data/points.csv", "w").write("spoiled"); open("tracked.csv", "a").write("3\\n"); os.remove("lib/helper.py")
os.chmod("train.py", 0o600); open(os.path.join(sys.argv[1], "r"), "w").close()
sys.exit(int(sys.argv[2]))
"""


@pytest.mark.parametrize(
    ("options", "exit_status", "status", "said"),
    [
        (["--yes"], "3", 1, "the command ended with exit status 3; e was not declared and nothing is left of it"),
        (["--dry-run"], "0", 0, "nothing was written"),
        ([], "0", 2, "there is nobody to ask whether the declaration is right; nothing was run"),
    ],
)
def test_nothing_is_left_and_everything_is_as_before(
    world: World, ground: Path, options: list[str], exit_status: str, status: int, said: str
) -> None:
    name = script(ground, SPOILER)
    before = state(ground)
    done = add(world, ground, *options, "--", "python", name, "${result}", exit_status, status=status)
    assert said in done.stdout + done.stderr
    assert state(ground) == before
    assert not list(ground.glob(".entrenar/staging/*"))
    assert world.tool("experiment", "list", cwd=ground).stdout.startswith("no experiments yet")


def test_a_dry_run_shows_what_would_be_written(world: World, ground: Path) -> None:
    command = ["python", "train.py", "--lr", "0.5", "--epochs", "3", "--seed", "2"]
    shown = add(world, ground, "--dry-run", "--quiet", "--", *command).stdout
    add(world, ground, "--yes", "--quiet", "--", *command)
    assert (ground / "experiments/e/experiment.yaml").read_text() in shown
    assert (ground / "dvc.yaml").read_text().partition("metrics:")[0] in shown


def test_what_makes_the_name_unusable_is_said_before_anything_runs(world: World, ground: Path) -> None:
    (ground / "experiments/e").mkdir(parents=True)
    (ground / "experiments/e/experiment.yaml").write_text("command: x\n")
    (ground / "experiments/f/result").mkdir(parents=True)
    for name, said in {
        "e": "there is an experiment 'e' already",
        "f": "there is experiments/f/result already",
        "a b": "experiment name 'a b': expected letters, digits",
        "-": "",
    }.items():
        done = add(world, ground, "--yes", "--", "touch", "ran", status=2, name=name)
        assert said in done.stderr
    assert "the command is missing" in add(world, ground, "--yes", status=2, name="g").stderr
    assert "command not found: no-such" in add(world, ground, "--yes", "--", "no-such", status=2, name="g").stderr
    assert (
        "no placeholder named 'reslt'" in add(world, ground, "--yes", "--", "x", "${reslt}", status=2, name="g").stderr
    )
    assert not (ground / "ran").exists()


def test_without_inference_nothing_runs(world: World, ground: Path) -> None:
    add(world, ground, "--yes", "--no-infer", "--", "python", "a b.py", "--out=${result}")
    assert declaration(ground) == {"command": "python 'a b.py' --out=${result}"}
    assert not (ground / "runs").exists()
    assert "entrenar-research run e" in (ground / "dvc.yaml").read_text()


WRITER = """\
import json, os, sys
out = sys.argv[1] if len(sys.argv) > 1 else os.environ["ENTRENAR_RESULT"]
os.makedirs(out + "/a/b"); json.dump({"acc": 1}, open(out + "/a/b/m.json", "w")); open(out + "/model", "w").write("w")
"""


@pytest.mark.parametrize("words", [["${result}"], []])
def test_a_command_may_write_below_its_result(world: World, ground: Path, words: list[str]) -> None:
    add(world, ground, "--yes", "--", "python", script(ground, WRITER), *words)
    assert declaration(ground)["outputs"] == ["a/b/m.json", "model"]
    assert declaration(ground)["metrics"] == {"acc": {"file": "a/b/m.json", "goal": "maximize"}}
    assert declaration(ground)["command"] == " ".join(["python script.py", *words])
    assert record(ground)["argv"] == ["python", "script.py", *(["experiments/e/result"] if words else [])]
    world.tool("run", "e", "--force", "--strict", "--quiet", cwd=ground)


def test_flags_with_an_equals_sign_run_again(world: World, ground: Path) -> None:
    name = script(ground, "import os, sys\nopen(os.environ['ENTRENAR_RESULT'] + '/r', 'w').write(repr(sys.argv[1:]))\n")
    add(world, ground, "--yes", "--", "python", name, "--lr=0.5", "--title=a b", "--k", "it's", "--l", "1", "--l", "2")
    before = (ground / "experiments/e/result/r").read_bytes()
    world.tool("run", "e", "--force", "--quiet", cwd=ground)
    assert (ground / "experiments/e/result/r").read_bytes() == before
    world.tool("run", "e", "--set", "lr=0.25", "--quiet", cwd=ground)
    assert b"--lr=0.25" in (ground / "experiments/e/result/r").read_bytes()


def test_the_result_of_another_experiment_is_an_input_that_is_no_new_data(world: World, ground: Path) -> None:
    add(world, ground, "--yes", "--quiet", "--", "python", script(ground, WRITER), name="first")
    copy = "import sys\nopen('copy.txt', 'w').write(open('experiments/first/result/model').read())\n"
    done = add(world, ground, "--yes", "--", "python", script(ground, copy, "copy.py"), name="second")
    assert declaration(ground, "second")["inputs"] == ["experiments/first/result/model"]
    assert declaration(ground, "second")["outputs"] == [{"path": "copy.txt", "from": "copy.txt"}]
    assert "under DVC" not in done.stdout
    assert "first" in world.run("dvc", "dag", "second", cwd=ground).stdout
    assert "up to date" in world.run("dvc", "repro", cwd=ground).stdout


def test_what_was_there_before_is_no_output_if_it_is_continued(world: World, ground: Path) -> None:
    text = (
        "open('tracked.csv', 'a').write('3\\n')\n"
        "n = int(open('count').read()) + 1\nopen('count', 'w').write(str(n))\nopen('fresh', 'w').write('f')\n"
    )
    (ground / "count").write_text("1")
    done = add(world, ground, "--yes", "--", "python", script(ground, text))
    assert "note: tracked.csv was there before and is continued" in done.stdout
    assert "note: count was there before and is continued" in done.stdout
    found = declaration(ground)
    assert found["outputs"] == [{"path": "fresh", "from": "fresh"}]
    assert "inputs" not in found
    assert (ground / "tracked.csv").read_text() == TABLE + "3\n"
    assert record(ground)["observed"]["undeclared_writes"] == ["count", "tracked.csv"]


def test_an_output_that_git_tracks_is_collected_and_said(world: World, ground: Path) -> None:
    (ground / "old").write_text("old")
    text = "open('tracked.csv', 'w').write('x\\n1\\n')\nopen('old', 'w').write('new')\n"
    done = add(world, ground, "--yes", "--", "python", script(ground, text))
    assert "note: tracked.csv is tracked by Git and will be moved to experiments/e/result/" in done.stdout
    assert (ground / "experiments/e/result/old").read_text() == "new"
    assert not (ground / "tracked.csv").exists()


def test_a_command_that_writes_nothing_is_told_so(world: World, ground: Path) -> None:
    done = add(world, ground, "--yes", "--", "true")
    assert "note: the command wrote nothing that could be a result" in done.stdout
    assert declaration(ground) == {"command": "true"}
    assert list((ground / "experiments/e/result").iterdir()) == []
    assert "up to date" in world.run("dvc", "status", cwd=ground).stdout


def test_a_command_that_calls_somebody_is_warned_of(world: World, ground: Path) -> None:
    text = "import socket\ns = socket.socket()\ns.connect_ex(('127.0.0.1', 9))\nopen('o', 'w').close()\n"
    done = add(world, ground, "--yes", "--", "python", script(ground, text))
    assert "warning: the command used the network: connect 127.0.0.1:9" in done.stdout
    assert record(ground)["observed"]["network"] == ["connect 127.0.0.1:9"]
    assert "network: connect 127.0.0.1:9" in world.tool("run", "e", "--force", "--strict", cwd=ground, status=1).stderr


def test_data_is_taken_as_it_is_tracked(world: World, ground: Path) -> None:
    (ground / "data/many").mkdir()
    for number in range(12):
        (ground / f"data/many/{number}").write_text(str(number))
    (ground / "held").mkdir()
    (ground / "held/x").write_text("x")
    (ground / "held/y").write_text("y")
    world.run("dvc", "add", "-q", "held", cwd=ground)
    text = (
        "import os\n"
        "for n in os.listdir('data/many'): open('data/many/' + n).read()\n"
        "[open(p).read() for p in ('held/x', 'tracked.csv', 'data/points.csv', 'conf.yaml')]\nopen('o', 'w').close()\n"
    )
    (ground / "conf.yaml").write_text("- a\n")
    (ground / "data/unread").touch()
    done = add(world, ground, "--yes", "--", "python", script(ground, text))
    assert declaration(ground)["inputs"] == ["conf.yaml", "data/many", "data/points.csv", "held", "tracked.csv"]
    assert "params" not in declaration(ground)
    new = [line.partition(" ")[0] for line in done.stdout.splitlines() if line.endswith("will be put under DVC")]
    assert new == ["conf.yaml", "data/many", "data/points.csv"]
    assert (ground / "data/many.dvc").is_file()
    assert "up to date" in world.run("dvc", "status", cwd=ground).stdout


def test_what_is_in_the_experiments_directory_already_stays(world: World, ground: Path) -> None:
    place = ground / "experiments/e"
    place.mkdir(parents=True)
    (place / ".gitignore").write_text("*.tmp")
    (place / "params.yaml").write_text("mine: 1\n")
    (place / "run.py").write_text("import os\nopen(os.environ['ENTRENAR_RESULT'] + '/o', 'w').close()\n")
    done = add(world, ground, "--yes", "--", "python", "experiments/e/run.py", "--n", "3")
    assert "note: experiments/e/params.yaml was not read: the options stay in the command" in done.stdout
    assert declaration(ground)["command"] == "python experiments/e/run.py --n 3"
    assert (place / ".gitignore").read_text() == "*.tmp\n/result\n"
    assert (place / "params.yaml").read_text() == "mine: 1\n"


def test_a_params_file_that_is_read_is_declared(world: World, ground: Path) -> None:
    (ground / "config.yaml").write_text("rate: 1  # mine\n")
    text = (
        "import json\nr = open('config.yaml').read().split()[1]\njson.dump({'loss': float(r)}, open('m.json', 'w'))\n"
    )
    add(world, ground, "--yes", "--", "python", script(ground, text), "--tag", "x")
    assert (declaration(ground)["params"], "inputs" in declaration(ground)) == ("config.yaml", False)
    assert record(ground)["params"] == {"rate": 1}
    world.tool("run", "e", "--set", "rate=2", "--quiet", cwd=ground)
    assert json.loads((ground / "experiments/e/result/m.json").read_text()) == {"loss": 2.0}
    assert (ground / "config.yaml").read_text() == "rate: 2  # mine\n"
    assert "up to date" in world.run("dvc", "status", cwd=ground).stdout


def test_without_strace_it_says_what_to_do(world: World, ground: Path, tmp_path: Path) -> None:
    for program in ("git", "ssh-keygen", "python", "sh"):
        (tmp_path / program).symlink_to(shutil.which(program, path=world.environment["PATH"]) or "")
    tool = shutil.which("entrenar-research", path=world.environment["PATH"]) or ""
    before = state(ground)
    words = [tool, "experiment", "add", "e", "--yes", "--tracer", "strace", "--", "sh", "-c", ":"]
    done = world.run(*words, cwd=ground, status=3, env={"PATH": str(tmp_path)})
    assert "cannot be observed here: strace is not installed" in done.stderr
    assert "--no-infer" in done.stderr
    assert state(ground) == before


@pytest.mark.parametrize(
    ("path", "text", "status", "said"),
    [
        ("dvc.yaml", "stages: [\n", 2, "error: dvc.yaml, line 2, column 1: did not find expected node content"),
        ("dvc.lock", "<<<<<<< HEAD\na: 1\n", 2, "error: dvc.lock, line "),
        (".dvc/cache", "no directory", 1, "error: cannot fill DVC's cache: "),
    ],
)
def test_nothing_is_left_where_it_cannot_be_written(
    world: World, ground: Path, path: str, text: str, status: int, said: str
) -> None:
    (ground / path).write_text(text)
    before = state(ground)
    command = ["python", "train.py", "--lr", "1", "--epochs", "1", "--seed", "1"]
    assert said in add(world, ground, "--yes", "--", *command, status=status).stderr
    assert state(ground) == before
    assert not list(ground.glob("runs/*"))
