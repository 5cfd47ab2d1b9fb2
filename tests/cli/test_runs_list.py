"""`runs list` and `runs show`: the same runs as a box, as plain text, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path

import pytest

from entrenar_research.models.tracking import Deviation, Eta, Failure, Lineage, Parent, Rating, Series, Telemetry
from entrenar_research.views.terminal.widths import width
from tests.cli.conftest import Door, Terminal
from tests.conftest import World
from tests.runs_on_disk import new_study, put, record, run_id

WIDE = "日本語の実験の長い長い名前、とても長くて入りきらないもの"
FAMILY = "👩‍👩‍👧‍👦"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    place = new_study(tmp_path / "study")
    put(place, record(0, metrics={"loss": 0.25, "f1": math.nan}, params={"name": WIDE, "rate": 0.1}))
    put(place, record(1, status="failed", duration=154.0, params={"name": FAMILY}, exit_status=1, tags=("a", "b,c")))
    put(place, record(2, "other", metrics={"loss": math.inf}, params={"name": 'a "quoted",\nline'}))
    return place


def test_plain_text(study: Path, door: Door) -> None:
    said = door("runs", "list", cwd=study)
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines() == [
        "run                             experiment  status           took      loss   f1",
        "20260101T000000000Z-line-aaaa   line        completed      1.50 s      0.25  NaN",
        "20260101T000000001Z-line-aaaa   line        failed     2 min 34 s",
        "20260101T000000002Z-other-aaaa  other       completed      1.50 s  Infinity",
    ]


def test_the_table_of_the_specification(study: Path, door: Door) -> None:
    said = door("runs", "list", "line", "--format", "table", "--columns", "run,status,loss,f1,took", cwd=study)
    assert said.out.splitlines() == [
        "┌───────────────────────────────┬────────┬──────┬─────┬────────────┐",
        "│ run                           │ status │ loss │  f1 │       took │",
        "├───────────────────────────────┼────────┼──────┼─────┼────────────┤",
        "│ 20260101T000000000Z-line-aaaa │ ✓ OK   │ 0.25 │ NaN │     1.50 s │",
        "│ 20260101T000000001Z-line-aaaa │ ✗ FAIL │      │     │ 2 min 34 s │",
        "└───────────────────────────────┴────────┴──────┴─────┴────────────┘",
    ]


def test_json_is_one_document_with_the_same_keys_for_every_run(study: Path, door: Door) -> None:
    runs = json.loads(door("runs", "list", "--format", "json", cwd=study).out)
    assert [run["id"] for run in runs] == [run_id(0), run_id(1), run_id(2, "other")]
    assert len({tuple(run) for run in runs}) == 1
    assert runs[0]["metrics"] == {"loss": 0.25, "f1": "NaN"}
    assert runs[2]["metrics"] == {"loss": "Infinity"}
    assert runs[0]["params"] == {"name": WIDE, "rate": 0.1}
    assert (runs[1]["status"], runs[1]["tags"], runs[1]["exit_status"]) == ("failed", ["a", "b,c"], 1)
    chosen = door("runs", "list", "--format", "json", "--columns", "run,tag,f1,rate", cwd=study)
    assert json.loads(chosen.out)[:2] == [
        {"run": run_id(0), "tag": [], "metrics.f1": "NaN", "params.rate": 0.1},
        {"run": run_id(1), "tag": ["a", "b,c"], "metrics.f1": None, "params.rate": None},
    ]
    assert json.loads(door("runs", "list", "--status", "lost", "--format", "json", cwd=study).out) == []


def test_csv_is_that_of_the_rfc(study: Path, world: World) -> None:
    said = world.run("sh", "-c", "entrenar-research runs list --format csv > out.csv", cwd=study)
    assert said.stderr == ""
    text = (study / "out.csv").read_bytes().decode()
    assert text.count("\r\n") == 4
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == [
        "run", "experiment", "status", "started", "took", "params.name", "params.rate", "metrics.f1", "metrics.loss",
    ]  # fmt: skip
    assert [row["params.name"] for row in rows] == [WIDE, FAMILY, 'a "quoted",\nline']
    assert [row["metrics.f1"] for row in rows] == ["NaN", "", ""]
    assert [row["params.rate"] for row in rows] == ["0.1", "", ""]
    assert rows[1]["took"] == "154.0"


@pytest.mark.parametrize("columns", [50, 80, 130])
def test_every_line_of_a_box_is_equally_wide(columns: int, study: Path, terminal: Terminal) -> None:
    words = ["runs", "list", "--columns", "run,status,params.name,loss"]
    said = terminal("entrenar-research", *words, cwd=study, env={"NO_COLOR": "1"}, columns=columns)
    assert said.status == 0
    lines = [line for line in said.out.splitlines() if line and line[0] in "┌├│└"]
    assert len({width(line) for line in lines}) == 1
    assert width(lines[0]) <= columns
    assert run_id(0) in said.out
    assert ("…" in said.out) == (columns == 80)
    assert ("no room for name, loss" in said.out) == (columns == 50)


def test_a_terminal_gets_colours_and_marks(study: Path, terminal: Terminal) -> None:
    said = terminal("entrenar-research", "runs", "list", "--limit", "2", cwd=study)
    assert "\x1b[1;31m✗ FAIL\x1b[0m" in said.out
    assert "2 of 3 runs" in said.out
    said = terminal("entrenar-research", "runs", "list", cwd=study, env={"LC_ALL": "C", "PYTHONUTF8": "0",
                    "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0", "NO_COLOR": "1"})  # fmt: skip
    assert "+--" in said.out
    assert "| FAIL   |" in said.out
    assert said.out.isascii()


def test_what_a_person_should_know_goes_to_standard_error(study: Path, door: Door) -> None:
    put(study, record(3, status="running"), closed=False)
    put(study, record(4, status="running"), closed=False)
    put(study, record(5), closed=False)
    broken = put(study, record(6))
    (broken / "run.yaml").write_text("[")
    newer = put(study, record(7))
    (newer / "run.yaml").write_text((newer / "run.yaml").read_text().replace("schema: 1", "schema: 7"))
    said = door("runs", "list", cwd=study)
    assert [line.split()[2] for line in said.out.splitlines()[4:]] == [
        "lost", "lost", "completed", "damaged", "completed",
    ]  # fmt: skip
    assert "completed (schema 7)" in said.out
    assert said.err.splitlines() == [
        (
            f"warning: runs/{broken.name}/run.yaml, line 2, column 1: did not find expected node content "
            "(the file ends here)"
        ),
        (
            f"warning: runs/{newer.name}/run.yaml: written by a newer version (schema 7, known 1): some of it may not "
            "be shown"
        ),
        "2 runs were cut off: `entrenar-research runs recover`",
        "1 run has ended and is not sealed yet: `entrenar-research runs recover`",
    ]
    assert len(json.loads(door("runs", "list", "--format", "json", cwd=study).out)) == 8


def test_nothing_to_show(study: Path, door: Door, tmp_path: Path) -> None:
    assert door("runs", "list", "--where", "loss<-99", cwd=study).out == ("no run fits\n")
    assert door("runs", "list", cwd=new_study(tmp_path / "new")).out == (
        "no runs yet: `entrenar-research run NAME` makes one\n"
    )


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["lne"], "no experiment named 'lne'", "did you mean `line`?"),
        (["--sort", "los"], "no column named 'los'", "did you mean `lost` or `loss`?"),
        (["--where", "loss"], ("--where 'loss': nothing follows 'loss'; expected NAME OPERATOR VALUE, for example "
         "metrics.loss<0.5, params.rate=0.1, experiment~lora"), ""),
        (["--limit", "0"], "--limit 0: expected a number from 1", ""),
        (["--status", "faild"], ("`runs list`: --status: found 'faild', expected pending, running, completed, failed, "
         "cancelled, lost, recovered or damaged"), "did you mean `failed`?"),
    ],
)  # fmt: skip
def test_mistakes(words: list[str], message: str, hint: str, study: Path, door: Door) -> None:
    said = door("runs", "list", *words, cwd=study)
    assert (said.status, said.out) == (2, "")
    assert said.complaint == (message, hint)


def test_the_list_imports_no_more_than_it_needs(study: Path, world: World) -> None:
    world.tool("runs", "list", cwd=study)
    said = world.run("python", "-X", "importtime", "-m", "entrenar_research", "runs", "list", cwd=study)
    loaded = {line.rpartition("|")[2].strip() for line in said.stderr.splitlines()}
    assert "sqlite3" in loaded
    heavy = {"msgspec", "yaml", "rich", "typing", "pathlib", "subprocess", "json", "csv", "logging", "dataclasses"}
    assert loaded & heavy == set()
    assert "entrenar_research.workspace" not in loaded


def test_a_run_in_full(study: Path, door: Door) -> None:
    put(study, record(
        9, status="failed", duration=67.0, tags=("best", "x"), params={"lora": {"rank": 16}}, metrics={"loss": 0.5},
        series={"loss": Series(points=3, last=math.nan, last_step=2, lowest=0.5, highest=1.0)},
        telemetry=Telemetry(points=3, spans=1, processes=2, lost=4, reason="No space left on device"),
        failure_context=Failure(code="OOM_HOST", category="resource", diagnostic="the kernel killed it",
                                remediation="ask for less", stack="Traceback\n  line 1", evidence=("signal 9",)),
        plan={"time": Deviation(planned=60.0, actual=67.0, percent=11.67, rating="amber", amber_above=10.0,
                                red_above=25.0)},
        eta=(Eta(predicted=50.0, actual=60.0, error=10.0, percent=20.0, gain=0.1, uncertainty=11.0),),
        lineage=Lineage(parents=(Parent(run=run_id(0), relationship="distilled_from", role="teacher"),), lamport=1),
        warnings=("careful",),
    ))  # fmt: skip
    said = door("runs", "show", run_id(9), cwd=study)
    assert said.err == ""
    lines = [re.sub(" {2,}", " | ", line.strip()) for line in said.out.splitlines()]
    assert lines[0] == f"{run_id(9)} | failed"
    for line in (
        "tags | best, x",
        "param lora.rank | 16",
        "metric loss | 0.5",
        f"parent | {run_id(0)} (distilled from as teacher)",
        (
            "eta | 1 prediction; the first: 50.00 s left, it took 1 min 00 s; off by 20.0 % on average; "
            "100 % within two standard deviations"
        ),
        "failure: OOM_HOST (resource)",
        "the kernel killed it",
        "what to do: ask for less",
        "evidence: signal 9",
        "line 1",
        "time | 1 min 00 s | 1 min 07 s | +11.67 % | amber | amber above +10 %, red above +25 %",
        "loss | 3 | NaN | 2 | 0.5 | 1",
        "warning: careful",
        "telemetry: 3 points, 1 span, 2 processes",
        "telemetry: 4 points could not be kept: No space left on device",
    ):
        assert line in lines, line
    assert (
        json.loads(door("runs", "show", run_id(9), "--format", "json", cwd=study).out)["plan"]["time"]["percent"]
        == 11.67
    )


def test_plans_are_green_amber_or_red(study: Path, terminal: Terminal) -> None:
    ratings: dict[str, Rating] = {"memory": "red", "gpu_memory": "green"}
    plan = {
        key: Deviation(planned=1e9, actual=1.3e9, percent=30.0, rating=rating, amber_above=10.0, red_above=25.0)
        for key, rating in ratings.items()
    }
    put(study, record(9, plan=plan))
    said = terminal("entrenar-research", "runs", "show", run_id(9), cwd=study)
    assert re.search(r"\x1b\[1;31mred", said.out)
    assert re.search(r"\x1b\[32mgreen", said.out)
