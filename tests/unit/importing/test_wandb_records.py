import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.foreign import wandb_records as records
from entrenar_research.core.foreign.wandb_facts import Facts
from tests.unit.importing.foreign import HOST, USER, field, wandb_item, wandb_row, wandb_run

NAMES = st.lists(st.text(st.characters(exclude_characters="/", codec="utf-8"), max_size=80), min_size=1, max_size=3)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=150),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(NAMES, JSON)
def test_an_entry_is_read_as_written(path: list[str], value: object) -> None:
    found = records.item(wandb_item("/".join(path), value))
    assert (found.path, found.value()) == (tuple(path), value)
    assert found.name == ".".join(path)


def test_a_row_and_the_kinds_of_records() -> None:
    kind, data = records.content(wandb_row(7, {"a": 1, "b/c": 2})) or (0, b"")
    assert kind == records.HISTORY
    assert records.row(data) == records.Row(7, [records.Item(("a",), "1"), records.Item(("b", "c"), "2")])
    assert records.content(field(1, 5) + field(11, b"telemetry")) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1.0),
        ("-2.5e-3", -0.0025),
        ("true", 1.0),
        ("false", 0.0),
        ("Infinity", math.inf),
        ('"-Infinity"', -math.inf),
    ],
)
def test_numbers(text: str, value: float) -> None:
    assert records.scalar(text) == value


@pytest.mark.parametrize("text", ["NaN", '"NaN"'])
def test_nan(text: str) -> None:
    value = records.scalar(text)
    assert value is not None
    assert math.isnan(value)


@pytest.mark.parametrize("text", ["null", '"text"', "[1]", "{}", ""])
def test_what_is_no_number(text: str) -> None:
    assert records.scalar(text) is None


def test_configurations_nest_change_and_lose_entries() -> None:
    config: dict[str, object] = {}
    entries = [("a", {"b": 1, "c": 2}), ("a/c", 3), ("d/e/f", 4), ("g", 5)]
    items = [records.item(wandb_item(name, value)) for name, value in entries]
    gone = [records.item(wandb_item(name, None)) for name in ("g", "a/b", "never/there")]
    assert records.apply(config, [*items, records.Item(("bad",), "{")], gone) == ["bad"]
    assert config == {"a": {"c": 3}, "d": {"e": {"f": 4}}}


def test_a_value_that_is_nested_too_deeply_is_no_json() -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        records.Item(("x",), "[" * 100_000).value()


def test_facts_of_a_run_without_its_people() -> None:
    facts = Facts()
    kind, data = records.content(wandb_run()) or (0, b"")
    facts.take(kind, data)
    assert (facts.run_id, facts.project, facts.name, facts.config) == ("abcd1234", "demo", "brave", {"lr": 0.1})
    assert facts.personal == {"account (entity)", "host name"}
    assert facts.tags() == ["name=brave"]
    facts.metadata_file(
        {
            "host": HOST, "username": USER, "email": "a@x", "program": f"/home/{USER}/train.py", "os": "Linux-6-x86_64",
            "python": "3.11.2", "cpu_count": 4, "gpu": "A100", "gpu_count": 2, "memory": {"total": 16.0},
            "git": {"commit": "c0ffee", "remote": "git@x:ada"}, "codePath": "train.py",
        }
    )  # fmt: skip
    assert (facts.program, facts.python, facts.cores, facts.gpus) == ("train.py", "3.11.2", 4, ["A100", "A100"])
    assert (facts.memory, facts.commit, facts.system) == (16 << 30, "c0ffee", "Linux-6-x86_64")
    assert {"user name", "e-mail address", "address of the repository", "directory of the script"} <= facts.personal


def test_the_summary_gives_what_no_row_had() -> None:
    facts = Facts()
    entries = {
        "loss": 1,
        "best": 0.5,
        "acc/max": 0.9,
        "_step": 3,
        "words": "x",
        "nan": math.nan,
        "h": {"_type": "histogram"},
    }
    facts.summarise(b"".join(field(1, wandb_item(name, value)) for name, value in entries.items()))
    facts.summarise(field(1, wandb_item("best", 0.25)) + field(2, wandb_item("gone", None)))
    numbers, others = facts.final({"loss"})
    assert json.dumps(numbers, sort_keys=True) == '{"acc.max": 0.9, "best": 0.25, "nan": NaN}'
    assert others == 1
