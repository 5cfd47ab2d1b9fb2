"""A model that can run code is kept only with a signed statement about this very file, which is kept beside it."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from entrenar_research.models.run import RunRecord
from entrenar_research.store.yaml_text import Document
from tests.conftest import World

pytestmark = pytest.mark.slow

KEEP = """
import sys
import entrenar_research as er
with er.start_run("legacy") as run:
    try:
        print(run.log_model("old.pt", "old.pt", bypass=sys.argv[1]))
    except er.ResearchError as error:
        print(type(error).__name__, error.message)
"""


@pytest.fixture
def allowed(world: World, tiny: Path) -> Path:
    """A study with a pickle, and a statement of its own key that allows it."""
    (tiny / "old.pt").write_bytes(pickle.dumps({"weights": [1.0, 2.0]}))
    world.tool("models", "allow", "old.pt", "--reason", "Published in 2021", cwd=tiny)
    (tiny / "keep.py").write_text(KEEP)
    return tiny


def kept(world: World, study: Path, statement: str) -> tuple[str, RunRecord, Path]:
    said = world.run("python", "keep.py", statement, cwd=study).stdout.strip()
    (path,) = study.glob("runs/*-legacy-*/run.yaml")
    return said, Document(path.read_text(), "run.yaml").convert(RunRecord), path.parent


def test_a_statement_lets_it_in(world: World, allowed: Path) -> None:
    said, record, directory = kept(world, allowed, "old.pt.bypass.json")
    assert said == "artifacts/old.pt"
    found = {item.path: (item.kind, item.bypass) for item in record.artifacts}
    assert found == {
        "artifacts/old.pt": ("model", "artifacts/old.pt.bypass.json"),
        "artifacts/old.pt.bypass.json": ("file", None),
    }
    for name in ("old.pt", "old.pt.bypass.json"):
        assert (directory / "artifacts" / name).read_bytes() == (allowed / name).read_bytes()


@pytest.mark.parametrize("tampered", ["model", "statement", "signers", "absent"])
def test_a_statement_that_does_not_hold(world: World, allowed: Path, tampered: str) -> None:
    statement = allowed / "old.pt.bypass.json"
    if tampered == "model":
        (allowed / "old.pt").write_bytes(pickle.dumps({"weights": [1.0, 3.0]}))
    elif tampered == "statement":
        statement.write_text(statement.read_text().replace("Published in 2021", "Published in 2020"))
    elif tampered == "signers":
        (allowed / "keys" / "allowed_signers").write_text("")
    else:
        statement.unlink()
    said, record, directory = kept(world, allowed, statement.name)
    words = {
        "model": "IntegrityError old.pt.bypass.json is about another file",
        "statement": "IntegrityError old.pt.bypass.json: the study does not accept its signature",
        "signers": "IntegrityError old.pt.bypass.json: the study does not accept its signature",
        "absent": "UsageError artifact old.pt.bypass.json: expected a file, found nothing",
    }
    assert said.startswith(words[tampered]), said
    assert record.artifacts == ()
    assert not (directory / "artifacts").exists()
