"""Metamorphic relations: what may be declared, how rows are changed, and what violates each kind."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.relations import Outcome, check, judge
from entrenar_research.core.relations_data import changed, table
from entrenar_research.errors import InvalidFileError, UsageError
from entrenar_research.models.experiment import Declaration
from entrenar_research.models.relations import InputChange, Margin, Relation
from entrenar_research.store.study_files import StudyFiles

DECLARATION = msgspec.convert(
    {
        "command": "python a.py",
        "params": "params.yaml",
        "inputs": ["x.csv"],
        "outputs": ["rows.csv", "model.bin"],
        "metrics": {"m": {}, "loss": {}},
    },
    Declaration,
)
PERMUTED = {"inputs": [{"file": "x.csv", "permute": 1}]}


def relation(**keys: Any) -> Relation:
    return msgspec.convert(keys, Relation)


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ({"kind": "custom", "metrics": ["m"]}, ["kind"], "has no meaning that could be tested"),
        ({"kind": "additive", "variant": PERMUTED, "metrics": ["m"]}, [], "needs `amount`"),
        ({"kind": "multiplicative", "variant": PERMUTED, "metrics": ["m"]}, [], "needs `factor`"),
        ({"kind": "negation", "metrics": ["m"]}, [], "needs `variant`"),
        ({"kind": "identity", "metrics": ["m"], "factor": 2}, ["factor"], "`factor` says nothing"),
        ({"kind": "identity"}, [], "nothing to compare"),
        ({"kind": "identity", "metrics": ["n"]}, ["metrics", 0], "'n' is no declared metric (m, loss)"),
        ({"kind": "identity", "outputs": ["y"]}, ["outputs", 0], "'y' is not among the outputs"),
        ({"kind": "permutation", "variant": {"set": {"a": 1}}, "metrics": ["m"]}, ["variant"], "must `permute`"),
        ({"kind": "permutation", "variant": PERMUTED, "outputs": ["model.bin"]}, ["outputs", 0], "has no rows"),
        (
            {"kind": "composition", "variant": PERMUTED, "same_as": PERMUTED, "metrics": ["m"]},
            ["variant"],
            "must make two changes",
        ),
        ({"kind": "monotonic_loss"}, [], "needs a `curve`"),
        ({"kind": "monotonic_loss", "curve": {"series": "loss"}, "metrics": ["m"]}, [], "give both or none"),
        ({"kind": "monotonic_loss", "curve": {"series": "a", "file": "rows.csv"}}, ["curve"], "expected either"),
        ({"kind": "monotonic_loss", "curve": {"file": "x", "column": "a"}}, ["curve", "file"], "is no table among"),
        ({"kind": "monotonic_loss", "curve": {"series": "a"}, "window": 0}, ["window"], "from 1"),
        ({"kind": "negation", "variant": {}, "metrics": ["m"]}, ["variant"], "it changes nothing"),
        ({"kind": "negation", "variant": {"seed": 3}, "metrics": ["m"]}, ["variant", "seed"], "declares no seed"),
        (
            {"kind": "negation", "variant": {"inputs": [{"file": "z", "negate": True}]}, "metrics": ["m"]},
            ["variant", "inputs", 0, "file"],
            "'z' is no declared input (x.csv)",
        ),
        (
            {"kind": "negation", "variant": {"inputs": [{"file": "x.csv"}]}, "metrics": ["m"]},
            ["variant", "inputs", 0],
            "exactly one of",
        ),
        (
            {"kind": "inclusion", "variant": {"inputs": [{"file": "x.csv", "keep": 1.5}]}, "metrics": ["m"]},
            ["variant", "inputs", 0, "keep"],
            "a share above 0",
        ),
        (
            {"kind": "identity", "metrics": ["m"], "tolerance": {"absolute": -1}},
            ["tolerance", "absolute"],
            "zero or greater",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(keys: dict[str, Any], place: list[str | int], words: str) -> None:
    fault = check(relation(**keys), DECLARATION)
    assert fault is not None
    assert fault[0] == place
    assert words in fault[1]


def test_the_file_and_line_are_named(tmp_path: Any) -> None:
    folder = tmp_path / "experiments" / "e"
    folder.mkdir(parents=True)
    (folder / "experiment.yaml").write_text(
        "command: python a.py\noutputs: [metrics.json]\nmetrics: {m: {}}\nrelations:\n"
        "  - kind: identity\n    metrics: [m]\n  - kind: negation\n    metrics: [m]\n    variant:\n      seed: 3\n"
    )
    with pytest.raises(
        InvalidFileError, match=r"experiment\.yaml, line 10: `relations\[1\]`: the experiment declares no"
    ):
        StudyFiles(tmp_path).experiment("e")


TEXT = "name,value\na,1\nb,2.5\nc,-3\nd,4\n"


@pytest.mark.parametrize(
    ("change", "rows"),
    [
        ({"scale": 2}, ["a,2", "b,5", "c,-6", "d,8"]),
        ({"shift": 0.5, "columns": ["value"]}, ["a,1.5", "b,3", "c,-2.5", "d,4.5"]),
        ({"negate": True, "columns": [1]}, ["a,-1", "b,-2.5", "c,3", "d,-4"]),
    ],
)
def test_numbers_are_changed_and_names_stay(change: dict[str, Any], rows: list[str]) -> None:
    made = changed(TEXT, msgspec.convert({"file": "x.csv", **change}, InputChange))
    assert made.splitlines() == ["name,value", *rows]


@given(st.integers(2, 50), st.integers(0, 1000))
def test_a_permutation_moves_rows_and_loses_none(count: int, seed: int) -> None:
    rows = [f"{number},{number}" for number in range(count)]
    change = InputChange(file="x.csv", permute=seed)
    made = changed("\n".join(rows) + "\n", change).splitlines()
    assert made != rows
    assert sorted(made) == sorted(rows)
    assert changed("\n".join(rows) + "\n", change).splitlines() == made


@given(st.integers(1, 50), st.floats(0.01, 1), st.integers(0, 99))
def test_a_part_is_a_part_in_order(count: int, keep: float, seed: int) -> None:
    rows = [f"{number}" for number in range(count)]
    made = changed("\n".join(rows), InputChange(file="x.csv", keep=keep, seed=seed)).splitlines()
    assert len(made) == max(1, round(keep * count))
    assert made == sorted(set(made), key=int)


@pytest.mark.parametrize(
    ("text", "change", "words"),
    [
        ("name,value\n", {"permute": 1}, "no rows"),
        (TEXT, {"scale": 2, "columns": ["weight"]}, "no column 'weight' (name, value)"),
        (TEXT, {"scale": 2, "columns": [0]}, "line 2: no number in column 0"),
    ],
)
def test_what_cannot_be_changed_is_said(text: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed(text, msgspec.convert({"file": "x.csv", **change}, InputChange))
    assert words in caught.value.message


def outcome(m: float = 0.0, rows: str = "", curve: tuple[float, ...] = (), digest: str = "1") -> Outcome:
    return Outcome(metrics={"m": m}, tables={"rows.csv": table(rows)}, digests={"rows.csv": digest}, curve=curve)


M, ROWS = {"metrics": ("m",)}, {"outputs": ("rows.csv",)}


@pytest.mark.parametrize(
    ("keys", "base", "good", "bad", "expected"),
    [
        ({"kind": "identity", **M}, {"m": 2}, {"m": 2}, {"m": 2.1}, "m = 2"),
        ({"kind": "additive", "amount": 3, **M}, {"m": 2}, {"m": 5}, {"m": 6}, "m = 5"),
        ({"kind": "multiplicative", "factor": 3, **M}, {"m": 2}, {"m": 6}, {"m": 5}, "m = 6"),
        ({"kind": "multiplicative", "factor": 0, **M}, {"m": 2}, {"m": 0}, {"m": 2}, "m = 0"),
        ({"kind": "negation", **M}, {"m": 2}, {"m": -2}, {"m": 2}, "m = -2"),
        ({"kind": "inclusion", **M}, {"m": 2}, {"m": 1}, {"m": 3}, "m at most 2"),
        ({"kind": "monotonic_loss", **M}, {"m": 2}, {"m": 1}, {"m": float("nan")}, "m at most 2"),
        (
            {"kind": "permutation", **ROWS},
            {"rows": "1\n2\n"},
            {"rows": "2\n1\n"},
            {"rows": "2\n"},
            "rows.csv: every row that was there",
        ),
        (
            {"kind": "inclusion", **ROWS},
            {"rows": "1\n2\n"},
            {"rows": "2\n"},
            {"rows": "2\n2\n"},
            "rows.csv: no row that was not there",
        ),
        (
            {"kind": "permutation_invariance", "tolerance": {"absolute": 0.1}, **ROWS},
            {"rows": "1,a\n"},
            {"rows": "1.05,a\n", "digest": "2"},
            {"rows": "1.2,a\n", "digest": "2"},
            "rows.csv with the same content",
        ),
    ],
)
def test_each_kind_holds_and_is_violated(
    keys: dict[str, Any], base: dict[str, Any], good: dict[str, Any], bad: dict[str, Any], expected: str
) -> None:
    told = relation(**keys)
    assert judge(told, outcome(**base), outcome(**good), {}) == ()
    violations = judge(told, outcome(**base), outcome(**bad), {})
    assert [(item.relation, item.expected) for item in violations] == [(told.kind, expected)]


@pytest.mark.parametrize(
    ("curve", "window", "actual"),
    [
        ((3.0, 2.0, 2.0, 1.0), 1, None),
        ((3.0, 2.0, 2.5, 1.0), 1, "2.5"),
        ((3.0, 2.0, 2.5, 1.0), 2, None),
        ((1.0, 2.0, 2.5, 3.0), 2, "2.75"),
        ((1.0,), 1, "1 points"),
        ((2.0, float("nan")), 1, "point 2 is nan"),
    ],
)
def test_a_curve_that_rises_is_none_of_a_loss(curve: tuple[float, ...], window: int, actual: str | None) -> None:
    told = relation(kind="monotonic_loss", curve={"series": "loss"}, window=window)
    violations = judge(told, outcome(curve=curve), None, {})
    assert [item.actual for item in violations] == ([] if actual is None else [actual])


def test_the_tolerance_of_a_metric_holds_unless_the_relation_has_its_own() -> None:
    margins = {"m": Margin(absolute=0.5)}
    told = relation(kind="identity", metrics=("m",), severity="warning")
    assert judge(told, outcome(m=1), outcome(m=1.4), margins) == ()
    strict = relation(kind="identity", name="mine", metrics=("m",), tolerance={"relative": 0.1}, severity="warning")
    found = judge(strict, outcome(m=1), outcome(m=1.4), margins)
    assert [(item.relation, item.severity) for item in found] == [("mine", "warning")]
