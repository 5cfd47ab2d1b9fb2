"""`reproduce`: what is planted is found and rightly named, what is steady is called identical, nothing stays behind."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.tools import bubblewrap, nix
from tests import hermetic
from tests.conftest import World
from tests.integration import planted

pytestmark = pytest.mark.slow
NUMPY = {"cpu"}
ADDRESSES = """\
import json, sys
class A:
    pass
objects = [A() for _ in range(30)]
order = [objects.index(item) for item in set(objects)]
json.dump({"order": order}, open(sys.argv[1] + "/o.json", "w"))
"""
SPEED = """\
import json, sys, time
began = time.perf_counter()
sum(range(99999))
json.dump({"x": 1 / (time.perf_counter() - began)}, open(sys.argv[1] + "/o.json", "w"))
"""


@dataclasses.dataclass(frozen=True)
class Bench:
    """A study in a world whose temporary files are in a place of its own."""

    world: World
    study: Path
    temporary: Path

    def reproduce(self, *words: str, status: int = 0) -> dict[str, Any]:
        """What `reproduce` says as JSON; asserts that nothing of it is left and the study is as it was."""
        before = tree(self.study)
        done = self.world.tool(
            "reproduce", *words, "--format", "json", cwd=self.study, status=status, env={"TMPDIR": str(self.temporary)}
        )
        assert tree(self.study) == before
        assert os.listdir(self.temporary) == []
        left = [path for path in Path("/dev/shm").glob("entrenar-reproduce-*") if not alive(path)]
        assert left == []
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["identical"] == (status == 0)
        return found

    def declare(self, name: str, script: str, command: str = "python", more: str = "") -> None:
        """An experiment of one script that writes `o.json` or `o.txt` to its first argument."""
        directory = self.study / "experiments" / name
        directory.mkdir(parents=True)
        (directory / "run").write_text(script)
        output = "o.json" if "o.json" in script else "o.txt"
        (directory / "experiment.yaml").write_text(
            f"command: {command} experiments/{name}/run ${{result}}\ncode: [experiments/{name}/run]\n"
            f"inputs: [data/parts]\noutputs: [{output}]\ntrace: none\n{more}"
        )


def alive(place: Path) -> bool:
    """Whether the process that made a place in memory is there: another test may be at work."""
    return Path("/proc", place.name.split("-")[2]).exists()


def tree(root: Path) -> dict[str, bytes]:
    """Every file of a study but what Nix and Git keep for themselves."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.relative_to(root).parts[0] not in (".git", ".entrenar")
    }


@pytest.fixture(scope="module")
def _written(tmp_path_factory: pytest.TempPathFactory, _shared: Path) -> Path:
    return planted.write_study(World(_shared / "home"), tmp_path_factory.mktemp("planted") / "study")


@pytest.fixture
def bench(_written: Path, world: World, tmp_path: Path) -> Bench:
    shutil.copytree(_written, tmp_path / "study", symlinks=True)
    (tmp_path / "temporary").mkdir()
    return Bench(world, tmp_path / "study", tmp_path / "temporary")


def causes(found: dict[str, Any]) -> set[str]:
    return {item["cause"]["name"] for item in found["findings"]}


@pytest.mark.parametrize("name", planted.CAUSES)
def test_each_planted_cause_is_named_with_its_place_and_evidence(name: str, bench: Bench) -> None:
    if name in NUMPY:
        pytest.importorskip("numpy")
    found = bench.reproduce(name, "--times", "3" if name == "race" else "2", status=1)
    if name == "host" and any(item["outcome"] == "left out" for item in found["rebuilds"]):
        pytest.skip("no namespaces of its own here")
    assert causes(found) == {planted.CAUSES[name]}
    for item in found["findings"]:
        assert item["difference"]["file"]
        assert item["difference"]["detail"]
        assert item["cause"]["sure"] in ("shown", "seen")
        assert item["cause"]["evidence"]
        assert item["cause"]["fix"]


