"""A Nix store with the toolchain of this repository's lock, made once and shared by all tests that build.

The files come from the cache that `make setup` fills; without Nix or without them a test is skipped and says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from entrenar_research.actions.environments import build_files
from entrenar_research.core.nix import closure_lock
from entrenar_research.tools import nix
from tests import closures
from tests.conftest import World

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venv" / "nix-tests"
TOOL = ROOT / ".venv" / "bin" / "entrenar-research"


def require() -> None:
    """Skips the test where nothing can be built; in continuous integration that is a failure."""
    try:
        closures.need_nix()
        closures.fetched()
    except pytest.skip.Exception as reason:
        lacking(str(reason))


def lacking(reason: str) -> NoReturn:
    """Skips the test because something is not installed; in continuous integration that is a failure."""
    if os.environ.get("CI_ORACLES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def store() -> Path:
    """A store in which the toolchain is built: one for all test processes, kept for the next time."""
    require()
    PLACE.mkdir(exist_ok=True)
    with (PLACE / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        lock, _, _ = closures.fetched()
        state = "".join(path.read_text() for path in (lock, *sources(), *build_files.client(ROOT / "nix").values()))
        built = PLACE / "built"
        if not built.is_file() or built.read_text() != state or not (PLACE / "study").is_dir():
            built.unlink(missing_ok=True)
            remove(PLACE / "store")
            make(lock)
            built.write_text(state)
    return PLACE / "store"


def sources() -> list[Path]:
    """What Nix builds by, without the lock and the experiments."""
    return sorted(path for path in (ROOT / "nix").iterdir() if path.suffix in (".nix", ".sh", ".py"))


def make(lock: Path) -> None:
    """Seeds and builds."""
    study = PLACE / "study"
    shutil.rmtree(study, ignore_errors=True)
    (study / "nix").mkdir(parents=True)
    build_files.refresh(study, ROOT / "nix", replace=False)
    shutil.copyfile(lock, study / closure_lock.FILE)
    shutil.copyfile(ROOT / "study.yaml", study / "study.yaml")
    environment = {**os.environ, "ENTRENAR_NIX_STORE": str(PLACE / "store")}
    done = subprocess.run(
        [TOOL, "env", "seed"], cwd=study, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tool = nix.Nix(PLACE / "conf", PLACE / "store")
    tool.run(["nix-build", str(study / "nix"), "--no-out-link", "-A", "toolchain.environment"], timeout=600)


def remove(place: Path) -> None:
    """A store is read-only, its directories as well."""
    if place.exists():
        subprocess.run(["chmod", "-R", "u+w", str(place)], check=True)
        shutil.rmtree(place)


def equip(study: Path) -> None:
    """Gives a study what Nix needs of it, as `env lock` does."""
    shutil.copytree(PLACE / "study" / "nix", study / "nix")
    shutil.copyfile(ROOT / "flake.nix", study / "flake.nix")


def checkout(world: World, target: Path) -> Path:
    """The repository as a stranger has it: a clone, its data, and a lock whose files are in the store.

    What Nix builds by is as it lies here, committed or not.
    """
    if not (ROOT / ".git").exists():
        pytest.skip("the sources lie here without their repository")
    world.run("git", "-c", "safe.directory=*", "clone", "-q", f"file://{ROOT}", target, cwd=target.parent)
    world.run("dvc", "pull", "-q", cwd=target)
    lock, _, _ = closures.fetched()
    shutil.copytree(ROOT / "nix", target / "nix", dirs_exist_ok=True)
    shutil.copyfile(ROOT / "flake.nix", target / "flake.nix")
    shutil.copyfile(lock, target / closure_lock.FILE)
    world.run("git", "add", "-A", cwd=target)
    return target
