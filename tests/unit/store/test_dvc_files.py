"""What we read from and write to DVC's files; test_dvc_agreement.py holds it against the program itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.errors import InvalidFileError
from entrenar_research.models.experiment import Declaration, Experiment, Metric, Plot
from entrenar_research.models.run import FileDigest
from entrenar_research.store.dvc_files import DvcFiles, stage
from entrenar_research.store.yaml_text import Document, dump

LINE = Experiment(
    name="line",
    declaration=Declaration(
        command="python line.py",
        params="experiments/line/params.yaml",
        seed=1,
        code=("line.py",),
        inputs=("data/a.csv", "data/b"),
        outputs=("m.json", "curve.csv"),
        metrics={"loss": Metric(file="m.json"), "other": Metric(file="m.json")},
        plots=(Plot(file="curve.csv", x="step", y=("loss",)), Plot(file="table.csv")),
    ),
)
BARE = Experiment(name="line", declaration=Declaration(command="true"))
FOREIGN = """\
# Ours and theirs
vars:
- config.json  # used below
stages:
  # Not made by this tool
  prepare:
    cmd: >-
      python prepare.py
      --folded
    deps: [raw]   # in one line
  report:
    cmd: 'make   report'
# What else
metrics:
- report.json   # theirs
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / ".dvc").mkdir()
    return tmp_path


def test_the_stage_of_a_declaration() -> None:
    assert stage(LINE) == {
        "cmd": "entrenar-research run line",
        "deps": ["data/a.csv", "data/b", "line.py"],
        "params": [{"experiments/line/experiment.yaml": ["command", "seed"]}, {"experiments/line/params.yaml": None}],
        "outs": [{"experiments/line/result": {"persist": True}}],
    }
    assert stage(BARE) == {
        "cmd": "entrenar-research run line",
        "params": [{"experiments/line/experiment.yaml": ["command"]}],
        "outs": [{"experiments/line/result": {"persist": True}}],
    }


def test_what_stands_in_dvc_yaml_stays_byte_for_byte(study: Path) -> None:
    (study / "dvc.yaml").write_text(FOREIGN)
    files = DvcFiles(study)
    files.write_stage(LINE)
    after = (study / "dvc.yaml").read_text()
    assert files.stages()["line"] == stage(LINE)
    ours = [line for line in after.splitlines() if line not in FOREIGN.splitlines()]
    assert [line for line in after.splitlines() if line not in ours] == FOREIGN.splitlines()
    assert Document(after, "f").value["metrics"] == ["report.json", "experiments/line/result/m.json"]
    assert Document(after, "f").value["plots"] == [
        {"experiments/line/result/curve.csv": {"x": "step", "y": "loss"}},
        {"experiments/line/result/table.csv": None},
    ]
    files.write_stage(LINE)
    assert (study / "dvc.yaml").read_text() == after
    files.write_stage(BARE)
    assert (study / "dvc.yaml").read_text().replace(dump_of_bare(), "") == FOREIGN


def dump_of_bare() -> str:
    return "".join(f"  {line}\n" for line in dump({"line": stage(BARE)}).splitlines())


def test_what_a_person_added_to_the_stage_stays_and_comments_too(study: Path) -> None:
    files = DvcFiles(study)
    files.write_stage(LINE)
    text = (study / "dvc.yaml").read_text()
    text = text.replace("    cmd:", "    desc: A line   # mine\n    frozen: true\n    wdir: ..\n    cmd:")
    text = text.replace("    - data/b\n", "    - data/b  # large\n")
    (study / "dvc.yaml").write_text(text)
    files.write_stage(LINE)
    assert (study / "dvc.yaml").read_text() == text.replace("    wdir: ..\n", "")


def test_a_stage_is_made_in_no_file_and_in_an_empty_one(study: Path) -> None:
    DvcFiles(study).write_stage(BARE)
    text = (study / "dvc.yaml").read_text()
    for empty in ("", "# Nothing\n", "stages:\n", "stages: {}\n"):
        (study / "dvc.yaml").write_text(empty)
        DvcFiles(study).write_stage(BARE)
        after = (study / "dvc.yaml").read_text()
        assert after.removeprefix("# Nothing\n") == text


