"""Loss and system calls of an epoch, from a real traced run to one table and one SQL view."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from entrenar_research.actions.runs import querying
from entrenar_research.actions.traces import files
from entrenar_research.actions.traces import spans as trace_spans
from entrenar_research.store.querying import traces
from entrenar_research.tools import strace
from entrenar_research.views.terminal import spans
from entrenar_research.views.terminal.screen import Screen
from tests.conftest import World, make_world

LOOP = """\
import os, subprocess, threading
import entrenar_research

def look(times):
    for _ in range(times):
        os.access("nothing", os.R_OK)

with entrenar_research.start_run("loop") as run:
    for epoch in range(3):
        with run.span("epoch", index=epoch, at=os.path.expanduser("~/x")):
            look(epoch + 1)
            with run.span("validate"):
                look(10)
                run.log_metric("accuracy", epoch / 10, epoch)
            run.log_metric("loss", 9.0, epoch)
            run.log_metric("loss", 1 / (epoch + 1), epoch)
            if epoch == 1:
                subprocess.run(["python", "child.py"], check=True)
            if epoch == 2:
                def work():
                    look(5)
                    with run.span("worker"):
                        look(7)
                thread = threading.Thread(target=work)
                thread.start()
                thread.join()
open("metrics.json", "w").write('{"loss": 0.25}')
"""
CHILD = """\
import os
import entrenar_research

os.access("nothing", os.W_OK)
with entrenar_research.start_run("loop") as run:
    with run.span("inner"):
        os.access("nothing", os.X_OK)
    os.access("nothing", os.X_OK)
os.access("nothing", os.W_OK)
"""


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A study with one traced run, and the run's directory; nobody writes in it."""
    if strace.unavailable() is not None:
        pytest.skip(f"nothing can be traced: {strace.unavailable()}")
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    base = tmp_path_factory.mktemp("spans")
    world: World = make_world(base / "home")
    study = base / "study"
    world.tool("init", study, "--title", "A loop", "--author", "Ada Lovelace", "--license", "MIT", cwd=base)
    (study / "loop.py").write_text(LOOP)
    (study / "child.py").write_text(CHILD)
    world.tool("experiment", "add", "loop", "--yes", "--", "python", "loop.py", cwd=study)
    world.tool("run", "loop", "--trace", "full", "--force", cwd=study)
    (directory,) = [run for run in (study / "runs").iterdir() if "full" in (run / "run.yaml").read_text()]
    return study, directory


def ask(study: Path, sql: str, run: str = "") -> list[tuple[object, ...]]:
    return [row for batch in querying.ask(study, sql.replace("RUN", run))[0].batches for row in batch]


ACCESSES = """
    SELECT s.name, s.attributes->>'index', c.arguments LIKE '%R_OK%', count(*)
    FROM calls c LEFT JOIN spans s USING (run_id, span_id)
    WHERE run_id LIKE '%RUN' AND c.name LIKE '%access%' AND c.arguments LIKE '%nothing%' GROUP BY ALL ORDER BY ALL
"""


def test_calls_lie_in_the_innermost_span_of_their_thread_and_process(traced: tuple[Path, Path]) -> None:
    study, directory = traced
    assert ask(study, ACCESSES, directory.name) == [
        ("epoch", "0", True, 1),
        ("epoch", "1", False, 2),  # of the child, before and after its own run handle
        ("epoch", "1", True, 2),
        ("epoch", "2", True, 3 + 5),  # the thread, before its own span
        ("inner", None, False, 1),
        ("loop", None, False, 1),  # the child's root span
        ("validate", None, True, 30),
        ("worker", None, True, 7),
    ]


