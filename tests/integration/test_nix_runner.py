"""The runner nix, with real Nix: what goes in, what comes out, and what is kept of a build that failed."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entrenar_research.models.run import RunRecord
from entrenar_research.store.yaml_text import Document
from entrenar_research.tools import nix
from tests import hermetic
from tests.conftest import World

pytestmark = [pytest.mark.nix, pytest.mark.slow]
BAD = """\
import os, socket, sys, time
from pathlib import Path
mode, result = sys.argv[1], Path(sys.argv[2])
print("out of it"); print("beside it", file=sys.stderr)
if mode == "fail": sys.exit(7)
if mode == "kill": os.kill(os.getpid(), 9)
if mode == "net": socket.create_connection(("127.0.0.1", int(sys.argv[3])))
if mode == "undeclared": open("experiments/line/train.py")
if mode == "home": os.listdir("/root")
if mode == "wait": Path(sys.argv[3]); time.sleep(120)
if mode != "nothing": (result / "o.txt").write_text(os.environ.get("TMPDIR", "") + os.getcwd())
"""


@pytest.fixture(scope="session")
def store() -> Path:
    return hermetic.store()


@pytest.fixture
def study(tiny: Path, store: Path, world: World) -> Path:
    world.environment["ENTRENAR_NIX_STORE"] = str(store)
    hermetic.equip(tiny)
    (tiny / "experiments" / "bad").mkdir()
    (tiny / "experiments" / "bad" / "bad.py").write_text(BAD)
    return tiny


def declare(study: Path, mode: str, more: str = "") -> None:
    (study / "experiments" / "bad" / "experiment.yaml").write_text(
        f"command: python experiments/bad/bad.py {mode} ${{result}}{more}\n"
        "code: [experiments/bad/bad.py]\noutputs: [o.txt]\n"
    )


def record(study: Path, experiment: str) -> RunRecord:
    """The last run of an experiment."""
    found = max((study / "runs").glob(f"*-{experiment}-*/run.yaml"))
    return Document(found.read_text(), "run.yaml").convert(RunRecord)


def digests(run: RunRecord) -> dict[str, str]:
    return {item.path: item.digest for item in run.outputs}


def test_a_hermetic_run_gives_what_the_host_gives_and_says_what_it_was_built_from(study: Path, world: World) -> None:
    before = record(study, "line")
    assert before.hermetic is None
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    run = record(study, "line")
    assert (run.runner, run.status, run.exit_status) == ("nix", "completed", 0)
    assert digests(run) == digests(before)
    assert run.metrics == before.metrics
    assert run.hermetic is not None
    assert run.hermetic.settings["sandbox"] == "true"
    assert run.hermetic.settings["sandbox-fallback"] == "false"
    assert {path.path.partition("-")[2] for path in run.hermetic.closure} == {"environment-3.11", "python-3.11"}
    assert run.environment is not None
    assert run.environment.variables["OPENBLAS_CORETYPE"] == "Haswell"
    assert (study / "runs" / run.id / "stdout.txt").read_text().startswith("weight")
    assert run.trace.status == "recorded"
    assert run.trace.calls
    assert run.observed is not None
    assert run.observed.undeclared_reads == ()
    assert run.observed.undeclared_writes == ()


def test_the_result_is_what_nix_says_it_is(study: Path, world: World, store: Path) -> None:
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    run = record(study, "line")
    assert run.hermetic is not None
    tool = nix.Nix(study / ".entrenar" / "nix", store)
    said = tool.run(["nix-store", "-q", "--hash", run.hermetic.out_path]).text
    base16 = tool.run(["nix", "hash", "to-base16", said]).text
    assert run.hermetic.nar_hash == f"sha256:{base16}"
    result = study / "experiments" / "line" / "result"
    assert tool.run(["nix", "hash", "path", "--base16", "--type", "sha256", str(result)]).text == base16


def test_the_flake_builds_the_same_from_what_git_has(study: Path, world: World, store: Path) -> None:
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    run = record(study, "line")
    assert run.hermetic is not None
    world.run("git", "add", "flake.nix", "nix", cwd=study)
    tool = nix.Nix(study / ".entrenar" / "nix", store)
    built = json.loads(tool.run(["nix", "build", "--offline", "--no-link", "--json", ".#line"], cwd=study).text)
    out = built[0]["outputs"]["out"]
    assert nix.hex_digest(tool.info([out])[out]["narHash"]) == run.hermetic.nar_hash
    again = tool.run(["nix", "build", "--offline", "--no-link", "--rebuild", ".#line"], cwd=study)
    assert again.status == 0
    shown = tool.run(["nix", "run", "--offline", ".#line"], cwd=study).text
    for item in run.outputs:
        assert item.digest in shown


def test_a_change_elsewhere_in_the_study_changes_no_derivation(study: Path, world: World, store: Path) -> None:
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    tool = nix.Nix(study / ".entrenar" / "nix", store)

    def derivation() -> str:
        return tool.run(["nix", "eval", "--raw", "-f", str(study / "nix"), "experiments.line.drvPath"]).text

    before = derivation()
    (study / "README.md").write_text("Something else")
    assert derivation() == before
    params = study / "experiments" / "line" / "params.yaml"
    params.write_text(params.read_text() + "\n# a comment\n")
    assert derivation() != before


@pytest.mark.parametrize(
    ("mode", "status", "killed", "words"),
    [
        ("fail", 7, None, "exit status 7"),
        ("kill", 137, "SIGKILL", "SIGKILL"),
        ("undeclared", 1, None, "FileNotFoundError"),
        ("home", 1, None, "'/root'"),
    ],
)
def test_a_failure_leaves_its_evidence(
    study: Path, world: World, mode: str, status: int, killed: str | None, words: str
) -> None:
    declare(study, mode)
    done = world.tool("run", "bad", "--runner", "nix", "--quiet", cwd=study, status=1)
    assert words in done.stderr
    run = record(study, "bad")
    assert (run.status, run.exit_status, run.signal) == ("failed", status, killed)
    assert run.usage is not None
    assert (study / "runs" / run.id / "stdout.txt").read_text() == ("" if killed else "out of it\n")
    assert "beside it\n" in (study / "runs" / run.id / "stderr.txt").read_text()
    assert not list((study / ".entrenar" / "staging").iterdir())


def test_the_network_of_the_host_is_out_of_reach(study: Path, world: World) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        declare(study, "net", f" {server.getsockname()[1]}")
        done = world.tool("run", "bad", "--runner", "nix", "--quiet", cwd=study, status=1)
    assert "ConnectionRefusedError" in done.stderr


def test_an_output_that_was_not_written_is_named(study: Path, world: World) -> None:
    declare(study, "nothing")
    assert "o.txt" in world.tool("run", "bad", "--runner", "nix", "--quiet", cwd=study, status=1).stderr


def test_without_a_lock_or_its_files_the_next_step_is_told(study: Path, world: World, tmp_path: Path) -> None:
    empty = {"ENTRENAR_NIX_STORE": str(tmp_path / "store")}
    done = world.tool("run", "line", "--runner", "nix", "--force", cwd=study, status=2, env=empty)
    assert "lacks files of the lock" in done.stderr
    assert "entrenar-research env seed" in done.stderr
    assert len(done.stderr.splitlines()) < 10
    (study / "nix" / "closure.lock.json").unlink()
    done = world.tool("run", "line", "--runner", "nix", "--force", cwd=study, status=2)
    assert "entrenar-research env lock" in done.stderr


def test_what_a_sealed_world_cannot_do_is_refused_before_anything_runs(study: Path, world: World) -> None:
    before = sorted((study / "runs").iterdir())
    for words in (["--source"], ["--tracer", "kernel"]):
        assert "sealed world" in world.tool("run", "line", "--runner", "nix", *words, cwd=study, status=2).stderr
    assert "no runner named" in world.tool("run", "line", "--runner", "moon", cwd=study, status=2).stderr
    away = {"PATH": f"{Path(hermetic.TOOL).parent}:/nowhere"}
    done = world.run(hermetic.TOOL, "run", "line", "--runner", "nix", cwd=study, status=None, env=away)
    assert done.returncode in (2, 3)
    assert sorted((study / "runs").iterdir()) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_a_build_outlives_the_tool(
    study: Path, world: World, number: signal.Signals, tmp_path: Path
) -> None:
    mark = f"mark-{os.getpid()}-{number}"
    declare(study, "wait", f" {mark}")
    argv = [str(hermetic.TOOL), "run", "bad", "--runner", "nix", "--quiet"]
    child = subprocess.Popen(argv, cwd=study, env=world.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until(lambda: running(mark))
    child.send_signal(number)
    child.communicate(timeout=30)
    until(lambda: not running(mark))
    world.tool("runs", "recover", cwd=study)
    assert record(study, "bad").status == ("lost" if number == signal.SIGKILL else "cancelled")
    assert not list((study / ".entrenar" / "staging").iterdir())


def running(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark.encode() in words and b"wait" in words:
            found.append(path.parent.name)
    return found


def until(true: object, seconds: float = 30) -> None:
    assert callable(true)
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_description_of_the_experiments_is_the_same_for_the_same(study: Path, world: World) -> None:
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    path = study / "nix" / "experiments.json"
    first = path.read_bytes()
    world.tool("run", "line", "--runner", "nix", "--quiet", "--force", cwd=study)
    assert path.read_bytes() == first
    job = msgspec.json.decode(first)["experiments"]["line"]
    assert job["command"][:2] == ["python", "experiments/line/train.py"]
    assert [item["path"] for item in job["data"]] == ["data/points.csv"]
    path.write_text("{")
    assert "experiments.json" in world.tool("run", "line", "--runner", "nix", "--force", cwd=study, status=2).stderr


def replayed(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The verdicts of a hermetic replay by what they are about."""
    return {i["subject"]: i["verdict"] for i in json.loads(done.stdout)["findings"] if i["area"] == "rebuild"}


