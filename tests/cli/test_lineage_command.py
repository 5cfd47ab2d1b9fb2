"""`lineage show`, `graph`, `add` and `check` on runs that are closed, open, lost and elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from entrenar_research.client.run import start_run
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Lineage, Parent
from entrenar_research.store.run_files import RunFiles
from tests.cli.conftest import Door, Terminal

Make = Callable[..., str]


def link(
    run: str, relationship: str = "fine_tuned_from", role: str | None = None, lamport: int | None = None
) -> Parent:
    return msgspec.convert({"run": run, "relationship": relationship, "role": role, "lamport": lamport}, Parent)


@pytest.fixture
def made(tiny: Path) -> Make:
    """Makes a closed run, as sealing writes it: `made("student", link(...), lamport=1)`; its id."""
    number = iter(range(100))

    def make(name: str, *parents: Parent, lamport: int = 0, status: Any = "completed") -> str:
        run_id = f"20261120T0800000{next(number):02}Z-{name}-{name[:4]:x<4}"
        record = RunRecord(
            id=run_id,
            experiment=name,
            status=status,
            tool="entrenar-research 0",
            runner="script",
            started="2026-11-20T08:00:00.000Z",
            lineage=Lineage(parents=parents, lamport=lamport) if parents else None,
        )
        runs = RunFiles(tiny)
        runs.open(record)
        runs.close(record)
        return run_id

    return make


@pytest.fixture
def open_run(tiny: Path) -> Iterator[str]:
    """The id of a run that a script (this process) has open."""
    run = start_run("student", study=tiny)
    yield run.id
    run.finish()


@pytest.fixture
def family(made: Make) -> dict[str, str]:
    base = made("base")
    oracle = made("oracle", link(base, lamport=0), lamport=1)
    links = (link(oracle, "distilled_from", "teacher", 1), link(base, "initialization", lamport=0))
    student = made("student", *links, lamport=2, status="failed")
    tuned = made("tuned", link(student, lamport=2), lamport=3)
    return {"base": base, "oracle": oracle, "student": student, "tuned": tuned, "alone": made("alone")}


def test_show(door: Door, tiny: Path, family: dict[str, str]) -> None:
    said = door("lineage", "show", "student-stud", cwd=tiny)
    assert (said.status, said.err) == (0, "")
    assert (
        said.out
        == f"""\
○    {family["tuned"]}  completed  Lamport time 3
│      fine-tuned from student-stud
●    {family["student"]}  failed  Lamport time 2
├─╮    distilled from oracle-orac as teacher
│ │    initialised from base-base
○ │  {family["oracle"]}  completed  Lamport time 1
╰─┤    fine-tuned from base-base
  ○  {family["base"]}  completed  Lamport time 0
