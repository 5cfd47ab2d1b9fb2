"""The Python and YAML in docs/lineage.md and docs/models.md do what the text around them says."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import msgspec
import pytest

from entrenar_research.core.lineage.graph import Dag
from entrenar_research.core.tracking import methods
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Lineage, Parent, Relationship
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.yaml_text import Document
from tests.cli.conftest import Door
from tests.conftest import World

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def blocks(document: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / document).read_text(encoding="utf-8"), re.DOTALL)


def records(study: Path) -> dict[str, RunRecord]:
    """The newest run of each name that a script has made."""
    return {record.experiment: record for record in RunFiles(study).records() if record.runner == "script"}


def test_the_sample_of_distillation(door: Door, world: World, tiny: Path) -> None:
    """Spec section 6: two parents with their roles; section 29.3: the record with its times."""
    saying, asking = blocks("lineage.md", "python")
    world.run("python", "-c", saying, cwd=tiny)
    world.run("python", "-c", asking, cwd=tiny)
    assert door("runs", "recover", cwd=tiny).status == 0
    made = records(tiny)
    documented = Document(blocks("lineage.md", "yaml")[0], "docs/lineage.md").value["lineage"]
    found = msgspec.json.decode(msgspec.json.encode(made["student"].lineage))
    for parent, name in zip(found["parents"], ("oracle", "llama-base"), strict=True):
        assert parent.pop("run") == made[name].id
    for parent in documented["parents"]:
        assert re.fullmatch(r"\d{8}T\d{9}Z-(oracle|llama-base)-\w{4}", parent.pop("run"))
    assert found == documented
    assert door("lineage", "check", cwd=tiny).out == "3 runs in order: no cycle, no parent missing\n"
    drawn = door("lineage", "graph", cwd=tiny).out.splitlines()[:-1]
    picture = blocks("lineage.md", "text")[0].splitlines()
    hidden = [
        re.sub(r"\d{8}T\d{9}Z|(?<=-)\w{4}(?= |$)", "", "\n".join(lines), flags=re.MULTILINE)
        for lines in (drawn, picture)
    ]
    assert hidden[0] == hidden[1]


def test_the_table_has_every_relationship() -> None:
    text = (DOCS / "lineage.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == Relationship.__args__  # type: ignore[attr-defined]


def test_the_numbers_of_the_spec() -> None:
    """Spec section 29.3: parents at 38 and 41 give 42, and that the one came before the other does not follow."""
    parents = (
        Parent(run="run-base-model", relationship="fine_tuned_from", lamport=38),
        Parent(run="run-dataset-v2", relationship="data_augmentation", lamport=41),
    )
    dag = Dag({"this run": Lineage(parents=parents, lamport=42).parents})
    assert dag.times["this run"] == 42
    assert dag.relation("run-base-model", "run-dataset-v2") == "concurrent"


def test_the_samples_of_models(door: Door, world: World, tiny: Path) -> None:
    """Spec section 9: SafeTensors are kept; a pickle only with a signed statement, which the record names."""
    pytest.importorskip("numpy")
    kept, allowed, configured = blocks("models.md", "python")
    world.run("python", "-c", configured, cwd=tiny)
    (tiny / "old.pt").write_bytes(pickle.dumps({"weight": [0.5]}))
    plain = allowed.replace(', bypass="old.pt.bypass.json"', "")
    assert plain != allowed
    caught = (
        plain.replace("    run.log_model", "    try: run.log_model")
        + "    except er.ResearchError as error: print(error)\n"
    )
    refused = world.run("python", "-c", f"import entrenar_research as er\n{caught}", cwd=tiny)
    assert "a model is kept as SafeTensors" in refused.stdout
    assert door("models", "allow", "old.pt", "--reason", "A test", cwd=tiny).status == 0
    world.run("python", "-c", kept + allowed, cwd=tiny)
    assert door("runs", "recover", cwd=tiny).status == 0
    made = records(tiny)
    assert [item.path for item in made["train"].artifacts] == ["artifacts/model.safetensors"]
    assert door("models", "check", f"runs/{made['train'].id}/artifacts/model.safetensors", cwd=tiny).status == 0
    model = next(item for item in made["evaluate"].artifacts if item.path == "artifacts/old.pt")
    assert (model.kind, model.bypass is not None) == ("model", True)


def test_the_sample_of_lora() -> None:
    """Spec section 13."""
    (text,) = blocks("models.md", "yaml")
    params = Document(text, "docs/models.md").value
    assert methods.findings(params) == ()
    assert methods.flat(params)["lora_config.rank"] == 16
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    named = re.search(r"The settings of known methods - (.*?),\neach below", text, re.DOTALL)
    assert named is not None
    assert re.findall(r"`(\w+)`", named[1]) == list(methods.METHODS)


def test_lora_is_queried_by_its_dotted_names(door: Door, world: World, tiny: Path) -> None:
    """Spec section 13: structured, so that runs can be asked for it."""
    script = """
import entrenar_research as er
for rank in (4, 16):
    config = {"rank": rank, "alpha": 32, "targets": ["q_proj"], "dropout": 0.05}
    er.start_run("tuned", params={"method": "lora", "lora_config": config}).finish()
"""
    world.run("python", "-c", script, cwd=tiny)
    said = door("runs", "list", "--where", "params.lora_config.rank>8", "--format", "json", cwd=tiny)
    assert said.status == 0, said.err
    found = [json.loads(line) for line in said.out.splitlines()]
    rows = found[0] if isinstance(found[0], list) else found
    assert len(rows) == 1
    assert rows[0]["experiment"] == "tuned"
