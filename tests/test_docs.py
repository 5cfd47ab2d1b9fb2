"""The documents cannot lie: their commands are run, their help texts and schemas held against the real ones."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from entrenar_research.models.experiment import Declaration
from entrenar_research.store.yaml_text import Document
from tests.conftest import World, make_world

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SCRIPT = """\
import argparse, csv, json
p = argparse.ArgumentParser()
p.add_argument("--rate", type=float, default=0.05)
a = p.parse_args()
points = [tuple(map(float, row)) for row in csv.reader(open("points.csv"))]
w, rows = 0.0, ["step,loss"]
for step in range(20):
    loss = sum((w * x - y) ** 2 for x, y in points) / len(points)
    w -= a.rate * sum(2 * x * (w * x - y) for x, y in points) / len(points)
    rows.append(f"{step},{loss:.6f}")
open("curve.csv", "w").write("\\n".join(rows) + "\\n")
json.dump({"loss": loss, "weight": w}, open("metrics.json", "w"))
"""


def sessions(text: str) -> dict[str, list[str]]:
    """The commands of a document by example: a marker begins one, later console blocks go on with it."""
    found: dict[str, list[str]] = {}
    name = ""
    for match in re.finditer(r"<!-- example: ([a-z-]+) -->|```console\n(.*?)```", text, re.DOTALL):
        if match[1]:
            name = match[1]
            found[name] = []
        elif name:
            found[name] += [line[2:] for line in match[2].splitlines() if line.startswith("$ ")]
        else:
            assert all(line.startswith("$ make ") for line in match[2].splitlines()), match[2]
    return found


EXAMPLES = [
    pytest.param(path, commands, id=f"{path.name}:{name}")
    for path in DOCUMENTS
    for name, commands in sessions(path.read_text(encoding="utf-8")).items()
]


@pytest.mark.parametrize(("document", "commands"), EXAMPLES)
def test_examples_run(document: Path, commands: list[str], tmp_path: Path) -> None:
    world = make_world(tmp_path / "home")
    place = tmp_path / "place"
    place.mkdir()
    (place / "train.py").write_text(SCRIPT)
    (place / "points.csv").write_text("".join(f"{x},{2 * x}\n" for x in range(5)))
    if any("--template digits" in command for command in commands) and importlib.util.find_spec("sklearn") is None:
        pytest.skip("scikit-learn, which carries the digits, is not installed")
    world.run("bash", "-euxc", "\n".join(commands), cwd=place)


def test_ten_commands_are_ten() -> None:
    assert len(sessions((ROOT / "README.md").read_text(encoding="utf-8"))["own-script"]) == 10


def test_the_documented_declaration_is_one() -> None:
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    declaration = Document(block[1], "docs/experiments.md").convert(Declaration)
    documented = set(re.findall(r"^\| `(\w+)`(?:, `(\w+)`)? \|", text, re.MULTILINE))
    keys = {key for pair in documented for key in pair if key}
    assert keys - {"tolerance"} | {"description"} == set(Declaration.__struct_fields__)
    assert declaration.metrics["loss"].tolerance.relative == 0.01
    for goal in ("maximize", "minimize", "none"):
        assert f"`{goal}`" in text


def test_every_command_is_documented(world: World) -> None:
    from entrenar_research.cli import front

    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert set(re.findall(r"<!-- help: (\w+) -->", text)) == set(front.COMMANDS)