def test_loss_and_calls_of_an_epoch_are_one_row(traced: tuple[Path, Path]) -> None:
    study, directory = traced
    sql = """
        SELECT index, metrics['loss'], metrics['accuracy'], calls > own_calls, errors > 10, seconds > 0,
            length(span_id)
        FROM span_calls WHERE name = 'epoch' AND run_id LIKE '%RUN' ORDER BY index
    """
    loss = [pytest.approx(1 / (epoch + 1)) for epoch in range(3)]
    assert ask(study, sql, directory.name) == [
        (epoch, loss[epoch], pytest.approx(epoch / 10), True, True, True, 16) for epoch in range(3)
    ]
    total = """
        SELECT sum(own_calls), (SELECT count(*) FROM calls WHERE run_id LIKE '%RUN')
        FROM span_calls WHERE run_id LIKE '%RUN'
    """
    document = files.load(directory, directory.name)
    assert ask(study, total, directory.name) == [(document.recorded, document.recorded)]
    assert ask(study, "SELECT calls FROM span_calls WHERE span_id IS NULL")[0][0] > 0  # type: ignore[operator]


def test_the_table_of_the_terminal(traced: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    _, directory = traced
    document = files.load(directory, directory.name)
    rows = trace_spans.table(document, directory)
    spans.show(Screen(), rows)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "span",
        "accuracy",
        "loss",
        *["calls", "own", "errors", "seconds", "read", "written", "most", "frequent"],
    ]
    epochs = [line.split() for line in lines if line.startswith("epoch ")]
    assert [words[1:4] for words in epochs] == [["0", "0", "1"], ["1", "0.1", "0.5"], ["2", "0.2", "0.333333"]]
    assert lines[-1].startswith("(outside of all spans)")
    plain = spans.plain(rows)
    assert [row["metrics"]["accuracy"] for row in plain if row["name"] == "epoch"] == [0.0, 0.1, 0.2]
    assert plain[-1]["name"] is None
    summed = spans.plain(trace_spans.table(document, directory, by_name=True))
    assert {row["name"]: row["spans"] for row in summed} == {
        "epoch": 3, "inner": 1, "loop": 2, "validate": 3, "worker": 1, None: 0,
    }  # fmt: skip
    spans.show(Screen(), trace_spans.table(document, directory, by_name=True))
    assert "epoch (3x)" in capsys.readouterr().out


def test_homes_do_not_appear(traced: tuple[Path, Path]) -> None:
    study, directory = traced
    document = files.load(directory, directory.name)
    (epoch, *_) = [span for span in document.spans if span.name == "epoch"]
    assert str(study.parent) not in epoch.attributes
    assert epoch.attributes.endswith('/x","index":0}')


def test_without_points_the_calls_are_there_and_what_is_damaged_is_named(
    traced: tuple[Path, Path], tmp_path: Path
) -> None:
    study, original = traced
    shutil.copytree(original, tmp_path / "runs" / original.name)
    shutil.copy(study / "study.yaml", tmp_path / "study.yaml")
    directory = tmp_path / "runs" / original.name
    sql = "SELECT count(*), max(cardinality(metrics)) FROM span_calls"
    (directory / "metrics.parquet").write_bytes(b"nothing of the kind")
    answer, warnings = querying.ask(tmp_path, sql)
    assert [row[1] for batch in answer.batches for row in batch] == [0]
    shown = f"runs/{directory.name}"
    assert f"{shown}/metrics.parquet: damaged, its points or spans are not in the answer" in warnings
    (directory / traces.DOCUMENT).write_bytes(b"nothing of the kind")
    answer, warnings = querying.ask(tmp_path, sql)
    assert [row for batch in answer.batches for row in batch] == [(0, None)]
    assert f"{shown}/trace/calls.trace: damaged, its calls are not in the answer" in warnings
    (directory / traces.DOCUMENT).unlink()
    assert ask(tmp_path, sql) == [(0, None)]


def test_the_documented_question_about_epochs(traced: tuple[Path, Path]) -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "source.md").read_text(encoding="utf-8")
    found = re.search(r"```sql\n-- epochs\n(.*?)```", text, re.DOTALL)
    assert found is not None
    study, directory = traced
    rows = ask(study, found[1].replace("WHERE", "WHERE run_id LIKE '%RUN' AND"), directory.name)
    assert [row[:2] for row in rows] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert [row[3:] for row in rows] == [(0, 0), (rows[1][3], rows[1][4]), (0, 0)]
    assert 0 < int(str(rows[1][4])) < int(str(rows[1][3]))  # the child's, among them its own script


def test_sql_looks_where_runs_keep_their_traces() -> None:
    assert traces.DOCUMENT == files.DOCUMENT