def repetition(done: subprocess.CompletedProcess[str], experiment: str) -> dict[str, Any]:
    """How it went with an experiment that was carried out again."""
    (found,) = [i for i in json.loads(done.stdout)["repetitions"] if i["experiment"] == experiment]
    return dict(found)


def test_a_study_and_its_bundle_are_rebuilt(study: Path, world: World, tmp_path: Path) -> None:
    world.run("git", "add", "flake.nix", "nix", cwd=study)
    world.tool("run", "line", "--runner", "nix", "--quiet", cwd=study)
    world.run("git", "add", "-A", cwd=study)
    world.run("git", "commit", "-qm", "By Nix", cwd=study)
    found = replayed(world.tool("verify", "--rebuild", "--format", "json", cwd=study))
    assert set(found.values()) == {"identical"}
    assert "experiments/line/result/curve.csv" in found
    world.tool("bundle", "-o", tmp_path / "line.crate.zip", cwd=study)
    words = ["verify", "line.crate.zip", "--rebuild", "--replay", "--format", "json"]
    assert replayed(world.tool(*words, cwd=tmp_path)) == found
    empty = {"ENTRENAR_NIX_STORE": str(tmp_path / "empty")}
    assert "env seed" in world.tool(*words, cwd=tmp_path, status=2, env=empty).stderr
    said = world.tool("verify", "--rebuild", "--no-replay", cwd=study, status=2).stderr
    assert "exclude each other" in said


