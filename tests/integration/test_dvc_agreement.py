"""What we write for DVC, held against the real program: it finds nothing to do, and nothing to write otherwise."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrenar_research.actions import data
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World

FIRST = """\
import json, os, sys
out = sys.argv[1]
count = 0
for top, _, names in os.walk("data/tree"):
    for name in names:
        count += len(open(os.path.join(top, name), "rb").read())
open("data/one file.csv").read()
os.makedirs(out + "/sub/ümlaut")
open(out + "/sub/ümlaut/a b.txt", "w").write("hello")
open(out + "/sub-x", "w").write("1")
os.chmod(out + "/sub-x", 0o755)
open(out + "/empty", "w").close()
json.dump({"loss": 0.5, "bytes": count, "deep": {"x": 1}}, open(out + "/metrics.json", "w"))
open(out + "/curve.csv", "w").write("step,loss\\n0,1\\n1,0.5\\n")
"""
COPY = "import sys\nopen(sys.argv[2] + '/o.txt', 'w').write(open(sys.argv[1]).read())\n"
PARAMS = """\
# Everything that YAML has
zeta: [1, 2.5, null, "x: y", [1, 2], {k: 1e-4}]
rate: 1e-4
alpha:
  nested: {b: 2, a: 1}
  none: null
  flag: true
  text: "yes"
unicode: größe
long: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb cccccccccccccccccccccccccc ddddddddd"
multi: |
  line one
  line two
empty: {}
none:
list: []
big: 123456789012345678901234567890
neg: -0.0
inf: .inf
under: 1_000
hex: 0x1F
octal: 0o17
time: "12:30:00"
small: 1.0e-10
large: 1e22
text: "1e-4"
number: "010"
"""
DECLARED = {
    "first": """\
command: >-
  python experiments/first/train.py ${result} ${params} --a-very-long-option aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
  --another-long-option 'bbbb bbbbbbbbbbbbbbbbbbbb' --it "it's" --größe 1
params: experiments/first/params.yaml
seed: 7
code: [./experiments/first/train.py]
inputs: [data/tree/, data/one file.csv]
outputs: [sub, sub-x, empty, metrics.json, curve.csv]
metrics: {loss: {goal: minimize}, x: {key: deep.x}}
plots: [{file: curve.csv, x: step, y: [loss]}]
""",
    "second": """\
command: python experiments/second/copy.py experiments/first/result/metrics.json ${result}
code: [experiments/second/copy.py]
inputs: [experiments/first/result/metrics.json, experiments/first/result/sub]
""",
    "third": """\
command: python experiments/second/copy.py data/tree/a-b ${result}
params: params.yaml
inputs: [data/tree/a-b]
trace: none
""",
}
TREE = {"a/b": "x", "a-b": "y", "a.b": "z", "empty": "", "sub/größe übel.txt": "ü", "sub/deep/run.sh": "#!/bin/sh\n"}


@pytest.fixture(scope="module")
def _pipeline(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three experiments that have run, one on the result of another; nothing of it committed."""
    world, base = World(_shared / "home"), tmp_path_factory.mktemp("pipeline")
    study = base / "pipeline"
    world.tool("init", study, "--title", "T", "--author", "Ada Lovelace", "--license", "MIT", cwd=base)
    texts = {f"data/tree/{path}": text for path, text in TREE.items()} | {"data/one file.csv": "1,2\n"}
    texts |= {f"experiments/{name}/experiment.yaml": text for name, text in DECLARED.items()}
    texts |= {f"experiments/{name}/.gitignore": "/result\n" for name in DECLARED}
    texts |= {"experiments/first/train.py": FIRST, "experiments/second/copy.py": COPY}
    texts |= {"experiments/first/params.yaml": PARAMS, "params.yaml": "# nothing\n"}
    for path, text in texts.items():
        (study / path).parent.mkdir(parents=True, exist_ok=True)
        (study / path).write_text(text)
    (study / "data/tree/sub/deep/run.sh").chmod(0o755)
    (study / "experiments/second/copy.py").chmod(0o755)
    data.track(StudyFiles(study), "data/one file.csv")
    world.run("dvc", "add", "-q", "data/tree", cwd=study)
    for name in DECLARED:
        world.tool("experiment", "sync", name, cwd=study)
        world.tool("run", name, "--quiet", cwd=study)
    return study


@pytest.fixture
def pipeline(_pipeline: Path, tmp_path: Path) -> Path:
    shutil.copytree(_pipeline, tmp_path / "pipeline", symlinks=True)
    return tmp_path / "pipeline"


def contents(study: Path, *places: str) -> dict[str, bytes]:
    paths = [path for place in places for path in (study / place).rglob("*") if path.is_file()]
    return {str(path.relative_to(study)): path.read_bytes() for path in paths}


UP_TO_DATE = "Data and pipelines are up to date.\n"


