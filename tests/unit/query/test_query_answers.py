"""What SQL finds: golden numbers, open and damaged runs, the questions in the documents."""

from __future__ import annotations

import datetime
import fcntl
import itertools
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from entrenar_research.actions.runs import querying
from entrenar_research.core.querying.views import NAMED, VIEWS
from entrenar_research.errors import IntegrityError
from tests.unit.query import runs
from tests.unit.query.conftest import Ask, everything

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "querying.md"


def documented(name: str) -> str:
    """The query of docs/querying.md that begins with this comment."""
    found = re.search(rf"```sql\n-- {name}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_every_view_has_its_columns_in_order(ask: Ask) -> None:
    query = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'main'"
    found = ask(f"{query} ORDER BY table_name, ordinal_position")
    expected = [(view.name, column.name, column.type) for view in VIEWS for column in view.columns]
    assert found == sorted(expected, key=lambda row: row[0])
    assert ask("DESCRIBE tags") == ask("SHOW tags")
    assert [row[:2] for row in ask("DESCRIBE tags")] == [("run_id", "VARCHAR"), ("tag", "VARCHAR")]
    assert [row[0] for row in ask("SHOW TABLES")] == sorted(NAMED)


def test_the_documented_views_are_the_views() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ?(`\w+`|) \| ?(`\w+`|) \| ?([^|]*?) ?\| (.*) \|$", text, re.MULTILINE)
    rows = [row for row in rows if row[0] or row[1]]
    told = [(view.strip("`"), column.strip("`"), kind.strip(), meaning) for view, column, kind, meaning in rows]
    expected = []
    for view in VIEWS:
        expected.append((view.name, "", "", view.meaning))
        expected += [("", column.name, column.type, column.meaning) for column in view.columns]
    assert told == expected


def test_quality_against_accuracy(ask: Ask) -> None:
    assert ask(documented("quality")) == [
        ("20260101T000000000Z-imdb-lora", 0.923, "C", 93.4),
        ("20260101T000000000Z-imdb-bert", 0.918, "D", 93.4),
    ]


def test_pareto_of_failures(ask: Ask) -> None:
    assert ask(documented("failures")) == [
        ("OOM_CUDA", "resource", 2, pytest.approx(200 / 3)),
        ("CONFIG_NOT_FOUND", "config", 1, pytest.approx(100 / 3)),
    ]


def test_leaderboard(ask: Ask) -> None:
    found = ask(documented("leaderboard"))
    assert [row[:6] for row in found] == [
        (1, "aprender-gbt-cpu", "traditional_ml", "cpu", 0.891, 0.02),
        (2, "distilbert-qlora", "fine_tuning", "gpu", 0.923, 1.5),
        (3, "bert-base", "deep_learning", "gpu", 0.918, 4.2),
    ]
    assert [row[8] for row in found] == pytest.approx([44.55, 0.923 / 1.5, 0.918 / 4.2])
    assert [row[9] for row in found] == [True, True, False]


def test_nested_parameters_in_three_ways(ask: Ask) -> None:
    blocks = re.findall(r"```sql\n(SELECT run_id FROM runs.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    statements = [text for text in blocks[0].split(";") if text.strip()]
    answers = [sorted(ask(text)) for text in statements]
    assert len(answers) == 3
    assert answers[0] == [("20260101T000000000Z-imdb-gbt0",), ("20260101T000000000Z-imdb-lora",)]
    assert answers[1] == answers[2] == answers[0]


def test_parameters_have_text_and_numbers(ask: Ask) -> None:
    found = ask("SELECT name, value, number FROM params WHERE run_id LIKE '%-gbt0' ORDER BY name")
    assert found == [
        ("device", "cpu", None),
        ("lora_config.on", "true", None),
        ("lora_config.rank", "16", 16.0),
        ("model", "aprender-gbt-cpu", None),
        ("paradigm", "traditional_ml", None),
    ]


def test_points(ask: Ask) -> None:
    found = ask("SELECT step, value, time, span_id, process FROM metrics WHERE run_id LIKE '%-bert' AND name = 'loss'")
    assert [row[0] for row in found] == [0, 1, 2]
    assert found[0][1:] == (2.0, datetime.datetime(2026, 1, 1), None, "1-abcd")  # noqa: DTZ001 - UTC, without saying so
    assert math.isnan(found[1][1])
    assert ask("SELECT count(*), sum(value) FROM metrics WHERE NOT isnan(value)") == [(12, pytest.approx(10.982))]


def test_summaries_leave_nan_out_of_the_extremes(ask: Ask) -> None:
    found = ask(
        "SELECT name, value, declared, last, last_step, min, max, points FROM summaries WHERE run_id LIKE '%gbt0'"
    )
    assert found == [
        ("accuracy", 0.891, None, 0.891, 1, 0.5, 0.891, 2),
        ("cost_usd", 0.02, 0.02, None, None, None, None, 0),
        ("energy_kwh", 0.001, 0.001, None, None, None, None, 0),
        ("latency_p50_ms", 0.3, 0.3, None, None, None, None, 0),
        ("loss", 0.25, None, 0.25, 2, 0.25, 2.0, 3),
    ]


def test_what_else_is_recorded(ask: Ask) -> None:
    assert ask("SELECT DISTINCT parent, relationship, role, lamport, parent_lamport FROM lineage") == [
        ("imdb-run", "fine_tuned_from", "base", 1, None)
    ]
    assert ask("SELECT DISTINCT sweep, number, retry_of FROM trials") == [("wide", 3, 2)]
    assert ask("SELECT position, warning FROM warnings WHERE run_id LIKE '%gbt0'") == [(1, "two\nlines"), (2, "ÿ 損失")]
    assert ask("SELECT * FROM failures ORDER BY ALL") == ask("SELECT * FROM failure_context ORDER BY ALL")
    empty = ("artifacts", "files", "packages", "tags", "plans", "etas", "hardware", "spans")
    assert ask(" UNION ALL ".join(f"FROM {name} SELECT run_id" for name in empty)) == []


def test_values_that_python_has_no_type_for(ask: Ask) -> None:
    first = "SELECT '2026-01-02 03:04:05+00'::TIMESTAMPTZ AS t, 'a' AS t, 2 AS n"
    found = ask(f"{first} UNION ALL SELECT NULL, 'b', 1 ORDER BY n; -- x")
    assert found == [(None, "b", 1), ("2026-01-02 03:04:05+00", "a", 2)]


def test_an_empty_study(tmp_path: Path, ask: Ask) -> None:
    assert ask("SELECT count(*) FROM runs, metrics", root=tmp_path) == [(0,)]
    assert ask("SELECT * FROM summaries", root=tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small(tmp_path: Path, asked_study: Path) -> Path:
    """A study of two runs with curves, to be damaged."""
    for name in ("good", "ugly"):
        runs.add_run(tmp_path, name, {"loss": [float(value) for value in range(20_000)]})
    return tmp_path


def parquet(root: Path, name: str) -> Path:
    return root / "runs" / f"20260101T000000000Z-imdb-{name}" / "metrics.parquet"


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def without_content(path: Path) -> None:
    path.write_bytes(b"")


def footer_of_noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[-8:-4], "little")
    data[-8 - size : -8] = bytes(255 - byte for byte in data[-8 - size : -8])
    path.write_bytes(data)


def another_schema(path: Path) -> None:
    import pyarrow
    from pyarrow import parquet as writer

    writer.write_table(pyarrow.table({"x": [1]}), path)


def first_page_of_noise(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(255 - byte for byte in data[4:400])
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage", [cut_short, without_content, footer_of_noise, another_schema, first_page_of_noise, Path.chmod]
)
@pytest.mark.parametrize("name", ["good", "ugly"])
def test_a_damaged_file_among_good_ones(small: Path, damage: Any, name: str) -> None:
    if damage is Path.chmod:
        parquet(small, name).unlink()
        parquet(small, name).mkdir()
    else:
        damage(parquet(small, name))
    answer, unread = querying.ask(small, "SELECT run_id, count(*), max(value) FROM metrics GROUP BY run_id")
    other = "ugly" if name == "good" else "good"
    assert everything(answer) == [(f"20260101T000000000Z-imdb-{other}", 20_000, 19_999.0)]
    shown = parquet(small, name).relative_to(small)
    assert unread == (f"{shown}: damaged, its points or spans are not in the answer",)


def test_damage_in_the_middle_of_an_answer(small: Path) -> None:
    runs.add_run(small, "long", {"loss": [0.5] * 100_000})
    first_page_of_noise(parquet(small, "ugly"))
    answer, _ = querying.ask(small, "SELECT * FROM metrics")
    rows: list[tuple[Any, ...]] = []
    with pytest.raises(IntegrityError) as caught:
        rows.extend(itertools.chain.from_iterable(answer.batches))
    assert "imdb-ugly/metrics.parquet: damaged; the answer is cut off" in caught.value.message
    assert "git checkout -- runs/" in (caught.value.hint or "")
    assert {row[0] for row in rows} <= {f"20260101T000000000Z-imdb-{name}" for name in ("good", "long")}
    assert rows


def test_a_damaged_record_is_named_and_the_others_answer(small: Path) -> None:
    (parquet(small, "ugly").parent / "run.yaml").write_text("status: [")
    answer, unread = querying.ask(small, "SELECT run_id FROM runs")
    assert everything(answer) == [("20260101T000000000Z-imdb-good",)]
    assert len(unread) == 1
    assert unread[0].startswith("runs/20260101T000000000Z-imdb-ugly: not in the answer: ")


def test_an_open_run_answers_with_what_it_has_logged(tmp_path: Path, ask: Ask) -> None:
    from entrenar_research.client.run import start_run

    (tmp_path / "study.yaml").write_text(runs.STUDY)
    runs.add_run(tmp_path, "old0", {"loss": [3.0, 2.0]})
    with start_run("live", study=tmp_path, params={"rate": 0.5}) as run, run.span("epoch", index=1):
        run.log_metric("loss", 1.5, step=10)
        run.log_metric("loss", math.inf, step=11)
        found = ask("SELECT step, value, span_id IS NULL FROM metrics ORDER BY step", root=tmp_path)
        assert found == [(0, 3.0, True), (1, 2.0, True), (10, 1.5, False), (11, math.inf, False)]
        assert ask("SELECT experiment, status, points FROM runs ORDER BY experiment", root=tmp_path) == [
            ("imdb", "completed", 0),
            ("live", "running", 2),
        ]
        names = ask("SELECT name, ended IS NULL, attributes->>'index' FROM spans", root=tmp_path)
        assert ("epoch", True, "1") in names
        assert ask("SELECT number FROM params WHERE name = 'rate'", root=tmp_path) == [(0.5,)]


def test_a_lost_run_is_lost(tmp_path: Path, ask: Ask) -> None:
    from entrenar_research.client.run import start_run

    (tmp_path / "study.yaml").write_text(runs.STUDY)
    run = start_run("cut", study=tmp_path)
    run.log_metric("loss", 1.0, step=1)
    (log,) = tmp_path.glob("runs/*/events/*.events")
    copy = tmp_path / "copy" / log.relative_to(tmp_path).parent.parent
    shutil.copytree(log.parent.parent, copy)  # as a crash leaves it: nobody holds the lock
    run.finish()
    with (copy / "events" / log.name).open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert ask("SELECT status FROM runs", root=tmp_path / "copy") == [("lost",)]
    assert ask("SELECT value FROM metrics", root=tmp_path / "copy") == [(1.0,)]


def test_the_same_digits_every_time(small: Path, ask: Ask) -> None:
    sums = {repr(ask("SELECT avg(value / 3.0), stddev(value) FROM metrics", root=small)) for _ in range(3)}
    assert len(sums) == 1


def test_settings_that_answers_depend_on(ask: Ask) -> None:
    """DuckDB would write its progress bar among the rows, and take times for those of the machine's zone."""
    names = ("enable_progress_bar", "TimeZone", "threads", "enable_external_access", "lock_configuration")
    words = [f"current_setting('{name}')" for name in names]
    found = ask(f"SELECT {', '.join(words)}")
    assert found == [(False, "UTC", 1, False, True)]
