"""The set-up: what the lock files hold, what make offers, and what the document check finds."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scripts import check_docs

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
LOCKS = sorted(REQUIREMENTS.glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9][a-z0-9.-]*)==", re.MULTILINE)
NAME = re.compile(r"[A-Za-z0-9._-]+")


def normal(name: str) -> str:
    """Return a package's name as lock files write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    """Return which packages these requirements ask for."""
    return {normal(match[0]) for match in map(NAME.match, requirements) if match}


def inputs(lock: str) -> list[str]:
    """Return the lines of requirements/`lock`.in that ask for something."""
    lines = (REQUIREMENTS / f"{lock}.in").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def pinned(lock: str) -> set[str]:
    """Return which packages requirements/`lock`.txt pins."""
    return set(PINNED.findall((REQUIREMENTS / f"{lock}.txt").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    """What pyproject.toml says."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_no_place_to_fetch_from(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    for trace in ("://", "--find-links", "--index-url", "--extra-index-url", " @ "):
        assert trace not in text


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_a_digest(lock: Path) -> None:
    text = re.sub(r"^\s*#.*\n", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    pins = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert pins
    assert [pin.split()[0] for pin in pins if "==" not in pin or "--hash=sha256:" not in pin] == []


def test_the_lock_of_the_tool_has_what_pyproject_asks_for(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    asked = [
        *project["dependencies"],
        *project["optional-dependencies"]["digits"],
        *pyproject["dependency-groups"]["dev"],
        *pyproject["build-system"]["requires"],
    ]
    assert names(asked) - pinned("dev") == set()


def test_what_nix_builds_the_tool_from_has_what_pyproject_asks_for(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    extras = [item for name in ("otlp", "query", "sweeps") for item in project["optional-dependencies"][name]]
    asked = [*project["dependencies"], *extras, *pyproject["build-system"]["requires"], *inputs("tool")]
    assert names(asked) - pinned("tool") == set()


def test_the_lock_of_the_oracles_has_what_pyproject_asks_for(pyproject: dict[str, Any]) -> None:
    asked = [*pyproject["dependency-groups"]["oracles"], *inputs("oracles")]
    assert names(asked) - pinned("oracles") == set()


@pytest.mark.parametrize("lock", ["build", "cffconvert", "installer"])
def test_the_smaller_locks_have_what_their_inputs_ask_for(lock: str) -> None:
    assert names(inputs(lock)) - pinned(lock) == set()


def test_what_builds_this_package_is_locked(pyproject: dict[str, Any]) -> None:
    assert set(pyproject["build-system"]["requires"]) <= set(inputs("build"))


def test_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony
    done = subprocess.run(["make", "-C", str(ROOT), "help"], capture_output=True, text=True, check=True)
    assert re.findall(r"^make ([a-z]+) +\S", done.stdout, re.MULTILINE) == phony[1].split()
    assert {"setup", "demo", "test", "check", "bench", "clean", "lock", "help"} <= set(phony[1].split())


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("[there](other.md) [web](https://example.org/x) [me](#a-title)\n# A title\n", []),
        ("[heading](other.md#two-words)\n", []),
        ("# Twice\n# Twice\n[second](#twice-1)\n", []),
        ("`[code](nowhere.md)`\n```\n[code](nowhere.md)\n```\n", []),
        ("Run `make test`, then:\n```sh\nmake test  # again\n```\n", []),
        ("\n[gone](nowhere.md)\n", [(2, "links to nowhere.md, which is not there")]),
        ("[gone](#nowhere)\n", [(1, "links to #nowhere, but page.md has no such heading")]),
        ("[gone](other.md#nowhere)\n", [(1, "links to #nowhere, but other.md has no such heading")]),
        ("```sh\nmake tea\n```\n", [(2, "says `make tea`, which the Makefile does not have")]),
        ("Run `make tea`.\n", [(1, "says `make tea`, which the Makefile does not have")]),
    ],
)
def test_the_document_check_names_what_leads_nowhere(tmp_path: Path, text: str, faults: list[tuple[int, str]]) -> None:
    (tmp_path / "other.md").write_text("## Two words\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    assert list(check_docs.broken_promises(page, {"test"})) == faults