def test_dvc_has_nothing_to_do_and_nothing_to_write(world: World, pipeline: Path) -> None:
    lock, text = (pipeline / "dvc.lock").read_bytes(), (pipeline / "dvc.yaml").read_bytes()
    assert world.run("dvc", "status", cwd=pipeline).stdout == UP_TO_DATE
    assert world.run("dvc", "repro", cwd=pipeline).stdout.endswith(UP_TO_DATE)
    (pipeline / "dvc.lock").unlink()
    world.run("dvc", "commit", "--force", "--quiet", cwd=pipeline)
    assert (pipeline / "dvc.lock").read_bytes() == lock
    forced = world.run("dvc", "repro", "--force", cwd=pipeline).stdout
    assert forced.count("DVC asked for it") == 3
    assert (pipeline / "dvc.lock").read_bytes() == lock
    assert (pipeline / "dvc.yaml").read_bytes() == text
    assert world.run("dvc", "status", cwd=pipeline).stdout == UP_TO_DATE
    for name in DECLARED:
        assert "up to date" in world.tool("run", name, cwd=pipeline).stdout


def test_everything_can_be_pushed_and_pulled(world: World, pipeline: Path, tmp_path: Path) -> None:
    with (pipeline / ".dvc/config").open("a") as config:
        config.write(f"    remote = there\n['remote \"there\"']\n    url = {tmp_path / 'remote'}\n")
    world.run("dvc", "push", "--quiet", cwd=pipeline)
    world.run("git", "add", "--all", cwd=pipeline)
    world.run("git", "commit", "--quiet", "--message", "All", cwd=pipeline)
    world.run("git", "clone", "--quiet", pipeline, "clone", cwd=tmp_path)
    clone = tmp_path / "clone"
    assert not (clone / "data/tree").exists()
    world.run("dvc", "pull", "--quiet", cwd=clone)
    assert contents(clone, "data", "experiments") == contents(pipeline, "data", "experiments")
    assert world.run("dvc", "status", cwd=clone).stdout == UP_TO_DATE
    assert "up to date" in world.tool("run", "first", cwd=clone).stdout


def test_metrics_plots_and_parameters_are_shown(world: World, pipeline: Path) -> None:
    world.run("git", "add", "--all", cwd=pipeline)
    world.run("git", "commit", "--quiet", "--message", "All", cwd=pipeline)
    shown = json.loads(world.run("dvc", "metrics", "show", "--json", cwd=pipeline).stdout)
    found = shown[""]["data"]["experiments/first/result/metrics.json"]["data"]
    assert found == {"loss": 0.5, "bytes": 15, "deep": {"x": 1}}
    drawn = json.loads(world.run("dvc", "plots", "show", "--json", cwd=pipeline).stdout)["data"]
    (plot,) = drawn["experiments/first/result/curve.csv"]
    assert [(row["step"], row["loss"]) for row in plot["content"]["data"]["values"]] == [("0", "1"), ("1", "0.5")]
    world.tool("run", "first", "--quiet", "--set", "alpha.nested.a=5", "--set", "rate=2.0e-05", cwd=pipeline)
    changed = json.loads(world.run("dvc", "params", "diff", "--json", cwd=pipeline).stdout)
    assert changed == {
        "experiments/first/params.yaml": {
            "rate": {"old": 1e-4, "new": 2e-5, "diff": 2e-5 - 1e-4},
            "alpha.nested.a": {"old": 1, "new": 5, "diff": 4},
        }
    }
    assert world.run("dvc", "status", cwd=pipeline).stdout == UP_TO_DATE


def test_dvc_may_run_experiments_of_its_own(world: World, pipeline: Path) -> None:
    world.run("git", "add", "--all", cwd=pipeline)
    world.run("git", "commit", "--quiet", "--message", "All", cwd=pipeline)
    done = world.run("dvc", "exp", "run", "--set-param", "experiments/first/params.yaml:rate=0.5", cwd=pipeline)
    assert "parameter rate: 0.0001 -> 0.5" in done.stdout
    assert "Stage 'second' didn't change, skipping" in done.stdout
    assert world.run("dvc", "status", cwd=pipeline).stdout == UP_TO_DATE
    locked = yaml.safe_load((pipeline / "dvc.lock").read_text())["stages"]["first"]["params"]
    assert locked["experiments/first/params.yaml"]["rate"] == 0.5


def test_the_cache_is_as_dvc_makes_it(world: World, pipeline: Path) -> None:
    cache = pipeline / ".dvc/cache/files/md5"
    before = {path.relative_to(cache): stat.S_IMODE(path.stat().st_mode) for path in cache.rglob("*")}
    assert {mode for path, mode in before.items() if (cache / path).is_file()} == {0o444}
    shutil.rmtree(cache)
    world.run("dvc", "commit", "--force", "--quiet", cwd=pipeline)
    after = {path.relative_to(cache): stat.S_IMODE(path.stat().st_mode) for path in cache.rglob("*")}
    assert after == before


