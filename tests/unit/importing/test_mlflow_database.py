import sqlite3
from pathlib import Path

import pytest

from entrenar_research.errors import StorageError
from entrenar_research.importers.mlflow import IMPORTER
from entrenar_research.store.foreign.mlflow_database import Database

SCHEMA = """
CREATE TABLE experiments (experiment_id INTEGER, name VARCHAR, lifecycle_stage VARCHAR);
CREATE TABLE runs (run_uuid VARCHAR, name VARCHAR, user_id VARCHAR, status VARCHAR, start_time BIGINT,
    end_time BIGINT, source_version VARCHAR, lifecycle_stage VARCHAR, artifact_uri VARCHAR, experiment_id INTEGER);
CREATE TABLE metrics (key VARCHAR, value FLOAT, timestamp BIGINT, run_uuid VARCHAR, step BIGINT, is_nan BOOLEAN,
    PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE params (key VARCHAR, value VARCHAR, run_uuid VARCHAR);
CREATE TABLE tags (key VARCHAR, value VARCHAR, run_uuid VARCHAR);
INSERT INTO experiments VALUES (1, 'demo', 'active');
INSERT INTO runs VALUES
    ('a', 'one', 'ada', 'FINISHED', 1700000000000, 1700000009000, '', 'active', '/home/ada/1/a/artifacts', 1),
    ('b', 'two', 'ada', 'RUNNING', 1700000001000, NULL, 'c0ffee', 'active', 's3://bucket/1/b/artifacts', 1),
    ('c', 'gone', 'ada', 'FINISHED', 1, 2, '', 'deleted', '', 1);
INSERT INTO metrics VALUES ('loss', 2.5, 1700000000002, 'a', 9, 0), ('loss', 1.5, 1700000000001, 'a', 3, 0),
    ('loss', 0, 1700000000003, 'a', -1, 1), ('big', 1.7976931348623157e308, 1, 'a', 0, 0), ('x', 1, 1, 'b', 0, 0);
INSERT INTO params VALUES ('lr', '0.1', 'a');
INSERT INTO tags VALUES ('mlflow.user', 'ada', 'a'), ('own', 'v', 'a');
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        connection.executescript(SCHEMA)
    connection.close()
    kept = tmp_path / "mlruns" / "1" / "a" / "artifacts" / "sub"
    kept.mkdir(parents=True)
    (kept / "f.txt").write_text("x")
    return tmp_path


def test_runs_points_and_artifacts_beside_it(place: Path) -> None:
    survey = IMPORTER.survey(place)
    assert survey.problems == ()
    assert survey.passed_over == ("mlflow.db: c: a deleted run",)
    assert [(source.origin, source.label) for source in survey.sources] == [("mlflow:a", "one"), ("mlflow:b", "two")]
    first, second = (IMPORTER.read(source, lambda count: None) for source in survey.sources)
    loss = first.curves["loss"]
    assert (list(loss.steps), list(loss.times)) == (
        [9, 3, -1],
        [1_700_000_000_000_000_000 + n * 10**6 for n in (2, 1, 3)],
    )
    assert repr(list(loss.values)) == "[2.5, 1.5, nan]"
    assert (first.params, first.tags, first.status, first.experiment) == (
        {"lr": 0.1},
        ("name=one", "own=v"),
        "completed",
        "demo",
    )
    assert [item.name for item in first.files] == ["sub/f.txt"]
    kinds = {(item.kind, item.count) for item in first.omissions}
    assert kinds == {("personal", 1), ("kept otherwise", 1)}
    assert (second.status, second.git.commit, second.ended) == ("lost", "c0ffee", None)
    assert "artifacts kept elsewhere (s3)" in [item.what for item in second.omissions]


def test_nothing_is_written_beside_it(place: Path) -> None:
    IMPORTER.survey(place)
    assert sorted(path.name for path in place.iterdir()) == ["mlflow.db", "mlruns"]


def test_what_stands_in_a_journal_counts(place: Path) -> None:
    connection = sqlite3.connect(place / "mlflow.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("INSERT INTO params VALUES ('late', '1', 'a')")
    connection.commit()
    with Database(place / "mlflow.db") as database:
        assert ("late", "1") in database.params("a")
    connection.close()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no table experiments"),
        (b"garbage" * 1000, "cannot be read as an SQLite database"),
        (None, "no table metrics"),
    ],
)
def test_what_is_no_database_of_mlflow(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "mlflow.db"
    if content is None:
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE experiments (x)")
        connection.close()
    else:
        path.write_bytes(content)
    with pytest.raises(StorageError, match=words):
        Database(path).__enter__()
    assert len(IMPORTER.survey(path).problems) == 1


def test_a_damaged_page_is_a_problem_of_the_file(place: Path) -> None:
    path = place / "mlflow.db"
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(bytes(data))
    survey = IMPORTER.survey(path)
    assert survey.sources == ()
    assert "mlflow.db: " in survey.problems[0]
