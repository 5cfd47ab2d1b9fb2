"""Another version of Nix builds the same, path for path, and the tool understands what it says.

The other one is in the directory that ENTRENAR_NEWER_NIX names, or scripts/newer_nix.py has fetched it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.models.run import RunRecord
from entrenar_research.store.yaml_text import Document
from entrenar_research.tools import nix
from tests import hermetic
from tests.conftest import World, make_world
from tests.integration.flakes import EXPERIMENTS, Flake

pytestmark = [pytest.mark.nix, pytest.mark.slow]
PLACES = (os.environ.get("ENTRENAR_NEWER_NIX"), hermetic.ROOT / ".venv" / "newer-nix" / "usr" / "bin")


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    """A PATH on which the programs of a newer Nix come first."""
    hermetic.require()
    installed = nix.number() or nix.OLDEST
    with pytest.MonkeyPatch.context() as patch:
        for place in filter(None, PLACES):
            with_it = f"{place}:{os.environ['PATH']}"
            patch.setenv("PATH", with_it)
            if (nix.number() or nix.OLDEST) > installed:
                patch.undo()
                yield with_it
                return
    pytest.skip(f"no Nix newer than {nix.version()} here: `.venv/bin/python scripts/newer_nix.py` fetches one")


@pytest.fixture(scope="module")
def here(path: str, tmp_path_factory: pytest.TempPathFactory) -> Flake:
    """The repository, built by the Nix that is installed."""
    del path  # nothing is made where there is no newer one
    base = tmp_path_factory.mktemp("newer")
    store = hermetic.store()
    world = make_world(base / "home")
    return Flake(world, hermetic.checkout(world, base / "study"), store)


@pytest.fixture(scope="module")
def store(path: str, here: Flake) -> Path:
    """A store of the newer Nix."""
    return here.root.parent / "store"


@pytest.fixture
def newer(path: str, store: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world in which the newer Nix is the installed one, with a store of its own."""
    world.environment |= {"PATH": f"{path.partition(':')[0]}:{world.environment['PATH']}"}
    world.environment["ENTRENAR_NIX_STORE"] = str(store)
    monkeypatch.setenv("PATH", path)
    return world


def test_a_newer_nix_builds_the_same_from_nothing(here: Flake, newer: World, store: Path) -> None:
    there = Flake(newer, here.root, store)
    there.nix("flake", "check", "--offline")
    for name in ("toolchain", *EXPERIMENTS):
        (again,) = there.build(name)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", os.environ["PATH"].partition(":")[2])
            (built,) = here.build(name)
            digest = here.digest(built["outputs"]["out"])
        assert (again["drvPath"], again["outputs"]) == (built["drvPath"], built["outputs"])
        assert there.digest(again["outputs"]["out"]) == digest
    there.nix("build", "--offline", "--no-link", "--rebuild", ".#training_loop")
    assert "training_loop: /nix/store/" in there.nix("run", "--offline", ".#training_loop")


def test_the_tool_runs_with_it_and_reads_its_failures(newer: World, here: Flake, store: Path, tiny: Path) -> None:
    Flake(newer, here.root, store)
    hermetic.equip(tiny)
    newer.tool("run", "line", "--runner", "nix", "--quiet", cwd=tiny)
    run = record(tiny, "line")
    assert run.hermetic is not None
    assert run.hermetic.nix_version == nix.version()
    assert run.hermetic.settings["sandbox"] == "true"
    assert run.hermetic.settings["sandbox-fallback"] == "false"
    assert run.hermetic.settings["sandbox-paths"] == ""
    script = tiny / "experiments" / "line" / "train.py"
    script.write_text("import os, sys; print('out of it'); sys.exit(7 if not os.path.exists('/bin/sh') else 8)\n")
    done = newer.tool("run", "line", "--runner", "nix", "--quiet", "--force", cwd=tiny, status=1)
    assert "exit status 7" in done.stderr
    failed = record(tiny, "line")
    assert (failed.status, failed.exit_status) == ("failed", 7)
    assert (tiny / "runs" / failed.id / "stdout.txt").read_text() == "out of it\n"
    empty = {"ENTRENAR_NIX_STORE": str(store.parent / "empty")}
    said = newer.tool("run", "line", "--runner", "nix", "--force", cwd=tiny, status=2, env=empty).stderr
    assert "lacks files of the lock" in said


def record(study: Path, experiment: str) -> RunRecord:
    """The last run of an experiment."""
    found = max((study / "runs").glob(f"*-{experiment}-*/run.yaml"))
    return Document(found.read_text(), "run.yaml").convert(RunRecord)
