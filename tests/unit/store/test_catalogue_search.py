"""Filtering, sorting and columns: NaN before missing before nothing, ties by id, near names for wrong ones."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.errors import UsageError
from entrenar_research.models.tracking import Failure, Series, Telemetry, Trial
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.catalogue.filter import Request
from tests.runs_on_disk import new_study, put, record, run_id

LOSSES = [0.5, math.nan, None, -math.inf, 0.5, math.inf, 0.25, None]
RATES: list[Any] = [0.1, 0.01, "0.1", "auto", None, True, 1, 10]


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    study = new_study(tmp_path_factory.mktemp("search"))
    for number, (loss, rate) in enumerate(zip(LOSSES, RATES, strict=True)):
        fields: dict[str, Any] = {"params": {"model": {"rate": rate}, "name": f"Größe {number}"}}
        if loss is not None:
            fields["metrics"] = {"loss": loss}
        if number % 2:
            fields |= {"status": "failed", "exit_status": number, "tags": ("odd", "two words")}
        if number == 3:
            fields |= {"failure_context": Failure(code="OOM_HOST", category="resource", diagnostic="x")}
        if number == 6:
            series = Series(points=9, last=4.0, last_step=8, lowest=-1.0, highest=7.0)
            fields |= {"series": {"loss": series, "grad.norm": series}, "telemetry": Telemetry(points=9)}
            fields |= {"trial": Trial(sweep="s", number=3), "seed": 42, "duration": 7200.0}
        put(study, record(1000 * number, "lora-rank" if number < 4 else "line", **fields))
    found = Catalogue(study)
    found.refresh()
    yield found
    found.close()


def numbers(catalogue: Catalogue, **request: Any) -> list[int]:
    """The numbers of the runs that are listed."""
    return [int(name[9:18]) // 1000 for name in catalogue.select(Request(**request)).ids]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("loss", [3, 6, 0, 4, 5, 1, 2, 7]),
        ("loss:desc", [5, 0, 4, 6, 3, 1, 2, 7]),
        ("metrics.loss:asc", [3, 6, 0, 4, 5, 1, 2, 7]),
        ("loss.highest:desc", [5, 6, 0, 4, 3, 1, 2, 7]),
        ("params.model.rate", [1, 0, 6, 7, 2, 3, 4, 5]),
        ("model.rate:desc", [7, 6, 0, 1, 5, 4, 3, 2]),
        ("run", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("run:desc", [7, 6, 5, 4, 3, 2, 1, 0]),
        ("took:desc", [6, 0, 1, 2, 3, 4, 5, 7]),
        ("exit", [1, 3, 5, 7, 0, 2, 4, 6]),
        ("experiment", [4, 5, 6, 7, 0, 1, 2, 3]),
    ],
)
def test_orders(sort: str, expected: list[int], catalogue: Catalogue) -> None:
    assert numbers(catalogue, sort=sort) == expected
    for limit in range(1, 9):
        assert numbers(catalogue, sort=sort, limit=limit) == expected[:limit]


def test_a_limit_without_an_order_keeps_the_newest(catalogue: Catalogue) -> None:
    listing = catalogue.select(Request(limit=3))
    assert [name[9:18] for name in listing.ids] == ["000005000", "000006000", "000007000"]
    assert listing.total == 8
    assert catalogue.select(Request(limit=8)).total == 8
    assert catalogue.select(Request(limit=2, status="failed")).total == 4
    assert catalogue.select(Request(limit=1, where=["loss<9"])).total is None
    assert catalogue.select(Request(limit=6, where=["loss<9"])).total == 4


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (["loss<0.5"], [3, 6]),
        (["loss<=0.5"], [0, 3, 4, 6]),
        (["loss>0.5"], [5]),
        (["loss=0.5"], [0, 4]),
        (["loss!=0.5"], [1, 3, 5, 6]),
        (["loss=nan"], [1]),
        (["loss!=nan"], [0, 3, 4, 5, 6]),
        (["loss<nan"], []),
        (["loss=inf"], [5]),
        (["loss.points>0"], [6]),
        (["metrics.loss.lowest=-1"], [6]),
        (["grad.norm.max=7"], [6]),
        (["params.model.rate=0.1"], [0, 2]),
        (["params.model.rate='0.1'"], [0, 2]),
        (["params.model.rate!=0.1"], [1, 3, 4, 5, 6, 7]),
        (["params.model.rate>0.05"], [0, 6, 7]),
        (["params.model.rate=auto"], [3]),
        (["params.model.rate=true"], [5]),
        (["params.model.rate=null"], [4]),
        (["params.model.rate=1"], [6]),
        (["params.name~GRÖSSE"], [0, 1, 2, 3, 4, 5, 6, 7]),
        (["params.name!~3"], [0, 1, 2, 4, 5, 6, 7]),
        (["status!=failed"], [0, 2, 4, 6]),
        (["experiment~LORA"], [0, 1, 2, 3]),
        (["tag=odd", "exit>2"], [3, 5, 7]),
        (["tag='two words'", "exit<=3"], [1, 3]),
        (["tag=two"], []),
        (["tag~two"], [1, 3, 5, 7]),
        (["tag!=odd"], [0, 2, 4, 6]),
        (["started>=2026-01-01T00:00:05"], [5, 6, 7]),
        (["started>'2026-01-01 00:00:05'"], [6, 7]),
        (["started<=2026-01-01T00:00:05Z"], [0, 1, 2, 3, 4, 5]),
        (["started=2026-01-01"], [0, 1, 2, 3, 4, 5, 6, 7]),
        (["started>2026-01-01"], []),
        (["started<2027"], [0, 1, 2, 3, 4, 5, 6, 7]),
        (["took>1h"], [6]),
        (["took>=120min"], [6]),
        (["took<2s"], [0, 1, 2, 3, 4, 5, 7]),
        (["seed=42"], [6]),
        (["seed!=42"], []),
        (["sweep=s", "trial=3"], [6]),
        (["failure=OOM_HOST"], [3]),
        (["points=9"], [6]),
        (["exit~3"], [3]),
    ],
)
def test_conditions(where: list[str], expected: list[int], catalogue: Catalogue) -> None:
    assert numbers(catalogue, where=where) == expected
    assert numbers(catalogue, where=where, sort="loss", limit=20) == [
        number for number in [3, 6, 0, 4, 5, 1, 2, 7] if number in expected
    ]


COMPARED: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "!=": operator.ne,
}  # fmt: skip


@given(sign=st.sampled_from(sorted(COMPARED)), bound=st.floats(allow_nan=False))
def test_numbers_compare_as_python_compares_them(sign: str, bound: float, catalogue: Catalogue) -> None:
    expected = [at for at, loss in enumerate(LOSSES) if loss is not None and COMPARED[sign](loss, bound)]
    assert numbers(catalogue, where=[f"loss{sign}{bound!r}"]) == expected


def test_experiment_status_and_tags(catalogue: Catalogue) -> None:
    assert numbers(catalogue, experiment="line") == [4, 5, 6, 7]
    assert numbers(catalogue, status="failed", experiment="line") == [5, 7]
    assert numbers(catalogue, tags=["odd", "two words"]) == [1, 3, 5, 7]
    assert numbers(catalogue, tags=["odd", "even"]) == []


def test_columns(catalogue: Catalogue) -> None:
    request = Request(columns=["id", "tags", "loss", "loss.points", "model.rate", "failure"], where=["exit>0"])
    listing = catalogue.select(request)
    assert [column.name for column in listing.columns] == [
        "run", "tag", "metrics.loss", "metrics.loss.points", "params.model.rate", "failure",
    ]  # fmt: skip
    assert listing.rows[1] == [run_id(3000, "lora-rank"), "odd\ntwo words\n", -math.inf, 0, "auto", "OOM_HOST"]
    assert math.isnan(listing.rows[0][2])
    assert listing.rows[3][2:5] == [None, None, 10]


def test_the_usual_columns_are_those_that_say_most(catalogue: Catalogue) -> None:
    usual = ["run", "experiment", "status", "took"]
    assert [column.name for column in catalogue.select(Request()).columns] == [
        *usual, "metrics.loss", "metrics.grad.norm",
    ]  # fmt: skip
    asked = catalogue.select(Request(sort="grad.norm.lowest", where=["params.name~1"]))
    assert [column.name for column in asked.columns] == [
        *usual,
        "metrics.grad.norm.lowest",
        "params.name",
        "metrics.loss",
    ]


def test_a_declared_metric_counts_and_what_was_logged_is_kept_beside_it(catalogue: Catalogue) -> None:
    query = "SELECT points, last, last_step, lowest, highest FROM metrics WHERE run = ? AND key = 'loss'"
    assert catalogue.connection.execute(query, (run_id(6000),)).fetchone() == (9, 0.25, 8, -1.0, 7.0)
    assert catalogue.connection.execute(query, (run_id(4000),)).fetchone() == (0, 0.5, None, 0.5, 0.5)


@pytest.mark.parametrize(
    ("request_", "message", "hint"),
    [
        ({"sort": "los"}, "no column named 'los'", "did you mean `lost` or `loss`?"),
        ({"columns": ["metrics.los"]}, "no column named 'metrics.los'", "did you mean `metrics.loss`"),
        ({"columns": ["statsu"]}, "no column named 'statsu'", "did you mean `status`"),
        ({"where": ["params.nam=3"]}, "no column named 'params.nam'", "did you mean `params.name`"),
        ({"sort": "loss:down"}, "no column named 'loss:down'", "did you mean `loss`"),
        ({"where": ["loss=small"]}, "metrics.loss is a number; found 'small'", ""),
        ({"where": ["took<soon"]}, "took is a number; found 'soon'", ""),
        ({"where": ["started>yesterday"]}, "found 'yesterday', expected a date such as 2026-11-01", ""),
        ({"where": ["started>2026-13-01"]}, "found '2026-13-01', expected a date", ""),
        ({"where": ["tag<x"]}, "a tag is there or not: expected =, !=, ~ or !~", ""),
    ],
)
def test_refusals(request_: dict[str, Any], message: str, hint: str, catalogue: Catalogue) -> None:
    with pytest.raises(UsageError) as caught:
        catalogue.select(Request(**request_))
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_a_name_of_both_kinds_has_to_be_written_out(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    put(study, record(0, params={"x": 1, "points": 2}, metrics={"x": 3.0}))
    catalogue = Catalogue(study)
    catalogue.refresh()
    with pytest.raises(UsageError, match="'x' is a metric and a parameter"):
        catalogue.select(Request(sort="x"))
    assert catalogue.select(Request(columns=["params.x", "metrics.x", "params.points", "points"])).rows == [
        [1, 3.0, 2, 0]
    ]
    catalogue.close()


def test_more_runs_than_a_query_has_places(tmp_path: Path) -> None:
    study = new_study(tmp_path)
    place = put(study, record(0, metrics={"loss": 0.0}))
    text = (place / "run.yaml").read_text()
    for number in range(1, 1200):
        other = study / "runs" / run_id(number)
        other.mkdir()
        (other / "run.yaml").write_text(text.replace(run_id(0), run_id(number)).replace("loss: 0.0", f"loss: {number}"))
    catalogue = Catalogue(study)
    told: list[tuple[int, int]] = []
    catalogue.refresh(lambda done, total: told.append((done, total)))
    assert told[-1] == (1200, 1200)
    listing = catalogue.select(Request(sort="loss:desc"))
    assert [row[4] for row in listing.rows] == [float(number) for number in range(1199, -1, -1)]
    assert [name for name, _, _ in catalogue.whole(listing.ids)] == listing.ids
    some = catalogue.select(Request(where=["loss<700"], columns=["loss", "status"]))
    assert some.rows == [[float(number), "completed"] for number in range(700)]
    assert len(catalogue.widened(some).rows) == 700
    catalogue.close()