DRIFT: list[tuple[Any, tuple[str, ...]]] = [
    ({}, ()),
    ({"desc": "x", "meta": {"a": 1}}, ()),
    ({"cmd": "make"}, ("dvc.yaml runs 'make', expected 'entrenar-research run line'",)),
    ({"cmd": None}, ("dvc.yaml runs None, expected 'entrenar-research run line'",)),
    (
        {"deps": ["data/a.csv", "line.py", "new"]},
        (
            "dvc.yaml lists the dependency new, experiments/line/experiment.yaml does not",
            "experiments/line/experiment.yaml declares the dependency data/b, dvc.yaml does not list it",
        ),
    ),
    (
        {"params": [{"experiments/line/experiment.yaml": ["command", "seed"]}, {"p.yaml": None}]},
        (
            "dvc.yaml lists the parameter file p.yaml, experiments/line/experiment.yaml does not",
            f"{LINE.file} declares the parameter file experiments/line/params.yaml, dvc.yaml does not list it",
        ),
    ),
    (
        {"params": [{"experiments/line/experiment.yaml": ["command"]}, {"experiments/line/params.yaml": None}]},
        ("dvc.yaml watches `command` of experiments/line/experiment.yaml, expected `command`, `seed`",),
    ),
    (
        {"outs": [{"experiments/line/result": {"persist": True}}, "model.bin"]},
        ("dvc.yaml lists the output model.bin, experiments/line/experiment.yaml does not",),
    ),
    (
        {"outs": ["experiments/line/result"]},
        ("dvc.yaml lets DVC delete experiments/line/result before a run: `persist: true` is missing there",),
    ),
    (
        {"outs": [{"experiments/line/result": {"persist": True, "cache": False}}]},
        ("dvc.yaml keeps experiments/line/result out of DVC's cache: `cache: false` stands there",),
    ),
    ({"frozen": True}, ("dvc.yaml gives the stage `frozen`, which changes what DVC does",)),
    ({"wdir": "x"}, ("dvc.yaml gives the stage `wdir`, which changes what DVC does",)),
]


@pytest.mark.parametrize(("changes", "words"), DRIFT)
def test_every_kind_of_drift_has_its_words(study: Path, changes: dict[str, Any], words: tuple[str, ...]) -> None:
    files = DvcFiles(study)
    files.write_stage(LINE)
    document = Document((study / "dvc.yaml").read_text(), "dvc.yaml").value
    document["stages"]["line"].update(changes)
    (study / "dvc.yaml").write_text(dump(document))
    assert files.drift(LINE) == words
    files.write_stage(LINE)
    assert files.drift(LINE) == tuple(word for word in words if "frozen" in word)


def test_drift_of_metrics_and_plots_has_its_words(study: Path) -> None:
    files = DvcFiles(study)
    files.write_stage(LINE)
    document = Document((study / "dvc.yaml").read_text(), "dvc.yaml").value
    document["metrics"] = ["experiments/line/result/n.json", "foreign.json"]
    document["plots"] = [{"experiments/line/result/curve.csv": {"x": "time"}}]
    (study / "dvc.yaml").write_text(dump(document))
    result, declared = "experiments/line/result", "experiments/line/experiment.yaml"
    assert files.drift(LINE) == (
        f"dvc.yaml lists the metric {result}/n.json, {declared} does not",
        f"{declared} declares the metric {result}/m.json, dvc.yaml does not list it",
        f"{declared} declares the plot {result}/table.csv, dvc.yaml does not list it",
        f"dvc.yaml draws {result}/curve.csv otherwise than {declared} declares it",
    )
    files.write_stage(LINE)
    assert files.drift(LINE) == ()
    assert Document((study / "dvc.yaml").read_text(), "f").value["metrics"][0] == "foreign.json"


