"""The repository is itself a study: a clone of it, with the data it carries, verifies."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from entrenar_research.actions.environments import build_files
from entrenar_research.store import templates
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(world: World, tmp_path: Path) -> Path:
    """What a stranger gets: a clone, and the data out of the storage that lies in it."""
    if not (ROOT / ".git").exists():
        pytest.skip("the sources lie here without their repository")
    world.run("git", "-c", "safe.directory=*", "clone", "-q", f"file://{ROOT}", tmp_path / "clone", cwd=tmp_path)
    world.run("dvc", "pull", "-q", cwd=tmp_path / "clone")
    return tmp_path / "clone"


def test_a_clone_verifies_and_dvc_has_nothing_to_do(world: World, clone: Path) -> None:
    report = json.loads(world.tool("verify", "--no-replay", "--format", "json", cwd=clone).stdout)
    assert report["passed"]
    assert {item["subject"] for item in report["findings"] if item["area"] == "data"} >= {
        "training_loop", "model_io", "lora_finetune",
    }  # fmt: skip
    assert "up to date" in world.run("dvc", "status", cwd=clone).stdout
    assert world.run("git", "status", "--short", cwd=clone).stdout == ""


def test_the_citation_is_the_tools(world: World) -> None:
    assert world.tool("cite", "--format", "cff", cwd=ROOT).stdout == (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_every_experiment_has_a_golden_trace() -> None:
    names = StudyFiles(ROOT).experiment_names()
    assert names == ("lora_finetune", "model_io", "training_loop")
    for name in names:
        assert (ROOT / "golden_traces" / name / f"{name}_summary.txt").is_file()


def test_the_wheel_carries_every_template() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    packaged = {target: source for source, target in build["targets"]["wheel"]["force-include"].items()}
    for name in templates.names(ROOT / "templates"):
        for path in ("template.yaml", *templates.load(ROOT / "templates", name).files):
            source = packaged[f"entrenar_research/_templates/{name}/{path}"]
            assert (ROOT / source).samefile(ROOT / "templates" / name / path)


def test_the_wheel_carries_what_nix_builds_by() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]
    packaged = build["targets"]["wheel"]["force-include"]
    found = {source: target for source, target in packaged.items() if "/_nix/" in target}
    names = build_files.names(ROOT / "nix")
    assert found == {name: f"entrenar_research/_nix/{name.removeprefix('nix/')}" for name in names}
    assert {"flake.nix", "nix/nixpkgs/flake.nix", "nix/seed", "nix/toolchain.nix"} <= set(names)


def test_the_digits_are_this_study() -> None:
    template = templates.load(ROOT / "templates", "digits")
    for path in template.files:
        assert path == "Makefile" or (ROOT / "templates" / "digits" / path).samefile(ROOT / path)
    declared = {f"experiments/{name}/experiment.yaml" for name in StudyFiles(ROOT).experiment_names()}
    assert declared <= set(template.files)