NAMES = [
    "plain.csv", "a b.csv", "#x", "[y].csv", "z!*?.txt", "größe.txt", "123", "null", "a: b", "it's", "true", "-x.csv",
    "1e5", "~", "a\\b", 'say "hi"', "sub/q.txt", "exec.sh",
]  # fmt: skip


def test_data_is_added_as_dvc_adds_it(world: World, tmp_path: Path) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    world.run("git", "init", "--quiet", cwd=theirs)
    world.run("dvc", "init", "--quiet", cwd=theirs)
    (theirs / "sub").mkdir()
    (theirs / "sub/.gitignore").write_text("old\nno newline")
    for name in NAMES:
        (theirs / name).write_text(name)
    (theirs / "exec.sh").chmod(0o755)
    shutil.copytree(theirs, ours)
    world.run("dvc", "add", "--quiet", "--", *NAMES, cwd=theirs)
    data.track(StudyFiles(ours), *NAMES)
    found: list[dict[str, tuple[int, bytes]]] = []
    for study in (theirs, ours):
        shutil.rmtree(study / ".dvc/tmp")
        paths = [path for path in study.rglob("*") if path.is_file() and ".git/" not in str(path)]
        modes = {path: path.stat().st_mode if ".dvc/cache" in str(path) else 0 for path in paths}
        found.append({str(path.relative_to(study)): (modes[path], path.read_bytes()) for path in paths})
    assert found[0] == found[1]
    assert len(found[0]) > 3 * len(NAMES)
    world.run("git", "add", ".", cwd=ours)
    staged = world.run("git", "-c", "core.quotePath=false", "ls-files", "-z", cwd=ours).stdout.split("\0")
    assert not set(staged) & set(NAMES)


@pytest.mark.parametrize("setting", ["dir = {}/elsewhere", "type = symlink"])
def test_an_unusual_cache_is_left_to_dvc(world: World, tiny: Path, tmp_path: Path, setting: str) -> None:
    (tiny / ".dvc/config.local").write_text(f"[cache]\n    {setting.format(tmp_path)}\n")
    lock = (tiny / "dvc.lock").read_bytes()
    world.tool("run", "line", "--quiet", "--set", "steps=3", cwd=tiny)
    assert (tiny / "dvc.lock").read_bytes() != lock
    assert world.run("dvc", "status", "line", cwd=tiny).stdout == UP_TO_DATE
    whole = yaml.safe_load((tiny / "dvc.lock").read_text())["stages"]["line"]["outs"][0]["md5"]
    cache = tmp_path / "elsewhere" if setting.startswith("dir") else tiny / ".dvc/cache"
    assert (cache / "files/md5" / whole[:2] / whole[2:]).is_file()
    assert "up to date" in world.tool("run", "line", cwd=tiny).stdout


MERGED = b"<<<<<<< HEAD\nschema: '2.0'\n=======\n"


def test_a_lock_with_a_conflict_is_named_before_anything_runs(world: World, tiny: Path) -> None:
    (tiny / "dvc.lock").write_bytes(MERGED)
    runs = sorted(tiny.glob("runs/*"))
    done = world.tool("run", "line", "--force", cwd=tiny, status=2)
    assert "error: dvc.lock, line " in done.stderr
    assert (tiny / "dvc.lock").read_bytes() == MERGED
    assert sorted(tiny.glob("runs/*")) == runs


def test_a_pipeline_edited_by_hand_stays_as_it_is_and_works(world: World, tiny: Path) -> None:
    mine: dict[str, Any] = {"cmd": "python -c 'print(1)' > mine.txt", "outs": ["mine.txt"]}
    text = (tiny / "dvc.yaml").read_text()
    head, foreign = (
        "# My pipeline\n",
        "\n  # mine alone\n  mine:\n    cmd: " + mine["cmd"] + "\n    outs: [mine.txt]   # one\n",
    )
    edited = head + text.replace("stages:\n", "stages:" + foreign, 1)
    (tiny / "dvc.yaml").write_text(edited)
    experiment = tiny / "experiments/line/experiment.yaml"
    experiment.write_text(experiment.read_text().replace("steps", "steps") + "seed: 3\n")
    world.tool("experiment", "sync", "line", cwd=tiny)
    after = (tiny / "dvc.yaml").read_text()
    assert after.startswith(head + "stages:" + foreign)
    assert [line for line in after.splitlines() if line not in edited.splitlines()] == ["      - seed"]
    world.tool("run", "line", "--quiet", cwd=tiny)
    world.run("dvc", "repro", "--quiet", cwd=tiny)
    assert world.run("dvc", "status", cwd=tiny).stdout == UP_TO_DATE
    assert os.path.exists(tiny / "mine.txt")