def test_the_place_and_the_line_of_code_are_named(bench: Bench) -> None:
    (finding,) = bench.reproduce("clock", status=1)["findings"]
    assert finding["difference"]["place"] == "started"
    assert "experiments/clock/train.py:7" in finding["cause"]["evidence"]
    (finding,) = bench.reproduce("cpu", "--vary", "cpu", status=1)["findings"]
    assert finding["difference"]["place"] == "tensor product"
    assert "of 40000 elements differ, most by" in finding["difference"]["detail"]


def test_what_is_steady_is_identical_over_many_rebuilds(bench: Bench) -> None:
    found = bench.reproduce("steady", "--times", "5")
    assert [item["outcome"] for item in found["rebuilds"]] == ["reference", *["identical"] * 6]
    explained = bench.reproduce("steady", "--explain")
    assert {tuple(item["changed"]) for item in explained["rebuilds"]} >= {("hash",), ("order",), ("path",), ("clock",)}


def test_several_causes_in_one_result_are_told_apart(bench: Bench) -> None:
    bench.declare("many", "(pwd; echo $HOME; umask; date -d @0) > $1/o.txt\n", "sh")
    found = bench.reproduce("many", status=1)
    named = {item["difference"]["place"]: item["cause"]["name"] for item in found["findings"]}
    assert named == {
        "line 1": "absolute path", "line 2": "home and user", "line 3": "file modes", "line 4": "time zone",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "script", "command", "cause"),
    [
        ("shell-clock", "date > $1/o.txt\n", "sh", "clock"),
        ("shell-random", "od -An -N8 -tx1 /dev/urandom > $1/o.txt\n", "sh", "unseeded randomness"),
        ("shell-order", "ls -U data/parts > $1/o.txt\n", "sh", "directory order"),
        ("shell-temporary", "mktemp > $1/o.txt\n", "sh", "temporary path"),
        ("shell-process", "echo $$ > $1/o.txt\n", "sh", "process id"),
        (
            "today",
            "import datetime, sys\nopen(sys.argv[1] + '/o.txt', 'w').write(str(datetime.date.today()))\n",
            "python",
            "clock",
        ),
        (
            "addresses",
            ADDRESSES,
            "python",
            "hash order",
        ),
        (
            "speed",
            SPEED,
            "python",
            "clock",
        ),
    ],
)
def test_causes_beyond_the_ten(name: str, script: str, command: str, cause: str, bench: Bench) -> None:
    bench.declare(name, script, command)
    found = bench.reproduce(name, status=1)
    if name in ("shell-random", "shell-order") and causes(found) != {cause}:
        pytest.skip("no namespaces of its own here")
    assert causes(found) == {cause}


def test_what_cannot_be_found_out_is_said_to_be_unknown(bench: Bench) -> None:
    # -I keeps the hook out: what it draws cannot be held still, and looks like nothing.
    script = "import json, random, sys\njson.dump({'x': random.random()}, open(sys.argv[1] + '/o.json', 'w'))\n"
    bench.declare("closed", script, "python -I")
    found = bench.reproduce("closed", status=1)
    assert causes(found) == {"cause not found"}
    assert [item["cause"]["sure"] for item in found["findings"]] == ["not found"]


def test_a_command_that_fails_only_elsewhere(bench: Bench) -> None:
    script = "import sys\nopen(sys.argv[1] + '/o.txt', 'w').write('na\\u00efve')\n"
    bench.declare("fails", script)
    found = bench.reproduce("fails", status=1)
    assert causes(found) == {"locale"}
    assert "UnicodeEncodeError" in found["findings"][0]["difference"]["detail"]


def test_the_recorded_result_counts_as_well(bench: Bench) -> None:
    bench.world.tool("run", "steady", "--quiet", cwd=bench.study)
    found = bench.reproduce("steady", "--vary", "none")
    assert [item["name"] for item in found["rebuilds"]] == ["rebuild 1", "rebuild 2", "recorded result"]
    bench.declare("rusty", 'cat "$MOOD" > $1/o.txt 2>/dev/null; true\n', "sh")
    (bench.study / "mood").write_text("sunny")
    bench.world.tool("run", "rusty", "--quiet", cwd=bench.study, env={"MOOD": str(bench.study / "mood")})
    found = bench.reproduce("rusty", "--vary", "none", status=1)
    assert causes(found) == {"cause not found"}
    assert found["findings"][0]["rebuild"] == "recorded result"


