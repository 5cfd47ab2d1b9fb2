"""SQL that does more than read the views is refused, whatever it is wrapped in, and nothing on the disk changes."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.errors import UsageError
from entrenar_research.store.querying import engine, guard
from tests.unit.query.conftest import Ask

duckdb = pytest.importorskip("duckdb")
CONNECTION = duckdb.connect(":memory:", config=engine._SETTINGS)
METRICS = "runs/20260101T000000000Z-imdb-gbt0/metrics.parquet"

STATEMENTS = (
    "COPY runs TO 'out.csv'",
    "COPY (SELECT 1) TO 'out.parquet' (FORMAT parquet)",
    "COPY runs FROM 'f.csv'",
    "EXPORT DATABASE 'out'",
    "IMPORT DATABASE 'out'",
    "ATTACH 'out.duckdb'",
    "ATTACH ':memory:' AS other",
    "DETACH memory",
    "USE memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL spatial",
    "SET threads = 2",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA version",
    "PRAGMA database_list",
    "CALL pragma_version()",
    "CALL enable_profiling(save_location = 'out.json')",
    "CREATE TABLE t (x INTEGER)",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "CREATE MACRO m(x) AS x",
    "CREATE SECRET s (TYPE s3)",
    "INSERT INTO runs (run_id) VALUES ('x')",
    "UPDATE runs SET status = 'completed'",
    "DELETE FROM runs",
    "TRUNCATE runs",
    "DROP TABLE runs",
    "ALTER TABLE runs ADD COLUMN x INTEGER",
    "MERGE INTO runs USING params ON runs.run_id = params.run_id WHEN MATCHED THEN DELETE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "COMMENT ON TABLE runs IS 'x'",
    "EXPLAIN COPY runs TO 'out.csv'",
    "EXPLAIN ANALYZE COPY runs TO 'out.csv'",
    "EXPLAIN (FORMAT json, ANALYZE) COPY runs TO 'out.csv'",
    "EXPLAIN ANALYZE INSERT INTO runs (run_id) VALUES ('x')",
    "/* SELECT */ EXPLAIN /* 1 */ ANALYZE -- SELECT\n DELETE FROM runs",
    "EXPLAIN PRAGMA version",
    "PIVOT runs ON status USING count(*)",
)
INSIDE = (
    "WITH x AS (INSERT INTO runs (run_id) VALUES ('x') RETURNING run_id) SELECT * FROM x",
    "WITH x AS (DELETE FROM runs RETURNING run_id) SELECT * FROM x",
    "WITH x AS (UPDATE runs SET status = 'lost' RETURNING run_id) SELECT * FROM x",
    "WITH x AS (COPY runs TO 'out.csv') SELECT 1",
    "WITH x AS (COPY metrics TO 'METRICS' (FORMAT parquet, USE_TMP_FILE false)) SELECT 1".replace("METRICS", METRICS),
    "EXPLAIN ANALYZE WITH x AS (DELETE FROM runs RETURNING 1) SELECT * FROM x",
    "SELECT (WITH x AS (DELETE FROM runs RETURNING 1) SELECT count(*) FROM x)",
    "SELECT 1 UNION ALL (WITH x AS (COPY runs TO 'out.csv') SELECT 1)",
    "DESCRIBE (WITH x AS (COPY runs TO 'out.csv') SELECT 1)",
)
READING = (
    "SELECT * FROM read_csv('/etc/passwd', header = false)",
    "SELECT * FROM read_csv_auto('f.csv')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('f.csv')",
    "SELECT * FROM read_json('f.csv')",
    "SELECT * FROM read_parquet('f.parquet')",
    "SELECT * FROM parquet_scan('f.parquet')",
    "SELECT * FROM parquet_metadata('f.parquet')",
    "SELECT * FROM sniff_csv('f.csv')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM 'f.csv'",
    "FROM 'f.parquet'",
    f"FROM '{METRICS}'",
    'FROM "/etc/passwd"',
    "SELECT * FROM 'https://example.org/f.parquet'",
    "DESCRIBE SELECT * FROM 'f.csv'",
    "SUMMARIZE 'f.csv'",
    "SELECT (SELECT content FROM read_text('/etc/passwd'))",
    "SELECT 1 WHERE EXISTS (FROM read_text('/etc/passwd'))",
    "FROM runs, LATERAL (SELECT * FROM read_text(runs.run_id))",
    "WITH x AS MATERIALIZED (FROM glob('*')) SELECT * FROM x",
    "SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')",
    "SELECT * FROM query_table('f.csv')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pandas_scan(1)",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM enable_profiling(save_location = 'out.json')",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = 'out')",
    "SELECT * FROM held.metrics",
    "SELECT * FROM other.main.runs",
)
WRONG = (
    "",
    "   ",
    ";",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE runs",
    "SELECT 1;; COPY runs TO 'out.csv'",
    "SELECT",
    "SELECT * FROM",
    "SELEC 1",
    "EXPLAIN",
    "SELECT 'open",
    "SELECT \udcff",
    "(" * 5000,
)


def tree(root: Path) -> dict[str, tuple[int, int]]:
    """Every file below with its size and its time."""
    found = {}
    for path in root.rglob("*"):
        if path.is_file() and ".entrenar" not in path.parts:
            found[str(path.relative_to(root))] = (path.stat().st_size, path.stat().st_mtime_ns)
    return found


@pytest.fixture
def here(asked_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files that SQL could read, and a study in it."""
    shutil.copytree(asked_study / "runs", tmp_path / "runs", copy_function=shutil.copy2)
    (tmp_path / "f.csv").write_text("a,b\n1,2\n")
    shutil.copyfile(tmp_path / METRICS, tmp_path / "f.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_refused_leaves_no_trace(here: Path, ask: Ask) -> None:
    before = tree(here)
    for sql in (*STATEMENTS[::5], *INSIDE, *READING[::5]):
        with pytest.raises(UsageError):
            pytest.fail(f"{sql!r} gave {ask(sql, root=here)}")
    assert tree(here) == before
    assert ask("SELECT count(*) FROM runs", root=here) == [(6,)]


@pytest.mark.parametrize("sql", [*STATEMENTS, *INSIDE, *READING, *WRONG])
def test_the_guard_refuses(sql: str) -> None:
    with pytest.raises(UsageError) as caught:
        guard.check(CONNECTION, sql)
    assert caught.value.exit_code == 2
    assert "exception_type" not in caught.value.message


@pytest.mark.parametrize("sql", [*INSIDE, *READING[::2], *STATEMENTS[::3]])
def test_the_locks_hold_without_the_guard(sql: str, here: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the guard lets through, the connection neither writes nor reads another file."""
    if "arrow_scan" in sql or "pandas_scan" in sql or "USE_TMP_FILE" in sql:
        pytest.skip("an address of memory, or a COPY onto a Parquet file that may be read: there the guard is alone")
    before = tree(here)
    loose = guard.Statement(text=sql, views=frozenset({"runs", "params", "metrics"}), explains=True)
    monkeypatch.setattr(guard, "check", lambda connection, text: loose)
    try:
        found = ask("", root=here)
    except (UsageError, TypeError):
        found = []
    assert tree(here) == before
    assert "root:" not in repr(found)


def test_what_only_reads_is_carried_out(here: Path, ask: Ask) -> None:
    for sql in (
        "select 1",
        "SELECT 'COPY x TO y; DROP TABLE runs' AS text",
        '-- COPY\nSELECT /* INSERT */ 1 AS "delete"',
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 5) SELECT max(n) FROM t",
        "WITH x AS MATERIALIZED (SELECT 1) SELECT * FROM x",
        "(SELECT 1) UNION (SELECT 2) EXCEPT (SELECT 2)",
        "VALUES (1), (2)",
        "FROM runs SELECT run_id",
        "TABLE runs",
        "DESCRIBE runs",
        "SUMMARIZE summaries",
        "SHOW TABLES",
        "EXPLAIN SELECT * FROM metrics",
        "EXPLAIN ANALYZE SELECT * FROM metrics",
        "EXPLAIN (FORMAT json) SELECT * FROM metrics",
        "SELECT * FROM range(3), unnest([1, 2])",
        "SELECT j.key FROM runs, json_each(params) j",
        "FROM (PIVOT summaries ON name IN ('loss', 'accuracy') USING max(value) GROUP BY run_id)",
        "SELECT * FROM main.runs",
        "SELECT table_name FROM information_schema.tables",
        "WITH runs AS (SELECT 1 AS x) SELECT x FROM runs",
        "SELECT 1;;  ; -- over",
    ):
        assert ask(sql, root=here), sql


@pytest.mark.parametrize(
    ("sql", "message", "hint"),
    [
        ("SELECT accurcy FROM rns", "line 1, column 21: no view named 'rns'", "did you mean `runs`?"),
        ("SELECT\n  durration\nFROM runs", "line 2, column 3: no column named 'durration'", "did you mean `duration`?"),
        ("SELECT 'é', statsu FROM runs", "line 1, column 13: no column named 'statsu'", "did you mean `status`"),
        ("SELECT * FRM runs", "line 1, column 14: syntax error", None),
        ("SELECT getenv('HOME')", "Scalar Function with name getenv does not exist", None),
        ("SELECT $1", "Values were not provided", None),
        ("SELECT lenght('x')", "column 8: Scalar Function with name lenght does not exist", "did you mean `length`?"),
        ("SELECT 'a'::INTEGER", "line 1, column 11: Could not convert string 'a'", None),
        ("SELECT 1; SELECT 2", "found 2 statements, expected one", "run them one by one"),
        ("PRAGMA version", "the statement is PRAGMA, expected one SELECT", "SQL changes nothing there"),
        ("COPY runs TO 'x'", "the statement is COPY", "`--format csv` writes what a SELECT finds"),
        ("SELECT * FROM read_csv('x')", "column 15: the function read_csv is not for queries", "--schema"),
    ],
)
def test_mistakes_are_named_with_their_place(sql: str, message: str, hint: str | None, here: Path, ask: Ask) -> None:
    with pytest.raises(UsageError) as caught:
        ask(sql, root=here)
    assert message in caught.value.message
    assert (hint in (caught.value.hint or "")) if hint else True
    if "line" in caught.value.message:
        line, mark = caught.value.message.split("\n")[1:]
        assert mark.strip() == "^"
        assert line.strip() in [part.strip() for part in sql.split("\n")]


@given(st.text(max_size=60))
def test_a_place_is_found_in_any_text(text: str) -> None:
    sql = text.encode(errors="replace").decode()
    for position in (0, len(sql.encode()) // 2, len(sql.encode())):
        lines = guard.placed("x", sql, position).split("\n")
        assert lines[0].startswith("SQL, line ")
        assert lines[-1].strip() == "^"


@given(
    st.lists(
        st.sampled_from(["SELECT", "1", "runs", "FROM", "(", ")", ";", "EXPLAIN", "ANALYZE", "--", "/*", "'", "é"])
    )
)
def test_no_text_is_an_unforeseen_error(words: list[str]) -> None:
    try:
        statement = guard.check(CONNECTION, " ".join(words))
    except UsageError:
        return
    assert statement.views <= {"runs"}


def test_a_long_query_is_interrupted(here: Path, ask: Ask) -> None:
    def press() -> None:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    pressing = threading.Thread(target=press)
    began = time.monotonic()
    pressing.start()
    with pytest.raises(KeyboardInterrupt):
        ask("SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 3", root=here)
    pressing.join()
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("error", [RuntimeError("Query interrupted"), duckdb.InterruptException("Interrupted!")])
def test_what_duckdb_says_when_it_is_interrupted_is_an_interruption(error: Exception) -> None:
    with pytest.raises(KeyboardInterrupt), engine._interruptions():
        raise error


def test_another_error_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="something else"), engine._interruptions():
        raise RuntimeError("something else")
