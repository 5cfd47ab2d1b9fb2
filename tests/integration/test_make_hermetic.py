"""`make hermetic` in a study made from a template: everything is run by Nix, or it says what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from entrenar_research.core.nix import closure_lock
from tests import closures, hermetic
from tests.conftest import World

SIX = {"algorithms", "async_await", "basics", "control_flow", "dataframes", "file_io"}


@pytest.fixture
def operations(world: World, tmp_path: Path) -> Path:
    """A new study of six small scripts."""
    study = tmp_path / "six"
    words = ("--title", "Six", "--author", "Ada Lovelace", "--license", "MIT", "--template", "operations")
    done = world.tool("init", study, *words, cwd=tmp_path)
    assert "`make hermetic`" in " ".join(done.stdout.split())
    assert "make hermetic" in (study / "README.md").read_text()
    return study


@pytest.mark.nix
@pytest.mark.slow
def test_everything_is_built_by_nix(operations: Path, world: World) -> None:
    store = hermetic.store()
    hermetic.equip(operations)  # as `env lock` does, which would ask apt and pip
    cache = closures.fetched()[2].root.parents[1]
    given = {"ENTRENAR_NIX_STORE": str(store), "XDG_CACHE_HOME": str(cache)}
    world.run("make", "hermetic", cwd=operations, env=given)
    listed = json.loads(world.tool("runs", "list", "--format", "json", cwd=operations).stdout)
    runners: dict[str, set[str]] = {}
    for run in listed:
        record = json.loads(world.tool("runs", "show", run["id"], "--format", "json", cwd=operations).stdout)
        assert record["status"] == "completed"
        runners.setdefault(record["experiment"], set()).add(record["runner"])
    assert {name for name in runners if not name.startswith("ruchy_")} == SIX
    assert all(runners[name] == {"host", "nix"} for name in SIX)


def test_without_nix_it_says_so_and_runs_nothing(operations: Path, world: World, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for program in ("make", "sh"):
        found = shutil.which(program)
        assert found is not None
        (tmp_path / "bin" / program).symlink_to(found)
    done = world.run("make", "hermetic", cwd=operations, status=2, env={"PATH": str(tmp_path / "bin")})
    assert "make hermetic: Nix is not installed (Debian: nix-bin" in done.stderr
    assert not (operations / closure_lock.FILE).exists()
    assert not list(operations.glob("runs/*"))
