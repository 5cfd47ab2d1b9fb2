from __future__ import annotations

import math
from typing import Any

from entrenar_research.core.tracking import comparison
from entrenar_research.models.run import Environment, FileDigest, Hardware, RunRecord
from entrenar_research.models.tracking import Series


def run(run_id: str, **fields: Any) -> RunRecord:
    given = {"experiment": "e", "status": "completed", "tool": "t", "runner": "host", "started": "2026-01-01T00:00:00Z"}
    return RunRecord(id=run_id, **{**given, **fields})


def named(rows: Any) -> dict[str, Any]:
    return {row.name: row for row in rows}


def test_parameters_are_compared_by_value() -> None:
    one = run("a", params={"rate": 1, "on": True, "nested": {"rank": 4}, "list": [1, 2], "gone": None})
    other = run("b", params={"rate": 1.0, "on": 1, "nested": {"rank": 8}, "list": [1, 2]})
    rows = named(comparison.compare([one, other], {}).parameters)
    assert {name: row.same for name, row in rows.items()} == {
        "rate": True,
        "on": False,
        "nested.rank": False,
        "list": True,
        "gone": True,
    }
    assert rows["nested.rank"].values == (4, 8)


def test_a_metric_is_better_by_its_goal() -> None:
    one = run("a", metrics={"loss": 0.5, "accuracy": 0.8, "size": 3.0, "same": 1.0})
    other = run("b", metrics={"loss": 0.4, "accuracy": 0.7, "size": 4.0, "same": 1.0})
    goals: Any = {"loss": "minimize", "accuracy": "maximize", "same": "minimize"}
    rows = named(comparison.compare([one, other], goals).metrics)
    assert {name: row.outcome for name, row in rows.items()} == {
        "loss": "better",
        "accuracy": "worse",
        "size": "",
        "same": "same",
    }
    assert rows["size"].difference == 1.0
    assert (rows["loss"].best, rows["accuracy"].best, rows["size"].best, rows["same"].best) == ((1,), (0,), (), ())


def test_nan_and_what_is_lacking() -> None:
    runs = [
        run("a", metrics={"loss": math.nan, "x": 1.0}),
        run("b", metrics={"loss": math.nan}),
        run("c", metrics={"loss": 1.0}),
    ]
    rows = named(comparison.compare(runs[:2], {"loss": "minimize"}).metrics)
    assert (rows["loss"].difference, rows["loss"].outcome, rows["loss"].best) == (0.0, "same", ())
    assert rows["x"].values == (1.0, None)
    assert (rows["x"].difference, rows["x"].outcome) == (None, "")
    rows = named(comparison.compare(runs, {"loss": "minimize"}).metrics)
    assert rows["loss"].outcome == ""
    assert rows["loss"].best == ()


def test_extremes_of_what_was_logged_are_shown_where_they_say_more() -> None:
    one = run("a", series={"loss": Series(points=3, last=0.5, last_step=2, lowest=0.2, highest=0.9)})
    other = run("b", series={"loss": Series(points=3, last=0.5, last_step=2, lowest=0.1, highest=0.9)})
    shown = [(row.of, row.values, row.best) for row in comparison.compare([one, other], {"loss": "minimize"}).metrics]
    assert shown == [("value", (0.5, 0.5), ()), ("lowest", (0.2, 0.1), (1,))]
    shown = [(row.of, row.values, row.best) for row in comparison.compare([one, other], {}).metrics]
    assert [of for of, *_ in shown] == ["value", "lowest", "highest"]
    single = [
        run(name, series={"n": Series(points=1, last=2.0, last_step=0, lowest=2.0, highest=2.0)}) for name in "ab"
    ]
    assert [row.of for row in comparison.compare(single, {}).metrics] == ["value"]


def test_a_declared_metric_counts_before_a_logged_one() -> None:
    one = run("a", metrics={"loss": 0.25}, series={"loss": Series(points=1, last=0.5, last_step=0)})
    assert comparison.value(one, "loss") == 0.25
    assert comparison.value(one, "other") is None


def test_environment_code_and_results() -> None:
    def digest(path: str, letter: str) -> FileDigest:
        return FileDigest(path=path, digest=f"sha256:{letter * 64}", md5="0", size=1)

    one = run(
        "a",
        environment=Environment(program="python", python="3.11.2", packages={"numpy": "1.26", "scipy": "1"}),
        hardware=Hardware(architecture="x86_64", system="Linux", gpus=("A", "B")),
        code=(digest("train.py", "a"), digest("same.py", "c")),
        result="sha256:1",
    )
    other = run(
        "b",
        environment=Environment(program="python", python="3.12.0", packages={"numpy": "2.0", "scipy": "1"}),
        code=(digest("train.py", "b"), digest("same.py", "c")),
        result="sha256:2",
    )
    told = comparison.compare([one, other], {})
    environment = named(told.environment)
    assert environment["package numpy"].values == ("1.26", "2.0")
    assert environment["package scipy"].same
    assert environment["gpus"].values == ("A, B", None)
    assert {row.name: row.same for row in told.code} == {"train.py": False, "same.py": True}
    assert told.identical is False
    assert comparison.compare([one, one], {}).identical is True
    assert comparison.compare([one, run("c")], {}).identical is None
    assert "environment: Python 3.11.2 -> 3.12.0" in told.recipe
