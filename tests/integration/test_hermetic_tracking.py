"""A script that logs to its run, in the sandbox of Nix: what it says arrives, and the result stays what it was."""

from __future__ import annotations

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from entrenar_research.actions.environments import build_files
from entrenar_research.models.run import RunRecord
from entrenar_research.store.logged import points
from entrenar_research.tools import nix
from tests import hermetic
from tests.conftest import World
from tests.integration.test_nix_runner import record

pytestmark = [pytest.mark.nix, pytest.mark.slow]
TRACKED = """\
import subprocess, sys
import entrenar_research as er
with er.start_run("tracked", params={"depth": 2}, tags=["first", "größe"]) as run:
    for epoch in range(3):
        with run.span("epoch", index=epoch):
            run.log_metric("loss", 1 / (epoch + 1), step=10 * epoch)
    run.log_artifact(b"\\x00\\xff", "plots/raw.bin")
    run.add_warning("two were left out")
    child = "import entrenar_research as er; er.current_run().log_metric('child', 1.5)"
    subprocess.run([sys.executable, "-c", child], check=True)
    if sys.argv[1] == "fail": raise ValueError("half way")
    if sys.argv[1] == "sweep": er.Sweep("s")
open(sys.argv[2] + "/o.txt", "w").write("done")
"""


@pytest.fixture
def study(tiny: Path, world: World) -> Path:
    world.environment["ENTRENAR_NIX_STORE"] = str(hermetic.store())
    hermetic.equip(tiny)
    (tiny / "experiments" / "tracked").mkdir()
    (tiny / "experiments" / "tracked" / "t.py").write_text(TRACKED)
    declare(tiny, "well")
    return tiny


def declare(study: Path, mode: str) -> None:
    (study / "experiments" / "tracked" / "experiment.yaml").write_text(
        f"command: python experiments/tracked/t.py {mode} ${{result}}\n"
        "code: [experiments/tracked/t.py]\noutputs: [o.txt]\n"
    )


def told(study: Path, run: RunRecord) -> object:
    """What a run says of itself that does not depend on where and when it was made."""
    places = [(item.path, item.digest) for item in run.artifacts]
    loss = points.points(study / "runs" / run.id, "loss")
    telemetry = run.telemetry
    assert telemetry is not None
    counted = (telemetry.points, telemetry.spans, telemetry.processes, telemetry.damaged)
    return run.params, run.tags, run.warnings, run.series, places, list(loss.steps), list(loss.values), counted


def test_what_is_logged_arrives_as_from_the_host(study: Path, world: World) -> None:
    world.tool("run", "tracked", "--quiet", cwd=study)
    host = record(study, "tracked")
    world.tool("run", "tracked", "--runner", "nix", "--quiet", cwd=study)
    run = record(study, "tracked")
    assert (run.runner, run.status) == ("nix", "completed")
    assert told(study, run) == told(study, host)
    assert run.series["child"].last == 1.5
    assert run.result == host.result
    assert run.observed is not None
    assert (run.observed.undeclared_reads, run.observed.undeclared_writes) == ((), ())
    world.tool("experiment", "sync", "tracked", cwd=study)
    world.run("git", "add", "-A", cwd=study)
    world.run("git", "commit", "-qm", "Tracked", cwd=study)
    world.tool("verify", "--no-replay", cwd=study)


def test_times_and_ids_stay_out_of_the_result(study: Path, world: World) -> None:
    world.tool("run", "tracked", "--runner", "nix", "--quiet", cwd=study)
    run = record(study, "tracked")
    assert run.hermetic is not None
    tool = nix.Nix(study / ".entrenar" / "nix", Path(world.environment["ENTRENAR_NIX_STORE"]))
    place = tool.physical(run.hermetic.out_path)
    assert [path.name for path in place.rglob("*")] == ["o.txt"]
    world.tool("reproduce", "tracked", "--runner", "nix", "--vary", "none", cwd=study)


def test_what_was_logged_before_a_failure_is_kept(study: Path, world: World) -> None:
    declare(study, "fail")
    world.tool("run", "tracked", "--runner", "nix", "--trace", "none", "--quiet", cwd=study, status=1)
    run = record(study, "tracked")
    assert run.status == "failed"
    assert run.series["loss"].points == 3
    assert [item.path for item in run.artifacts] == ["artifacts/plots/raw.bin"]
    assert run.failure_context is not None
    assert 'File "experiments/tracked/t.py"' in (run.failure_context.stack or "")


