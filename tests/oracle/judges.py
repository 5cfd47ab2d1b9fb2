"""Finding judges that are not ours: in their own environment, else on PATH; data from the shared folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parents[2]
ORACLES = ROOT / ".venv-oracles" / "bin"
DATA = Path(os.environ.get("ENTRENAR_TEST_DATA", ROOT.parent / "shared" / "data"))
SEED = DATA.parent / "tools" / "seed_rocrate_cache.py"


def absent(what: str) -> NoReturn:
    """Skips the test, or fails it where every oracle must be there."""
    reason = f"{what} is not installed"
    if os.environ.get("CI_ORACLES") == "required":
        pytest.fail(reason)
    pytest.skip(reason)


def without_data(what: str) -> NoReturn:
    """Skips the test: published schemas and contexts are read from outside of the project, where they are."""
    pytest.skip(f"{what} is not in the test data (ENTRENAR_TEST_DATA names their folder)")


def program(name: str) -> str:
    """The path of a judge."""
    found = shutil.which(name, path=f"{ORACLES}{os.pathsep}{os.environ.get('PATH', '')}")
    return found or absent(name)


def python_with(*modules: str) -> str:
    """An interpreter that has these modules."""
    for candidate in (ORACLES / "python", Path(sys.executable), Path(shutil.which("python3") or "python3")):
        trial = [str(candidate), "-c", f"import {', '.join(modules)}"]
        if candidate.exists() and subprocess.run(trial, capture_output=True, check=False).returncode == 0:
            return str(candidate)
    absent(" and ".join(modules))


def run(*command: str | Path, cwd: Path | None = None, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Runs a judge; what it says and its exit status are for the caller."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        input=stdin.decode("utf-8", "surrogateescape"),
        errors="surrogateescape",
    )


def seeded_cache(directory: Path) -> Path:
    """rocrate-validator's cache, filled so that it needs no network."""
    python = Path(program("rocrate-validator")).parent / "python"
    if not SEED.is_file():
        without_data(SEED.name)
    prefix = directory / "cache"
    done = run(python, SEED, prefix)
    assert done.returncode == 0, done.stderr
    return prefix


def crate_issues(directory: Path, profile: str, cache: Path, report: Path) -> list[str]:
    """What rocrate-validator finds to be against the requirements of a profile."""
    common = ("-y", "--disable-color", "validate", "-p", profile, "-np", "--offline", "--cache-path", cache)
    options = ("--skip-availability-check", "-l", "required", "-f", "json", "-o", report)
    done = run(program("rocrate-validator"), *common, *options, directory)
    assert report.is_file(), done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["passed"] is (done.returncode == 0)
    return [str(issue["message"]) for issue in found["issues"]]
