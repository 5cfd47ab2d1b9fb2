from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ruamel.yaml import YAML

from entrenar_research.errors import UsageError
from entrenar_research.store import declaration_file, params_file

TEXT = """\
# How to descend
rate: 1e-4  # per step
steps: 20
name: "one"   # quoted
flag: true
nothing:
layers: [1, 2]
model:
    depth: 3   # indented by four
    a.b: 4
    1: five
    kinds:
      - x
      - y
"""


@pytest.fixture
def params(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(TEXT)
    return tmp_path / "params.yaml"


def assign(path: Path, *texts: str) -> dict[str, tuple[Any, Any]]:
    return params_file.assign(path, "params.yaml", dict(params_file.parse_assignment(text) for text in texts))


@pytest.mark.parametrize(
    ("text", "old", "new"),
    [
        ("rate=2.5e-05", "rate: 1e-4  # per step", "rate: 2.5e-05  # per step"),
        ("rate=1e-05", "rate: 1e-4  # per step", "rate: 1.0e-05  # per step"),
        ("rate=1", "rate: 1e-4  # per step", "rate: 1  # per step"),
        ("steps=0x10", "steps: 20", "steps: 16"),
        ("name=two words", 'name: "one"   # quoted', "name: two words   # quoted"),
        ("name='yes'", 'name: "one"   # quoted', 'name: "yes"   # quoted'),
        ("flag=false", "flag: true", "flag: false"),
        ("nothing=x", "nothing:", "nothing: x"),
        ("layers=[3]", "layers: [1, 2]", "layers: [3]"),
        ("layers=[1, 2, a=b]", "layers: [1, 2]", "layers: [1, 2, a=b]"),
        ("model.depth=4", "    depth: 3   # indented by four", "    depth: 4   # indented by four"),
        ("model.a.b=5", "    a.b: 4", "    a.b: 5"),
        ("model.1=six", "    1: five", "    1: six"),
        ("model.kinds=[x, y, z]", "      - y\n", "      - y\n      - z\n"),
    ],
)
def test_one_parameter_changes_and_nothing_else(params: Path, text: str, old: str, new: str) -> None:
    changes = assign(params, text)
    assert list(changes) == [text.partition("=")[0]]
    assert params.read_text() == TEXT.replace(old, new, 1)
    assert yaml.safe_load(params.read_text()).keys() == YAML(typ="safe").load(params.read_text()).keys()


def test_a_number_means_the_same_to_every_reader(params: Path) -> None:
    assert assign(params, "rate=1e-05") == {"rate": (1e-4, 1e-05)}
    assert yaml.safe_load(params.read_text())["rate"] == YAML(typ="safe").load(params.read_text())["rate"] == 1e-05


def test_several_at_once_and_what_is_so_already(params: Path) -> None:
    assert assign(params, "steps=21", "model.depth=4", "rate=0.0001") == {"steps": (20, 21), "model.depth": (3, 4)}
    status = params.stat()
    assert assign(params, "steps=21") == {}
    assert params.stat().st_mtime_ns == status.st_mtime_ns


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("rat=1", "params.yaml: no parameter named 'rat'", "rate"),
        ("model.dept=1", "params.yaml: no parameter named 'model.dept'", "model.depth"),
        ("model=1", "params.yaml: no parameter named 'model'", "model."),
        ("steps=many", "params.yaml: steps is 20 (int); found 'many' (str), expected int", "edit the file by hand"),
        ("steps=true", "params.yaml: steps is 20 (int); found True (bool), expected int", "edit the file by hand"),
        ("flag=1", "params.yaml: flag is True (bool); found 1 (int), expected bool", "edit the file by hand"),
        ("name=5", "params.yaml: name is 'one' (str); found 5 (int), expected str", "edit the file by hand"),
        ("layers=3", "params.yaml: layers is [1, 2] (list); found 3 (int), expected list", "edit the file by hand"),
        ("steps=", "params.yaml: steps is 20 (int); found None (NoneType), expected int", "edit the file by hand"),
    ],
)
def test_what_cannot_be_set_is_refused_and_the_file_stays(params: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        assign(params, text)
    assert caught.value.message == message
    assert hint in (caught.value.hint or "")
    assert params.read_text() == TEXT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rate", "'rate': expected KEY=VALUE, for example learning_rate=0.5"),
        ("=1", "'=1': expected KEY=VALUE"),
        ("rate=[1", "the value of rate, line 2, column 1: did not find expected"),
        ("rate=a: b: c", "the value of rate, line 1, column 5: mapping values are not allowed"),
        ("rate=\udcff", "the value of rate: not UTF-8 text"),
    ],
)
def test_what_is_no_assignment_is_refused(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        params_file.parse_assignment(text)
    assert caught.value.message.startswith(words)


def test_what_two_parameters_share_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("a: &x {c: 1}\nb: *x\n")
    with pytest.raises(UsageError, match=r"p\.yaml: `b\.c` cannot be changed on its own"):
        params_file.assign(tmp_path / "p.yaml", "p.yaml", {"b.c": 2})
    assert (tmp_path / "p.yaml").read_text() == "a: &x {c: 1}\nb: *x\n"


DECLARED = """\
# Mine
command: python a.py  # as it is
code: [a.py]  # in one line
inputs:
  - data/x.csv   # the points
  # what else?
trace: none
"""


def test_a_declaration_is_extended_and_nothing_else_changes(tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(DECLARED)
    declaration_file.extend(path, "e.yaml", code=["a.py", "b.py"], inputs=["data/x.csv", "data/y: z.csv"])
    assert path.read_text() == DECLARED.replace("[a.py]", "[a.py, b.py]").replace(
        "the points\n", "the points\n  - 'data/y: z.csv'\n"
    )
    declaration_file.extend(path, "e.yaml", inputs=["data/x.csv"])
    path.write_text("command: x\n")
    declaration_file.extend(path, "e.yaml", code=["a.py"], inputs=["b"])
    assert path.read_text() == "command: x\ncode:\n- a.py\ninputs:\n- b\n"