def test_what_was_logged_before_an_interrupt_is_kept(study: Path, world: World) -> None:
    script = study / "experiments" / "tracked" / "t.py"
    script.write_text(TRACKED + "print('logged', flush=True); __import__('time').sleep(600)\n")
    child = subprocess.Popen(
        [hermetic.TOOL, "run", "tracked", "--runner", "nix"],
        cwd=study, env=world.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stderr is not None
    assert any(line == "logged\n" for line in child.stderr)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=60)
    assert child.returncode == 130
    run = record(study, "tracked")
    assert (run.status, run.series["loss"].points, len(run.artifacts)) == ("cancelled", 3, 1)


def test_more_than_logging_is_refused_in_words(study: Path, world: World) -> None:
    declare(study, "sweep")
    world.tool("run", "tracked", "--runner", "nix", "--quiet", cwd=study, status=1)
    run = record(study, "tracked")
    assert run.status == "failed"
    said = (study / "runs" / run.id / "stderr.txt").read_text()
    assert "entrenar_research.Sweep is not here: in a hermetic run there is the client alone" in said


def test_the_toolchain_is_that_of_the_studys_own_client(study: Path, world: World) -> None:
    """Another version of the tool changes nothing until it is asked for; and where it is developed it is the same."""
    tool = nix.Nix(study / ".entrenar" / "nix", Path(world.environment["ENTRENAR_NIX_STORE"]))

    def environment(root: Path) -> str:
        lock = f"builtins.fromJSON (builtins.readFile {study}/nix/closure.lock.json)"
        expression = f"(import {root}/nix/toolchain.nix {{ lock = {lock}; }}).environment.outPath"
        return tool.run(["nix-instantiate", "--eval", "-E", expression]).text

    before = environment(study)
    assert environment(hermetic.ROOT) == before
    (study / build_files.CLIENT / "__pycache__").mkdir()
    (study / build_files.CLIENT / "__pycache__" / "x.pyc").write_bytes(b"x")
    (study / build_files.CLIENT / "other.txt").write_text("x")
    assert environment(study) == before
    errors = study / build_files.CLIENT / "errors.py"
    errors.write_text(errors.read_text() + "# of another version\n")
    (study / build_files.CLIENT / "client" / "of_old.py").write_text("")
    assert environment(study) != before
    said = world.tool("env", "verify", cwd=study, status=1).stdout
    assert build_files.CLIENT in said
    assert f"{build_files.CLIENT}: replaced" in world.tool("env", "lock", "--build-files", cwd=study).stdout
    assert environment(study) == before
    shutil.rmtree(study / build_files.CLIENT)
    said = world.tool("run", "tracked", "--runner", "nix", cwd=study, status=1).stderr
    assert "nix/entrenar_research is missing: `entrenar-research env lock --build-files` writes it" in said
    assert f"{build_files.CLIENT}: written" in world.tool("env", "lock", "--build-files", cwd=study).stdout
    assert environment(study) == before


@pytest.mark.parametrize("linked", ["", "client"])
def test_a_client_that_is_a_link_is_replaced_and_nothing_behind_it_touched(
    study: Path, world: World, tmp_path: Path, linked: str
) -> None:
    place, elsewhere = study / build_files.CLIENT / linked, tmp_path / "elsewhere"
    shutil.copytree(place, elsewhere)
    (elsewhere / "mine.py").write_text("mine\n")
    (elsewhere / "__init__.py").write_text("mine too\n")
    shutil.rmtree(place)
    place.symlink_to(elsewhere)
    assert build_files.CLIENT in world.tool("env", "verify", cwd=study, status=1).stdout
    assert f"{build_files.CLIENT}: replaced" in world.tool("env", "lock", "--build-files", cwd=study).stdout
    assert not place.is_symlink()
    assert not (place / "mine.py").exists()
    assert (elsewhere / "mine.py").read_text() == "mine\n"
    assert (elsewhere / "__init__.py").read_text() == "mine too\n"
