"""The repository's flake, as a stranger has it: every command that the documents promise, and two stores."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest

from entrenar_research.errors import ToolError
from tests import hermetic
from tests.conftest import World, make_world
from tests.integration.flakes import EXPERIMENTS, Flake, digests

pytestmark = [pytest.mark.nix, pytest.mark.slow]


@pytest.fixture(scope="module")
def flake(tmp_path_factory: pytest.TempPathFactory) -> Flake:
    base = tmp_path_factory.mktemp("flake")
    store = hermetic.store()
    world = make_world(base / "home")
    return Flake(world, hermetic.checkout(world, base / "study"), store)


def test_everything_is_checked_and_shown(flake: Flake) -> None:
    flake.nix("flake", "check", "--offline")
    found = json.loads(flake.nix("flake", "show", "--offline", "--json"))
    assert set(found["checks"]["x86_64-linux"]) == set(EXPERIMENTS)
    assert set(found["packages"]["x86_64-linux"]) >= {"toolchain", *EXPERIMENTS, *(f"{n}-traced" for n in EXPERIMENTS)}
    assert set(found["apps"]["x86_64-linux"]) >= set(EXPERIMENTS)
    assert not (flake.root / "flake.lock").exists()
    said = flake.nix("shell", "--offline", ".#toolchain", "-c", "python3", "-c", "import numpy; print(numpy.__file__)")
    assert said.startswith("/nix/store/")


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_is_built_again_and_is_what_the_repository_has(flake: Flake, name: str) -> None:
    out = flake.out(name)
    flake.nix("build", "--offline", "--no-link", "--rebuild", f".#{name}")
    assert flake.files(out) == digests(flake.root / "experiments" / name / "result")
    shown = flake.nix("run", "--offline", f".#{name}")
    for path, digest in flake.files(out).items():
        assert f"{digest}  {path}" in shown


def test_what_is_traced_has_the_same_result_and_its_evidence_beside_it(flake: Flake) -> None:
    assert flake.digest(flake.out("model_io-traced")) == flake.digest(flake.out("model_io"))
    (built,) = flake.build("model_io-traced.trace")
    evidence = flake.store / built["outputs"]["trace"].lstrip("/")
    assert "round_trip_exact 1" in (evidence / "stdout.txt").read_text()
    assert "digits.csv" in (evidence / "trace.log").read_text()
    assert json.loads((evidence / "ended.json").read_text())["status"] == 0


def test_another_store_has_the_same_paths_and_digests(flake: Flake, tmp_path: Path, world: World) -> None:
    other = Flake(world, flake.root, tmp_path / "another")
    for name in ("toolchain", "model_io"):
        (here,), (there,) = flake.build(name), other.build(name)
        assert here["drvPath"] == there["drvPath"]
        assert here["outputs"] == there["outputs"]
        assert flake.digest(here["outputs"]["out"]) == other.digest(there["outputs"]["out"])


@pytest.fixture(scope="module")
def stub(flake: Flake) -> list[str]:
    """The words that put a stand-in for nixpkgs, with this lock's toolchain, in the place of the real one."""
    place = flake.root.parent / "stub"
    shutil.copytree(hermetic.ROOT / "tests" / "nixpkgs-stub", place)
    shutil.copytree(hermetic.PLACE / "study" / "nix", place / "nix")
    return ["--offline", "--override-input", "nixpkgs", f"path:{place}", "--no-write-lock-file"]


def test_the_flake_for_people_with_nixpkgs(flake: Flake, stub: list[str]) -> None:
    there = "./nix/nixpkgs"
    flake.nix("flake", "check", there, *stub)
    found = json.loads(flake.nix("flake", "show", there, "--json", *stub))
    for system in ("x86_64-linux", "aarch64-linux"):
        assert set(found["packages"][system]) == {"environment", *EXPERIMENTS}
        assert set(found["apps"][system]) == set(found["checks"][system]) == set(EXPERIMENTS)
        assert set(found["devShells"][system]) == {"default"}
    (built,) = json.loads(flake.nix("build", f"{there}#model_io", "--no-link", "--json", *stub))
    out = built["outputs"]["out"]
    # Its Python is that of the lock here, so that the result has to be the same; by another derivation.
    assert built["drvPath"] != flake.build("model_io")[0]["drvPath"]
    assert flake.digest(out) == flake.digest(flake.out("model_io"))
    assert f"model_io: {out}" in flake.nix("run", f"{there}#model_io", *stub)
    assert not (flake.root / "nix" / "nixpkgs" / "flake.lock").exists()


def test_a_package_that_nixpkgs_does_not_have_is_named(flake: Flake, stub: list[str], tmp_path: Path) -> None:
    shutil.copytree(flake.root, tmp_path / "study", symlinks=True)
    lock = tmp_path / "study" / "nix" / "closure.lock.json"
    lock.write_text(lock.read_text().replace('"name": "safetensors"', '"name": "nobody-has-this"'))
    other = copy.copy(flake)
    other.root = tmp_path / "study"
    with pytest.raises(ToolError, match="nixpkgs has no Python package nobody-has-this"):
        other.nix("build", "./nix/nixpkgs#model_io", "--no-link", *stub)