def test_without_a_stage_there_is_one_thing_to_say(study: Path) -> None:
    assert DvcFiles(study).drift(BARE) == (
        "dvc.yaml has no stage 'line', experiments/line/experiment.yaml declares it",
    )


@pytest.mark.parametrize("name", ["dvc.yaml", "dvc.lock"])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<<<<<<< HEAD\nstages:\n", "line 2"),
        ("- a\n", "expected a mapping with `stages`, found list"),
        ("stages: [a]\n", "expected a mapping with `stages`, found dict"),
    ],
)
def test_a_malformed_file_is_named_and_not_touched(study: Path, name: str, text: str, words: str) -> None:
    (study / name).write_text(text)
    files = DvcFiles(study)
    whole = FileDigest(path=LINE.result, digest="sha256:0", md5="0.dir", size=0, files=0)
    write: Callable[[], None] = {
        "dvc.yaml": lambda: files.write_stage(LINE),
        "dvc.lock": lambda: files.write_lock(LINE, dependencies=(), result=whole, params={}),
    }[name]
    with pytest.raises(InvalidFileError, match=rf"^{name}") as caught:
        write()
    assert words in caught.value.message
    assert (study / name).read_text() == text


@pytest.mark.parametrize(
    ("place", "text", "usual"),
    [
        (".dvc/config", "", True),
        (".dvc/config", "['remote \"r\"']\n    url = /x\n[core]\n    remote = r\n", True),
        (".dvc/config", "[cache]\n    type = symlink\n", False),
        (".dvc/config.local", "[cache]\n    dir = /elsewhere\n", False),
        ("home/.config/dvc/config", "[Cache]\n    shared = group\n", False),
        ("system/dvc/config", "[cache]\n    dir = /elsewhere\n", False),
        (".dvc/config", "no ini\n", False),
    ],
)
def test_an_unusual_cache_is_noticed(
    study: Path, monkeypatch: pytest.MonkeyPatch, place: str, text: str, usual: bool
) -> None:
    monkeypatch.setenv("HOME", str(study / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(study / "system"))
    (study / place).parent.mkdir(parents=True, exist_ok=True)
    (study / place).write_text(text)
    assert DvcFiles(study).ordinary_cache() is usual


@pytest.mark.parametrize("variable", ["DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "XDG_CONFIG_HOME"])
def test_an_unusual_cache_is_noticed_where_the_environment_leads(
    study: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    place = study / "there" / ("dvc" if variable.startswith("XDG") else "")
    place.mkdir(parents=True)
    (place / "config").write_text("[cache]\n    dir = /elsewhere\n")
    assert DvcFiles(study).ordinary_cache()
    monkeypatch.setenv(variable, str(study / "there"))
    assert not DvcFiles(study).ordinary_cache()


def test_pointers_are_found_where_people_put_them(study: Path) -> None:
    for path, text in {
        "data/a.csv.dvc": "outs:\n- md5: aa\n  size: 1\n  path: a.csv\n",
        "b.dvc": "wdir: sub\nouts:\n- md5: bb.dir\n  path: b\n- md5: cc\n  path: c\n",
        ".dvc/tmp/x.dvc": "broken: [",
        ".entrenar/x.dvc": "broken: [",
        "env/x.dvc": "broken: [",
    }.items():
        (study / path).parent.mkdir(parents=True, exist_ok=True)
        (study / path).write_text(text)
    (study / "env/pyvenv.cfg").touch()
    found = DvcFiles(study).pointers()
    assert {path: item["pointer"] for path, item in found.items()} == {
        "data/a.csv": "data/a.csv.dvc",
        "sub/b": "b.dvc",
        "sub/c": "b.dvc",
    }
    assert found["sub/b"]["md5"] == "bb.dir"


@pytest.mark.parametrize("text", ["outs: 3\n", "- a\n", "outs:\n- md5: x\n", ""])
def test_a_malformed_pointer_is_named(study: Path, text: str) -> None:
    (study / "x.dvc").write_text(text)
    with pytest.raises(InvalidFileError, match=r"^x\.dvc: expected `outs` with `path` and `md5`"):
        DvcFiles(study).pointers()