def test_a_result_of_other_code_is_not_held_against_it(bench: Bench) -> None:
    bench.world.tool("run", "steady", "--quiet", cwd=bench.study)
    code = bench.study / "experiments" / "steady" / "train.py"
    code.write_text(code.read_text().replace("Random(3)", "Random(4)"))
    found = bench.reproduce("steady", "--vary", "none")
    assert [item["name"] for item in found["rebuilds"]] == ["rebuild 1", "rebuild 2"]


def test_the_table_names_cause_place_and_fix(bench: Bench) -> None:
    done = bench.world.tool("reproduce", "host", "--vary", "host,path", cwd=bench.study, status=1)
    assert "metrics.json: machine.node" in done.stdout
    assert "host name: leave the host name out of the result" in done.stdout
    assert done.stdout.splitlines()[-1] == "host: it does not reproduce: host name"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["nothing"], 2, "no experiment"),
        (["steady", "--times", "1"], 2, "--times: found 1, expected 2 or more"),
        (["steady", "--vary", "hsah"], 2, "'hsah'"),
        (["steady", "--runner", "nowhere"], 2, "'nowhere'"),
        (["broken"], 1, "broken cannot be rebuilt: the command ended with exit status 3: no luck"),
        (["absent"], 2, "command not found: no-such-program"),
        (["slow"], 1, "it was stopped after"),
    ],
)
def test_what_cannot_be_rebuilt(words: list[str], status: int, says: str, bench: Bench) -> None:
    bench.declare("broken", "echo no luck >&2; exit 3 # o.txt\n", "sh")
    bench.declare("absent", "# o.txt\n", "no-such-program")
    bench.declare("slow", "sleep 100 # o.txt\n", "sh", "plan: {time: 1s}\n")
    done = bench.world.tool("reproduce", *words, cwd=bench.study, status=status, env={"TMPDIR": str(bench.temporary)})
    assert says in done.stderr
    assert os.listdir(bench.temporary) == []


def test_ctrl_c_leaves_nothing_behind(bench: Bench) -> None:
    bench.declare("slow", "sleep 100 # o.txt\n", "sh")
    tool = Path(sys.executable).parent / "entrenar-research"
    child = subprocess.Popen(
        [tool, "reproduce", "slow"], cwd=bench.study, stderr=subprocess.PIPE, text=True,
        env={**bench.world.environment, "TMPDIR": str(bench.temporary)},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not list(bench.temporary.glob("*/stdout.txt")):
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert (child.returncode, said) == (130, "error: interrupted\n")
    assert os.listdir(bench.temporary) == []


@pytest.mark.parametrize("name", ["unseeded", "temporary", "host", "steady"])
def test_without_network_and_read_only(name: str, bench: Bench) -> None:
    if (reason := bubblewrap.unavailable()) is not None:
        pytest.skip(reason)
    expected = planted.CAUSES.get(name)
    found = bench.reproduce(name, "--runner", "bwrap", status=1 if expected else 0)
    assert causes(found) == ({expected} if expected else set())


@pytest.mark.nix
@pytest.mark.parametrize("name", ["clock", "unseeded", "set-order", "race", "steady"])
def test_by_nix(name: str, bench: Bench) -> None:
    if nix.number() is None:
        pytest.skip("nix is not installed")
    bench.world.environment["ENTRENAR_NIX_STORE"] = str(hermetic.store())
    hermetic.equip(bench.study)
    bench.world.run("git", "add", "-A", cwd=bench.study)
    expected = planted.CAUSES.get(name)
    found = bench.reproduce(name, "--runner", "nix", status=1 if expected else 0)
    assert causes(found) == ({expected} if expected else set())
    assert not list((hermetic.store() / "nix" / "store").glob(f"*-{name}.check"))
