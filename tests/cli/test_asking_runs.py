"""`runs query`, `runs compare` and `runs plot` as a person calls them."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import World
from tests.unit.query import runs


@pytest.fixture(scope="module")
def _tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("duckdb")
    pytest.importorskip("pyarrow")
    root = tmp_path_factory.mktemp("tracked")
    (root / "study.yaml").write_text(runs.STUDY)
    spread = [2 / (1 + step / 4) for step in range(40)]
    runs.add_run(root, "aaaa", {"loss": spread, "gap": [1.0, math.nan, 3.0]}, params={"rate": 0.1, "same": "x"})
    runs.add_run(root, "bbbb", {"loss": [y / 2 for y in spread]}, params={"rate": 0.2, "same": "x"}, duration=3.0)
    runs.add_run(root, "cccc", {"精度": [0.5], "void": [math.nan]}, params={"rate": 0.3}, warnings=("a\nb", 'c,"d"'))
    return root


@pytest.fixture
def tracked(_tracked: Path, tmp_path: Path) -> Path:
    """A fresh copy of a study with three runs."""
    shutil.copytree(_tracked, tmp_path / "study")
    return tmp_path / "study"


def test_a_table_has_numbers_to_the_right_and_cells_on_one_line(tracked: Path, world: World) -> None:
    sql = "SELECT name, min, max, points AS n, NULL AS none FROM summaries ORDER BY ALL"
    assert world.tool("runs", "query", sql, cwd=tracked).stdout.splitlines() == [
        "name        min   max   n  none",
        "gap           1     3   3  NULL",
        "loss  0.0930233     1  40  NULL",
        "loss   0.186047     2  40  NULL",
        "void       NULL  NULL   1  NULL",
        "精度        0.5   0.5   1  NULL",
    ]
    boxed = world.tool("runs", "query", "SELECT warning FROM warnings", "--format", "table", cwd=tracked).stdout
    assert boxed.splitlines() == [
        "┌─────────┐",
        "│ warning │",
        "├─────────┤",
        "│ a\\nb    │",
        '│ c,"d"   │',
        "└─────────┘",
    ]


def test_json_keeps_types_and_csv_every_digit(tracked: Path, world: World) -> None:
    sql = """SELECT position, warning, NULL AS none, '' AS empty, 0.1 + 0.2::DOUBLE AS sum, 'NaN'::DOUBLE AS nan,
        TIMESTAMP '2026-01-02 03:04:05' AS at, true AS yes, [1, 2] AS list, {'a': 1} AS a, 2 AS a, 12.50 AS price,
        params->'rate' AS rate FROM warnings JOIN runs USING (run_id) ORDER BY 1"""
    rows = json.loads(world.tool("runs", "query", sql, "--format", "json", cwd=tracked).stdout)
    assert len(rows) == 2
    assert rows[0] == {
        "position": 1,
        "warning": "a\nb",
        "none": None,
        "empty": "",
        "sum": 0.30000000000000004,
        "nan": "NaN",
        "at": "2026-01-02T03:04:05",
        "yes": True,
        "list": [1, 2],
        "a": {"a": 1},
        "a_2": 2,
        "price": 12.5,
        "rate": 0.3,
    }
    text = world.tool("runs", "query", sql, "--format", "csv", cwd=tracked).stdout
    table = list(csv.reader(io.StringIO(text, newline="")))
    assert table[1] == [
        *("1", "a\nb", "", "", "0.30000000000000004", "NaN", "2026-01-02 03:04:05", "true"),
        *("[1, 2]", '{"a": 1}', "2", "12.50", "0.3"),
    ]
    assert table[2][1] == 'c,"d"'
    assert '1,"a\nb",,"",0.3' in text
    assert world.tool("runs", "query", "FROM tags", "--format", "json", cwd=tracked).stdout == "[]\n"
    assert world.tool("runs", "query", "FROM tags", cwd=tracked).stdout == "run_id  tag\nno rows\n"


def test_lines_of_csv_end_as_they_should(tracked: Path, world: World) -> None:
    done = subprocess.run(
        ["entrenar-research", "runs", "query", "SELECT 1 AS a, 'x' AS b", "--format", "csv"],
        cwd=tracked, env=world.environment, capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout == b"a,b\r\n1,x\r\n"


def test_rows_are_limited_and_it_is_said(tracked: Path, world: World) -> None:
    done = world.tool("runs", "query", "SELECT range AS n FROM range(2000)", cwd=tracked)
    assert len(done.stdout.splitlines()) == 1001
    assert "only the first 1000 rows are shown: `--limit 0` shows all" in done.stderr
    done = world.tool("runs", "query", "SELECT range AS n FROM range(2000)", "--limit", "0", cwd=tracked)
    assert (len(done.stdout.splitlines()), done.stderr) == (2001, "")
    done = world.tool("runs", "query", "FROM range(5000)", "--limit", "2", "--format", "csv", cwd=tracked)
    assert done.stdout.split() == ["range", "0", "1"]
    done = world.tool("runs", "query", "FROM range(5000)", "--format", "csv", cwd=tracked)
    assert done.stdout.split() == ["range", *map(str, range(5000))]


def test_the_statement_may_come_from_the_standard_input(tracked: Path, world: World) -> None:
    done = world.run("entrenar-research", "runs", "query", "-", cwd=tracked, text="SELECT count(*) AS n\nFROM runs")
    assert done.stdout == "n\n3\n"


def test_what_is_wrong_has_exit_code_2(tracked: Path, world: World) -> None:
    before = sorted(path for path in tracked.rglob("*") if ".entrenar" not in path.parts)
    for words, said in (
        (("COPY runs TO 'out.csv'",), "the statement is COPY"),
        (
            ("SELECT acuracy FROM runs",),
            "SQL, line 1, column 8: no column named 'acuracy'\n  SELECT acuracy FROM runs\n",
        ),
        ((), "`runs query` needs SQL"),
        (("SELECT 1", "--limit", "-1"), "--limit: found -1"),
    ):
        done = world.tool("runs", "query", *words, cwd=tracked, status=2)
        assert done.stdout == ""
        assert said in done.stderr
    assert sorted(path for path in tracked.rglob("*") if ".entrenar" not in path.parts) == before


def test_a_damaged_file_is_named_and_the_rest_answers(tracked: Path, world: World) -> None:
    (broken,) = tracked.glob("runs/*-aaaa/metrics.parquet")
    broken.write_bytes(broken.read_bytes()[:-9])
    done = world.tool("runs", "query", "SELECT count(*) AS n FROM metrics", cwd=tracked)
    assert done.stdout == " n\n42\n"
    assert (
        done.stderr == f"warning: {broken.relative_to(tracked)}: damaged, its points or spans are not in the answer\n"
    )


def test_the_schema_has_a_line_for_every_column(tracked: Path, world: World) -> None:
    text = world.tool("runs", "query", "--schema", cwd=tracked).stdout
    assert "metrics: one row a logged point" in text
    assert re.search(r"^  step +BIGINT +its step$", text, re.MULTILINE)
    listed = json.loads(world.tool("runs", "query", "--schema", "--format", "json", cwd=tracked).stdout)
    assert listed[0]["name"] == "runs"


def test_a_long_query_ends_when_it_is_told_to(tracked: Path, world: World) -> None:
    sql = "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE hash(a.range + b.range) = 3"
    running = subprocess.Popen(
        ["entrenar-research", "runs", "query", sql],
        cwd=tracked,
        env=world.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    while True:  # until the second thread is there, which carries out the statement
        tasks = Path(f"/proc/{running.pid}/task")
        busy = sum((task / "comm").read_text() != "" for task in tasks.iterdir()) > 1
        if busy or running.poll() is not None:
            break
        time.sleep(0.02)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (130, "error: interrupted\n")


def test_comparing_shows_what_differs(tracked: Path, world: World) -> None:
    text = world.tool("runs", "compare", "aaaa", "bbbb", cwd=tracked).stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["A", "20260101T000000000Z-imdb-aaaa"] in lines
    assert ["rate", "0.1", "0.2"] in lines
    assert ["loss", "0.186047", "0.0930233", "-0.0930233"] in lines
    assert ["loss,", "highest", "2", "1", "-1"] in lines
    assert "same" not in text.split("metric")[0].split()
    assert re.search(r"^  A aaaa  █\S+  2 -> 0\.186$", text, re.MULTILINE)
    assert re.search(r"^  B bbbb  ▄\S+  1 -> 0\.09302$", text, re.MULTILINE)
    full = [
        line.split() for line in world.tool("runs", "compare", "aaaa", "bbbb", "--all", cwd=tracked).stdout.splitlines()
    ]
    assert ["same", "x", "x"] in full
    told = json.loads(world.tool("runs", "compare", "aaaa", "bbbb", "cccc", "--format", "json", cwd=tracked).stdout)
    assert told["runs"] == [f"20260101T000000000Z-imdb-{name}" for name in ("aaaa", "bbbb", "cccc")]
    assert {"name": "rate", "values": [0.1, 0.2, 0.3], "same": False} in told["parameters"]
    assert "named twice" in world.tool("runs", "compare", "aaaa", "aaaa", cwd=tracked, status=2).stderr


def test_comparing_experiments_with_their_code(tiny: Path, world: World) -> None:
    script = tiny / "experiments/line/slope.py"
    script.write_text(script.read_text() + "\n\n# more\n")
    world.run("git", "commit", "-qam", "More", cwd=tiny)
    world.tool("run", "line", "--set", "rate=0.01", "--quiet", cwd=tiny)
    text = world.tool("runs", "compare", "line", cwd=tiny).stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["rate", "0.05", "0.01"] in lines
    assert any(line[:1] == ["experiments/line/slope.py"] and line[1] != line[2] for line in lines if len(line) == 3)
    assert re.search(r"experiments/line/slope.py +\| +\d+ \++$", text, re.MULTILINE)
    assert any(line[0] == "loss" and line[-2:] == ["worse", "minimize"] for line in lines if line)
    assert "results: different" in text
    assert "same recipe" not in text


def test_drawing_into_files(tracked: Path, world: World, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "a.svg"
    done = world.tool("runs", "plot", "--metric", "loss", "--metric", "gap", "--out", out, cwd=tracked)
    assert done.stdout == f"wrote {out}\n"
    assert done.stderr == (
        "note: 20260101T000000000Z-imdb-bbbb has no point of gap\n"
        "note: 1 of 3 points of gap in 1 run are NaN or infinite: gaps\n"
    )
    assert "aaaa, rate=0.1" in out.read_text()
    first = out.read_bytes()
    again = world.tool("runs", "plot", "--metric", "loss", "--metric", "gap", "--out", out, cwd=tracked)
    assert again.stdout == f"replaced {out}\n"
    assert out.read_bytes() == first
    page = tmp_path / "a.html"
    world.tool("runs", "plot", "imdb", "--metric", "loss", "--x", "time", "--smooth", "0.5", "--out", page, cwd=tracked)
    assert "time in seconds" in page.read_text()
    assert "20260101T000000000Z-imdb-cccc" not in page.read_text()


def test_somebody_elses_file_is_not_replaced(tracked: Path, world: World, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "a.png"
    out.write_bytes(b"a photograph")
    done = world.tool("runs", "plot", "--metric", "loss", "--out", out, cwd=tracked, status=2)
    assert "is there, and no plot of this tool" in done.stderr
    assert out.read_bytes() == b"a photograph"
    world.tool("runs", "plot", "--metric", "loss", "--out", out, "--force", cwd=tracked)
    assert out.read_bytes().startswith(b"\x89PNG")


def test_drawing_here(tracked: Path, world: World) -> None:
    text = world.tool("runs", "plot", "bbbb", "aaaa", "--metric", "loss", "--log", cwd=tracked).stdout
    assert text.splitlines()[0] == "loss (logarithmic)"
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["bbbb,", "aaaa,"]


def test_what_cannot_be_drawn(tracked: Path, world: World) -> None:
    for words, said in (
        ((), "which metric is to be drawn? give --metric\nhint: there is: gap, loss, void, 精度"),
        (("--metric", "los"), "no logged metric named 'los'\nhint: did you mean `loss`?"),
        (("cccc", "--metric", "loss"), "none of these runs has a point of loss"),
        (("--metric", "void"), "no value of void is a finite number"),
        (("nobody", "--metric", "loss"), "no run named 'nobody'"),
        (("--metric", "loss", "--out", "a.pdf"), "expected a name that ends in .svg, .png, .html"),
        (("--metric", "loss", "--smooth", "1"), "--smooth: found 1, expected a weight"),
    ):
        assert said in world.tool("runs", "plot", *words, cwd=tracked, status=2).stderr
