"""Checkouts of this repository to build the tool itself in, and a store with the toolchain of its own lock.

The files come from the cache that `make setup` fills; without Nix or without them a test is skipped and says so.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from entrenar_research.core.nix import closure_lock
from entrenar_research.models.closure import Closure
from tests import closures, hermetic

ROOT = hermetic.ROOT
PLACE = ROOT / ".venv" / "nix-tests-tool"
LOCKS = (closure_lock.OWN, ".entrenar/fresh-tool.lock.json")
BACK_END = {"hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers"}
"""The wheels without which the tool cannot be built; to run it takes others."""
RULES = {"toolchain.nix", "build-python.sh", "build-environment.py"}
"""What Python and its packages are built by."""


def fetched() -> Closure:
    """The lock of the tool, or the one of the day, with all its files in the cache; skips without.

    In continuous integration that is a failure.
    """
    try:
        closures.need_nix()
        return closures.fetched(LOCKS)[1]
    except pytest.skip.Exception as reason:
        if os.environ.get("CI_ORACLES") == "required":
            pytest.fail(str(reason))
        raise


def lean(closure: Closure) -> Closure:
    """The lock with no more wheels than building takes."""
    return msgspec.structs.replace(closure, wheels=tuple(item for item in closure.wheels if item.name in BACK_END))


def checkout(place: Path, closure: Closure) -> Path:
    """What of this repository the tool is built from and by, under Git, with a lock of our own."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = {"pyproject.toml", "README.md", "LICENSE", "study.yaml", "flake.nix"}
    names |= set(project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"])
    patterns = ("entrenar_research/**/*.py", "nix/*.nix", "nix/*.sh", "nix/*.py", "nix/tool/*.nix", "nix/tool/*.py")
    names |= {path.relative_to(ROOT).as_posix() for pattern in patterns for path in ROOT.glob(pattern)}
    for name in sorted(names):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    (place / closure_lock.OWN).write_bytes(closure_lock.encode(closure))
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "-q"), ("add", "--all"), (*identity, "commit", "-q", "-m", "All of it")):
        subprocess.run(["git", *words], cwd=place, check=True, capture_output=True)
    return place


def store(run: Callable[[Path], None]) -> Path:
    """A store in which the whole toolchain of the tool is built: kept for the next time.

    `run` is called with the place of the store when there is none yet, or what it is built by has changed.
    """
    closure = fetched()
    PLACE.mkdir(exist_ok=True)
    with (PLACE / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        by = (path for path in hermetic.sources() if path.name in RULES)
        state = closure_lock.encode(closure) + b"".join(path.read_bytes() for path in by)
        built = PLACE / "built"
        if not built.is_file() or built.read_bytes() != state:
            built.unlink(missing_ok=True)
            hermetic.remove(PLACE / "store")
            run(PLACE / "store")
            built.write_bytes(state)
    return PLACE / "store"