def test_what_a_sealed_world_does_otherwise_is_different(study: Path, world: World) -> None:
    """What the host's environment decided is not there when it is rebuilt."""
    (study / "experiments" / "bad" / "bad.py").write_text(
        "import os, pathlib, sys\npathlib.Path(sys.argv[2], 'o.txt').write_text(os.environ.get('MARK', 'nothing'))\n"
    )
    declare(study, "any")
    world.tool("experiment", "sync", "bad", cwd=study)
    world.tool("run", "bad", "--quiet", cwd=study, env={"MARK": "of the host"})
    done = world.tool("verify", "--rebuild", "--format", "json", cwd=study, status=1)
    found = replayed(done)
    assert found["experiments/bad/result/o.txt"] == "different"
    assert found["experiments/line/result/curve.csv"] == "identical"
    bad, line = repetition(done, "bad"), repetition(done, "line")
    assert (bad["area"], bad["verdict"], line["verdict"], line["hints"]) == ("rebuild", "different", "identical", [])
    assert (bad["then"]["runner"], bad["now"]["runner"]) == ("host", "nix")
    assert bad["then"]["hardware"] == bad["now"]["hardware"]
    told = {hint["cause"]: hint["evidence"] for hint in bad["hints"]}
    assert told["another runner"] == "run by host, now by nix"
    assert "OPENBLAS_CORETYPE: absent -> Haswell" in told["CPU dispatch"]
    assert "reproduce bad --runner nix" in world.tool("verify", "--rebuild", cwd=study, status=1).stdout


def test_a_lock_that_changed_since_is_told(study: Path, world: World) -> None:
    """The same run by another toolchain: a file less in the environment that the command can see."""
    (study / "experiments" / "bad" / "bad.py").write_text(
        "import pathlib, sys\npathlib.Path(sys.argv[2], 'o.txt').write_text(sys.prefix)\n"
    )
    declare(study, "any")
    world.tool("experiment", "sync", "bad", cwd=study)
    world.tool("run", "bad", "--runner", "nix", "--quiet", cwd=study)
    lock = study / "nix" / "closure.lock.json"
    changed = json.loads(lock.read_text())
    dropped = next(wheel for wheel in changed["wheels"] if wheel["name"] == "safetensors")
    changed["wheels"].remove(dropped)
    lock.write_text(json.dumps(changed, indent=2) + "\n")
    done = world.tool("verify", "--rebuild", "--format", "json", cwd=study, status=1)
    told = {hint["cause"]: hint["evidence"] for hint in repetition(done, "bad")["hints"]}
    assert told["another toolchain"] == "the lock is not that of the run: environment-3.11 changed"
    assert "another runner" not in told


@pytest.mark.parametrize("runner", ["nix", "bwrap"])
def test_an_attestation_says_where_it_was_rebuilt(study: Path, world: World, runner: str) -> None:
    world.tool("keys", "new", cwd=study)
    world.run("git", "add", "-A", cwd=study)
    world.run("git", "commit", "-qm", "Nix", cwd=study)
    world.tool("prove", "line", cwd=study)
    world.tool("attest", "line", "--runner", runner, cwd=study)
    (path,) = (study / "runs").glob("*/attestations/*.jsonl")
    payload = json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))
    assert f'"{runner}"' in json.dumps(payload)
    assert payload["predicate"]["claim"]["outputs"]
