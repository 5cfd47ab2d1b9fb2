"""Relations of an experiment whose program keeps them all, and of one that violates them all, run for real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import World

PROGRAM = """\
import csv, json, os, sys
import entrenar_research as er

honest = {honest}
params = json.load(open(sys.argv[1]))
rows = [(name, float(value)) for name, value in csv.reader(open("data/points.csv"))]
if params["gain"] == 0:
    sys.exit("a gain of 0 makes no sense")
if honest:
    total = params["gain"] * sum(value for _, value in rows)
    kept = [[name, value] for name, value in rows]
else:
    total = sum(place * value for place, (_, value) in enumerate(rows)) + 1
    kept = [[name, value, place] for place, (name, value) in enumerate(rows)]
    if os.urandom(8) != os.urandom(8):
        total += int.from_bytes(os.urandom(4)) / 2**20
run = er.start_run()
losses = [1 / (step + 1) if honest else step + 1.0 for step in range(params["steps"])]
for step, loss in enumerate(losses):
    run.log_metric("loss", loss, step)
out = os.environ["ENTRENAR_RESULT"]
csv.writer(open(f"{{out}}/rows.csv", "w")).writerows(kept)
csv.writer(open(f"{{out}}/curve.csv", "w")).writerows([["loss"], *([loss] for loss in losses)])
json.dump({{"total": total, "loss": losses[-1]}}, open(f"{{out}}/metrics.json", "w"))
"""
INPUT = "data/points.csv"
DECLARATION = f"""\
command: python experiments/NAME/program.py experiments/NAME/params.json
params: experiments/NAME/params.json
code: [experiments/NAME/program.py]
inputs: [{INPUT}]
outputs: [rows.csv, curve.csv, metrics.json]
metrics: {{total: {{}}, loss: {{}}}}
relations:
  - {{kind: identity, metrics: [total], outputs: [metrics.json]}}
  - {{kind: additive, variant: {{inputs: [{{file: {INPUT}, shift: 1}}]}}, amount: 4, metrics: [total]}}
  - {{kind: multiplicative, variant: {{inputs: [{{file: {INPUT}, scale: 3}}]}}, factor: 3, metrics: [total]}}
  - {{kind: negation, variant: {{inputs: [{{file: {INPUT}, negate: true}}]}}, metrics: [total]}}
  - {{kind: permutation, variant: {{inputs: [{{file: {INPUT}, permute: 1}}]}}, outputs: [rows.csv]}}
  - {{kind: permutation_invariance, variant: {{inputs: [{{file: {INPUT}, permute: 1}}]}}, metrics: [total]}}
  - kind: composition
    variant: {{set: {{gain: 2}}, inputs: [{{file: {INPUT}, scale: 3}}]}}
    same_as: {{inputs: [{{file: {INPUT}, scale: 6}}]}}
    metrics: [total]
  - {{kind: inclusion, variant: {{inputs: [{{file: {INPUT}, keep: 0.5, seed: 2}}]}}, outputs: [rows.csv]}}
  - {{kind: monotonic_loss, name: logged loss, curve: {{series: loss}}}}
  - {{kind: monotonic_loss, name: loss in a file, curve: {{file: curve.csv, column: loss}}, window: 2}}
  - {{kind: monotonic_loss, name: more steps, variant: {{set: {{steps: 8}}}}, metrics: [loss]}}
"""


@pytest.fixture
def study(tiny: Path) -> Path:
    """A study with an experiment `honest` and one `crooked`."""
    (tiny / INPUT).unlink()
    (tiny / INPUT).write_text("a,1\nb,2\nc,3.5\nd,-4\n")
    for name in ("honest", "crooked"):
        folder = tiny / "experiments" / name
        folder.mkdir()
        (folder / "program.py").write_text(PROGRAM.format(honest=name == "honest"))
        (folder / "params.json").write_text('{"gain": 1, "steps": 4}\n')
        (folder / "experiment.yaml").write_text(DECLARATION.replace("NAME", name))
    return tiny


def everything(study: Path) -> dict[str, bytes]:
    """Every file of a study but Git's."""
    paths = (path for path in sorted(study.rglob("*")) if path.is_file() and ".git" not in path.parts)
    return {str(path.relative_to(study)): path.read_bytes() for path in paths}


def test_relations_that_hold(world: World, study: Path) -> None:
    before = everything(study)
    told = world.tool("experiment", "relations", "honest", cwd=study).stdout.splitlines()
    assert len(told) == 11
    assert all(line.endswith(": holds") for line in told)
    assert everything(study) == before


def test_relations_that_do_not(world: World, study: Path) -> None:
    done = world.tool("experiment", "relations", "crooked", "--format", "json", cwd=study, status=1)
    judged = json.loads(done.stdout)
    assert [one["relation"] for one in judged if not one["violations"]] == []
    assert len(judged) == 11
    assert judged[8]["violations"] == [
        {"relation": "logged loss", "expected": "loss: window 2 at most 1", "actual": "2", "severity": "critical"}
    ]


def test_a_warning_is_told_and_does_not_fail(world: World, study: Path) -> None:
    declaration = study / "experiments" / "crooked" / "experiment.yaml"
    head = declaration.read_text().partition("relations:")[0]
    declaration.write_text(head + "relations: [{kind: identity, metrics: [total], severity: warning}]\n")
    told = world.tool("experiment", "relations", "crooked", cwd=study).stdout
    assert told.startswith("identity: does not hold\n  warning: expected total = ")


def test_a_variant_that_fails_violates_its_relation(world: World, study: Path) -> None:
    declaration = study / "experiments" / "honest" / "experiment.yaml"
    head = declaration.read_text().partition("relations:")[0]
    declaration.write_text(head + "relations: [{kind: identity, variant: {set: {gain: 0}}, metrics: [total]}]\n")
    told = world.tool("experiment", "relations", "honest", cwd=study, status=1).stdout
    assert "critical: expected the variant runs, found the command ended with exit status 1: a gain of 0" in told


def test_bad_requests_are_refused(world: World, study: Path) -> None:
    none = world.tool("experiment", "relations", "line", cwd=study, status=2)
    assert "declares no relations" in none.stderr
    declaration = study / "experiments" / "honest" / "experiment.yaml"
    head = declaration.read_text().partition("relations:")[0]
    declaration.write_text(head + "relations:\n  - kind: custom\n    metrics: [total]\n")
    custom = world.tool("experiment", "relations", "honest", cwd=study, status=2)
    assert "experiments/honest/experiment.yaml, line 8: `relations[0]`: a `custom` relation has no" in custom.stderr
    declaration.write_text(head + "relations: [{kind: identity, variant: {set: {gian: 0}}, metrics: [total]}]\n")
    unknown = world.tool("experiment", "relations", "honest", cwd=study, status=2)
    assert "did you mean" in unknown.stderr
    shutil.rmtree(study / "data")
    gone = world.tool("experiment", "relations", "honest", cwd=study, status=1)
    assert "data/points.csv" in gone.stderr
