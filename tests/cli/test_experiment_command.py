"""`experiment`: shows what it would write, asks, writes only after a yes, and leaves nothing otherwise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Door, Terminal, tree

SCRIPT = """\
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
rate = parser.parse_args().rate
total = sum(float(line.split(",")[1]) for line in open("data/points.csv"))
json.dump({"total": total * rate}, open("total.json", "w"))
print("done")
"""
EXPECTED = "expected letters, digits, `-` and `_`, beginning with a letter or digit, 64 characters at most"
NAMES = ("..", "a/b", "a b", "", "é", ".x", "x" * 65)
COMMAND = ("--", "python", "total.py", "--rate", "0.5")


@pytest.fixture
def study(tiny: Path) -> Path:
    (tiny / "total.py").write_text(SCRIPT)
    return tiny


def test_yes_on_a_terminal_writes_it(terminal: Terminal, door: Door, study: Path) -> None:
    words = ("entrenar-research", "experiment", "add", "total", *COMMAND)
    said = terminal(*words, cwd=study, answers=[("Write this? [y/N]: ", "y\n")], env={"NO_COLOR": "1"})
    assert said.status == 0, said.out
    shown, _, after = said.out.partition("Write this? [y/N]: ")
    assert "# experiments/total/experiment.yaml\n" in shown
    assert "# dvc.yaml\n" in shown
    assert "declared total; its first run is " in after
    declared = json.loads(door("experiment", "show", "total", "--format", "json", cwd=study).out)
    assert declared["drift"] == []
    assert declared["declaration"]["inputs"] == ["data/points.csv"]
    assert "0.5" in (study / "experiments/total/params.yaml").read_text()
    assert door("run", "total", cwd=study).out.startswith("total is up to date")


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04", "maybe\n"])
def test_anything_but_yes_leaves_nothing(answer: str, terminal: Terminal, study: Path) -> None:
    before = tree(study)
    words = ("entrenar-research", "experiment", "add", "total", *COMMAND)
    said = terminal(*words, cwd=study, answers=[("Write this? [y/N]: ", answer)])
    assert said.status == 0
    assert "nothing was written" in said.out
    assert tree(study) == before


def test_a_dry_run_leaves_nothing(door: Door, study: Path) -> None:
    before = tree(study)
    said = door("experiment", "add", "total", "--dry-run", "--quiet", *COMMAND, cwd=study)
    assert said.status == 0
    assert said.out.startswith("# experiments/total/experiment.yaml\n")
    assert said.out.endswith("nothing was written\n")
    assert tree(study) == before


@pytest.mark.parametrize(
    ("words", "status", "message", "hint"),
    [
        (("total", *COMMAND), 2, "there is nobody to ask whether the declaration is right; nothing was run",
         "give --yes to write it unseen, or --dry-run to look only"),
        (("total", "--yes"), 2, "the command is missing",
         "entrenar-research experiment add total -- python train.py --lr 0.1"),
        (("line", "--yes", *COMMAND), 2, "there is an experiment 'line' already",
         "edit experiments/line/experiment.yaml, or take another name"),
        (("total", "--yes", "--", "pythn", "total.py"), 2, "command not found: pythn", None),
        (("total", "--yes", "--", "sh", "-c", "touch left; exit 3"), 1,
         "the command ended with exit status 3; total was not declared and nothing is left of it", None),
        *(((name, "--yes", *COMMAND), 2, f"experiment name {name!r}: {EXPECTED}", "") for name in NAMES),
        (("-x", "--yes", *COMMAND), 2, "`experiment add` has no option -x", None),
    ],
)  # fmt: skip
def test_refusals_leave_nothing(
    words: tuple[str, ...], status: int, message: str, hint: str | None, door: Door, study: Path
) -> None:
    before = tree(study)
    said = door("experiment", "add", *words, cwd=study)
    assert said.status == status
    assert said.complaint[0] == message
    assert hint is None or said.complaint[1] == hint
    assert tree(study) == before


def test_a_bare_declaration(door: Door, study: Path) -> None:
    said = door("experiment", "add", "total", "--no-infer", "--yes", *COMMAND, cwd=study)
    assert said.status == 0
    assert said.out.endswith("declared total; complete experiments/total/experiment.yaml, then `experiment sync`\n")
    assert door("experiment", "show", "total", cwd=study).out == "command: python total.py --rate 0.5\n"
    assert not (study / "total.json").exists()


def test_sync_says_what_it_brings_in_line(door: Door, study: Path) -> None:
    (study / "dvc.yaml").unlink()
    shown = door("experiment", "show", "line", cwd=study)
    missing = "dvc.yaml has no stage 'line', experiments/line/experiment.yaml declares it"
    assert shown.err == f"warning: {missing}\n"
    assert "stale" in door("status", cwd=study).out
    said = door("experiment", "sync", "line", cwd=study)
    assert said.out == f"{missing}\ndvc.yaml says what experiments/line/experiment.yaml declares\n"
    assert door("experiment", "show", "line", cwd=study).err == ""


def test_the_list(door: Door, study: Path) -> None:
    assert door("experiment", "list", cwd=study).out == (
        "experiment  trace  description\nline        full   A line through points.\n"
    )
    assert [item["name"] for item in json.loads(door("experiment", "list", "--format", "json", cwd=study).out)] == [
        "line"
    ]
