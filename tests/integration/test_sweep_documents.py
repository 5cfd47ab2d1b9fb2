"""What docs/sweeps.md says is so: its declaration is one, its loop runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entrenar_research.models.sweep import SweepDeclaration
from entrenar_research.store.yaml_text import Document
from tests.conftest import World
from tests.integration.sweeping import seen

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_declaration_has_every_key() -> None:
    document = Document(block("yaml"), "docs/sweeps.md")
    declaration = document.convert(SweepDeclaration)
    assert set(document.value) == set(SweepDeclaration.__struct_fields__)
    assert declaration.pruning is not None
    assert declaration.budget.time == "2h"
    assert list(declaration.space) == ["rate", "steps", "optimizer", "momentum"]


def test_the_loop_runs(tiny: Path, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (tiny / "search.py").write_text(block("python"))
    said = world.run("python", "search.py", cwd=tiny).stdout.split()
    assert said[:2] == ["{'lora_rank':", "64}"]
    found = seen(tiny, "lora-rank-search")
    assert (found["done"], found["over"]) == (8, True)
    assert said[3] == found["best"]["run"]
    assert float(said[2]) == found["best"]["value"] == 1 / 64 + 1 / 10


def test_a_sealed_sweep(tiny: Path, world: World) -> None:
    (tiny / "search.py").write_text(block("python"))
    world.run("python", "search.py", cwd=tiny)
    said = world.tool("seal", "sweep", "lora-rank-search", "-m", "Ranks", cwd=tiny)
    assert said.stdout.startswith("sweep/lora-rank-search/v1 (commit ")
    kept = set(world.run("git", "ls-files", "sweeps", "runs", cwd=tiny).stdout.splitlines())
    assert {"sweeps/lora-rank-search/sweep.yaml", "sweeps/lora-rank-search/journal.log"} <= kept
    found = seen(tiny, "lora-rank-search")
    assert all(f"runs/{trial['run']}/SHA256SUMS" in kept for trial in found["trials"])
    stated = world.run("git", "tag", "-l", "--format=%(contents)", "sweep/lora-rank-search/v1", cwd=tiny).stdout
    assert f"run: {found['best']['run']}\n" in stated
    assert "sweep/lora-rank-search/v1" in world.tool("verify", ".", cwd=tiny).stdout
    (tiny / "search.py").write_text(block("python").replace("trials=8", "trials=9"))
    world.run("python", "search.py", cwd=tiny)
    assert world.tool("seal", "sweep", "lora-rank-search", "-m", "More", cwd=tiny).stdout.startswith(
        "sweep/lora-rank-search/v2 "
    )


def test_what_cannot_be_sealed(tiny: Path, world: World) -> None:
    (tiny / "search.py").write_text(block("python"))
    said = world.tool("seal", "sweep", "lora-rank-search", "-m", "Ranks", cwd=tiny, status=2)
    assert said.stderr.startswith("error: no sweep named 'lora-rank-search'")