"""
    )
    found = json.loads(door("lineage", "show", family["oracle"], "--format", "json", cwd=tiny).out)
    assert found["run"] == family["oracle"]
    assert [item["lamport"] for item in found["runs"]] == [0, 1, 2, 3]
    alone = door("lineage", "show", "alone", cwd=tiny).out.splitlines()
    assert alone == [f"●  {family['alone']}  completed  Lamport time 0", "it has no parents, and no run comes from it"]


def test_show_on_a_terminal(terminal: Terminal, tiny: Path, family: dict[str, str]) -> None:
    said = terminal("entrenar-research", "lineage", "show", "student-stud", cwd=tiny)
    assert said.status == 0
    assert f"●    {family['student']}  failed  Lamport time 2" in said.out
    assert "├─╮    distilled from oracle-orac as teacher" in said.out


def test_graph(door: Door, tiny: Path, family: dict[str, str], tmp_path: Path) -> None:
    said = door("lineage", "graph", cwd=tiny).out
    assert family["alone"] not in said
    assert said.endswith("2 runs without parent or child\n")
    picture = tmp_path / "lineage.svg"
    assert door("lineage", "graph", "--out", picture, cwd=tiny).out == f"wrote {picture}: 4 runs\n"
    assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314 - our own
    assert door("lineage", "graph", "--format", "svg", cwd=tiny).out == picture.read_text()
    around = door("lineage", "graph", family["oracle"], "--format", "dot", cwd=tiny).out
    assert around.startswith("digraph lineage {\n")
    assert around.count(" -> ") == 4
    plain = tmp_path / "lineage.txt"
    assert door("lineage", "graph", "--out", plain, cwd=tiny).status == 0
    assert plain.read_text() == "".join(line + "\n" for line in said.splitlines()[:-1])
    document = tmp_path / "lineage.json"
    assert door("lineage", "graph", "--out", document, cwd=tiny).status == 0
    assert json.loads(document.read_text()) == json.loads(door("lineage", "graph", "--format", "json", cwd=tiny).out)


def test_no_lineage_at_all(door: Door, tiny: Path) -> None:
    assert door("lineage", "graph", cwd=tiny).out == "1 run without parent or child\n"
    assert door("lineage", "check", cwd=tiny).out == "no run has a parent\n"


def test_bad_requests(door: Door, tiny: Path, family: dict[str, str]) -> None:
    message, hint = door("lineage", "graph", "--out", "x.svgg", cwd=tiny).complaint
    assert message == "--out x.svgg: found the ending .svgg, expected .svg, .dot, .json or .txt"
    assert hint == "did you mean .svg?"
    assert door("lineage", "show", "studnt", cwd=tiny).complaint[0] == "no run named 'studnt'"
    assert door("lineage", "show", "nothing", cwd=tiny).status == 2


def test_check(door: Door, tiny: Path, family: dict[str, str], made: Make) -> None:
    assert door("lineage", "check", cwd=tiny).out == "4 runs in order: no cycle, no parent missing\n"
    wrong = made("wrong", link(family["tuned"], lamport=1), lamport=2)
    orphan = made("orphan", link("20200101T000000000Z-gone-aaaa", "ensemble_member", lamport=4), lamport=5)
    # Two runs that name each other: only a forger or a careless merge by hand gets there.
    first = made("ring", link("20261120T080000008Z-ring-ring"), lamport=1)
    second = made("ring", link(first), lamport=1)
    assert second == "20261120T080000008Z-ring-ring"
    said = door("lineage", "check", cwd=tiny)
    assert said.status == 1
    assert said.out.splitlines() == [
        f"{first}: comes from itself: {first} -> {second} -> {first}",
        f"{orphan}: its parent 20200101T000000000Z-gone-aaaa is not in this study",
        f"{wrong}: says that its parent {family['tuned']} has Lamport time 1; found 3",
        f"{wrong}: says that its Lamport time is 2; from its parents follows 4",
    ]
    found = json.loads(door("lineage", "check", "--format", "json", cwd=tiny).out)
    assert [fault["kind"] for fault in found] == ["cycle", "missing", "lamport", "lamport"]
    shown = door("lineage", "show", "20200101T000000000Z-gone-aaaa", cwd=tiny).out
    assert "●  20200101T000000000Z-gone-aaaa  not in this study  Lamport time 4" in shown


def test_add_to_an_open_run(door: Door, tiny: Path, open_run: str, family: dict[str, str]) -> None:
    words = ("--relationship", "distilled_from", "--role", "teacher", "--parent", family["oracle"])
    said = door("lineage", "add", open_run, *words, cwd=tiny)
    assert said.out == f"{open_run} now has the parent {family['oracle']}\n"
    found = json.loads(door("lineage", "show", open_run, "--format", "json", cwd=tiny).out)["runs"][-1]
    assert found["parents"] == [{"run": family["oracle"], "relationship": "distilled_from", "role": "teacher"}]
    assert (found["status"], found["lamport"]) == ("running", 2)
    message, _ = door("lineage", "add", open_run, *words, cwd=tiny).complaint
    assert message == f"{open_run} has that parent already, with the same relationship and role"


def test_what_was_added_is_sealed(door: Door, tiny: Path, family: dict[str, str]) -> None:
    run = start_run("student", study=tiny, parents=[(family["base"], "initialization")])
    run.log_metric("loss", 0.5)
    added = door(
        "lineage", "add", run.id, "--parent", family["tuned"], "--relationship", "data_augmentation", cwd=tiny
    )  # fmt: skip
    assert added.status == 0
    run.finish()
    assert door("runs", "recover", cwd=tiny).status == 0
    record = RunFiles(tiny).load(run.id)
    assert record.lineage == Lineage(
        parents=(
            link(family["base"], "initialization", lamport=0),
            link(family["tuned"], "data_augmentation", lamport=3),
        ),
        lamport=4,
    )
    assert record.series["loss"].points == 1
    assert door("lineage", "check", cwd=tiny).status == 0


def test_sealed_in_any_order_the_times_are_right(door: Door, tiny: Path) -> None:
    """A child may be sealed while its parents are still open: their times follow from what they have logged."""
    chain = [start_run("first", study=tiny)]
    for name in ("second", "third"):
        chain.append(start_run(name, study=tiny, parents=[(chain[-1], "fine_tuned_from")]))
    for run in reversed(chain):
        run.finish()
        assert door("runs", "recover", run.id, cwd=tiny).status == 0
    lineage = RunFiles(tiny).load(chain[2].id).lineage
    assert lineage is not None
    assert (lineage.lamport, lineage.parents[0].lamport) == (2, 1)
    assert door("lineage", "check", cwd=tiny).status == 0


def test_a_closed_run_is_not_added_to(door: Door, tiny: Path, family: dict[str, str]) -> None:
    words = ("--parent", family["base"], "--relationship", "initialization")
    message, hint = door("lineage", "add", family["alone"], *words, cwd=tiny).complaint
    assert message == f"{family['alone']} is closed, and a closed run is never changed"
    assert "er.start_run(..., parents=...)" in hint


def test_adding_never_makes_a_cycle(door: Door, tiny: Path, open_run: str) -> None:
    words = ("--relationship", "ensemble_member")
    message, _ = door("lineage", "add", open_run, "--parent", open_run, *words, cwd=tiny).complaint
    assert message == f"{open_run} would come from itself: {open_run} -> {open_run}"
    child = start_run("child", study=tiny, parents=[(open_run, "fine_tuned_from")])
    message, _ = door("lineage", "add", open_run, "--parent", child.id, *words, cwd=tiny).complaint
    assert message == f"{open_run} would come from itself: {open_run} -> {child.id} -> {open_run}"
    child.finish()


def test_numbers_in_closed_records_stay_right(door: Door, tiny: Path, open_run: str, made: Make, family: Any) -> None:
    child = made("child", link(open_run, lamport=0), lamport=1)
    words = ("--parent", family["base"], "--relationship", "initialization")
    message, hint = door("lineage", "add", open_run, *words, cwd=tiny).complaint
    assert message == (
        f"{child} comes from {open_run} and is closed; the Lamport time that it states would become wrong"
    )
    assert hint == "say what a run comes from before other runs that come from it are closed"


@pytest.mark.parametrize("role", ["", " ", "two\nlines", "\x1b[31m"])
def test_a_role_is_a_word(door: Door, tiny: Path, open_run: str, family: dict[str, str], role: str) -> None:
    words = ("--parent", family["base"], "--relationship", "initialization", "--role", role)
    assert "expected a word or two" in door("lineage", "add", open_run, *words, cwd=tiny).complaint[0]
