"""The proof of a run that Nix built: hermetic, with no impurity, and made again it claims the same."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.core.proofs import environments
from entrenar_research.store.run_files import RunFiles
from tests import hermetic
from tests.conftest import World

pytestmark = [pytest.mark.nix, pytest.mark.slow]


@pytest.fixture(scope="session")
def store() -> Path:
    return hermetic.store()


@pytest.fixture
def study(tiny: Path, store: Path, world: World) -> Path:
    world.environment["ENTRENAR_NIX_STORE"] = str(store)
    hermetic.equip(tiny)
    return tiny


def claim(study: Path) -> Any:
    line = max(study.glob("runs/*/proof.intoto.jsonl")).read_bytes().splitlines()[-1]
    return json.loads(base64.b64decode(json.loads(line)["payload"]))["predicate"]


def test_a_run_built_by_nix_is_proven_as_hermetic(study: Path, world: World) -> None:
    world.tool("run", "line", "--runner", "nix", "--quiet", "--force", cwd=study)
    world.tool("prove", "line", cwd=study)
    record = RunFiles(study).resolve("line")
    assert record.hermetic is not None
    first = claim(study)
    told = first["claim"]["world"]
    assert (told["runner"], told["hermetic"], told["environment_kind"]) == ("nix", True, "nix")
    assert told["environment_hash"] == environments.of_hermetic(record.hermetic)
    assert told["nar_hash"] == record.hermetic.nar_hash
    assert first["evidence"].get("impurities", []) == []
    assert first["evidence"]["nix"]["nix_derivation"].endswith(".drv")
    done = world.tool("verify", "--no-replay", "--all", "--format", "json", cwd=study, status=None)
    found = [item for item in json.loads(done.stdout)["findings"] if "proof.intoto.jsonl" in item["subject"]]
    assert [item["verdict"] for item in found] == ["identical", "identical"]
    world.tool("run", "line", "--runner", "nix", "--quiet", "--force", cwd=study)
    world.tool("prove", "line", cwd=study)
    again = claim(study)
    assert again["evidence"]["run"] != first["evidence"]["run"]
    assert again["claim"] == first["claim"]
