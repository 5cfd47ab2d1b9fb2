"""A Nix store with the toolchain of this repository's lock, made once and shared by all tests that build.

The files come from the cache that `make setup` fills; without Nix or without them a test is skipped and says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from entrenar_research.core.nix import closure_lock
from entrenar_research.tools import nix
from tests import closures

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".venv" / "nix-tests"
TOOL = ROOT / ".venv" / "bin" / "entrenar-research"


def require() -> None:
    """Skips the test where nothing can be built; in continuous integration that is a failure."""
    try:
        closures.need_nix()
        closures.fetched()
    except pytest.skip.Exception as reason:
        if os.environ.get("CI_ORACLES") == "required":
            pytest.fail(str(reason))
        raise


def store() -> Path:
    """A store in which the toolchain is built: one for all test processes, kept for the next time."""
    require()
    PLACE.mkdir(exist_ok=True)
    with (PLACE / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        lock, _, _ = closures.fetched()
        state = "".join(path.read_text() for path in (lock, *sources()))
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
    for path in sources():
        shutil.copyfile(path, study / "nix" / path.name)
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
