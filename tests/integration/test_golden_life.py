"""Golden traces from promotion to retirement: what is written, what refuses, what a check finds and names."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from entrenar_research import workspace
from entrenar_research.actions.golden import analysing
from entrenar_research.core.traces import figures
from entrenar_research.core.traces.summary import parse_summary
from entrenar_research.store.study_files import StudyFiles
from tests.conftest import World

TRAIN = "experiments/line/train.py"
GOLDEN = "golden_traces/line"
UNROLLED = """\
    for letter in "\\n".join(rows) + "\\n":
        stream.write(letter)
        stream.flush()
"""
SLOW = "sum(range(30_000_000))\npoints = ["
LENIENT = ("--repeat", "5", "--budget", "900")


def change(study: Path, path: str, old: str, new: str) -> None:
    text = (study / path).read_text()
    assert old in text
    (study / path).write_text(text.replace(old, new))


def unroll(study: Path) -> None:
    change(study, TRAIN, '    stream.write("\\n".join(rows) + "\\n")\n', UNROLLED)


def record(study: Path, name: str = "line") -> dict[str, object]:
    found = yaml.safe_load((study / f"golden_traces/{name}/golden.yaml").read_text())
    assert isinstance(found, dict)
    return found


def again(study: Path, name: str) -> None:
    """A second golden trace like the first."""
    shutil.copytree(study / GOLDEN, study / f"golden_traces/{name}")
    for path in (study / f"golden_traces/{name}").iterdir():
        if path.name.startswith("line"):
            path.rename(path.with_name(path.name.replace("line", name, 1)))
    change(study, f"golden_traces/{name}/golden.yaml", "name: line", f"name: {name}")


def test_what_promotion_writes(tiny: Path) -> None:
    found = record(tiny)
    assert found["schema"] == 2
    assert found["command"] == "python experiments/line/train.py data/points.csv ${params} ${result}"
    assert sorted(found["inputs"]) == [  # type: ignore[call-overload]
        "data/points.csv", "experiments/line/params.yaml", "experiments/line/slope.py", TRAIN,
    ]  # fmt: skip
    noise = found["noise"]
    assert isinstance(noise, dict)
    assert (noise["traced"], noise["agreed"]) == (5, 5)
    assert noise["counts"]["execve"] == 1
    assert noise["allocated"] > 1 << 20
    repetitions = found["repetitions"]
    assert isinstance(repetitions, list)
    assert [item["exit_status"] for item in repetitions] == [0] * 5
    assert all(0 < item["wall"] < 60 and item["peak_memory"] > 6 << 20 for item in repetitions)
    gates = found["gates"]
    assert isinstance(gates, list)
    assert {gate["gate"]: gate["state"] for gate in gates} == {
        "exit": "pass", "completeness": "pass", "behaviour": "pass", "architecture": "pass", "assertions": "no data",
    }  # fmt: skip
    told = (tiny / GOLDEN / "golden.yaml").read_text() + (tiny / "golden_traces/ANALYSIS.md").read_text()
    assert os.uname().nodename not in re.split(r"[^\w-]", told)
    assert not re.search(r"(?<![\w$])/(home|root|tmp|usr)/", told)


def test_the_summary_is_the_table_with_measurements_beneath(tiny: Path) -> None:
    text = (tiny / GOLDEN / "line_summary.txt").read_text()
    rows = parse_summary(figures.table_of(text), "line_summary.txt")
    assert sum(row.calls for row in rows) == record(tiny)["total"]
    table, durations, repetitions = text.rstrip("\n").split("\n\n")
    assert table.endswith("total")
    assert len(durations.splitlines()) == 2 + sum(row.name != "exit_group" for row in rows)
    assert [line.split()[0] for line in repetitions.splitlines()[2:]] == ["1", "2", "3", "4", "5", "median"]


def test_the_analysis_is_made_from_the_files_again(tiny: Path) -> None:
    place = tiny / "golden_traces/ANALYSIS.md"
    before = place.read_text()
    assert f"| line | {record(tiny)['total']} |" in before
    place.unlink()
    analysing.write(StudyFiles(tiny))
    assert place.read_text() == before
    again(tiny, "broken")
    (tiny / "golden_traces/broken/golden.yaml").write_text("schema: 1\nname: broken\n")
    (tiny / GOLDEN / "line.json").unlink()
    analysing.write(StudyFiles(tiny))
    text = place.read_text()
    assert "- broken: golden_traces/broken/golden.yaml: schema 1, this version reads schema 2" in text
    assert "The trace itself is not here (`dvc pull` fetches it)" in text


def test_a_program_that_does_something_else_each_time_is_refused(world: World, tiny: Path) -> None:
    change(
        tiny,
        TRAIN,
        "print(f",
        "for part in os.urandom(8).hex():\n    os.mkdir(out + '/' + os.urandom(4).hex())\nprint(f",
    )
    world.tool("run", "line", "--quiet", "--force", cwd=tiny)
    before = (tiny / GOLDEN / "golden.yaml").read_bytes()
    done = world.tool("golden", "promote", "line", "--as", "line", "--replace", "--repeat", "2", cwd=tiny, status=1)
    assert re.search(r"^refused +behaviour +0 of 2 fresh repetitions made the same calls", done.stdout, re.MULTILINE)
    assert "first divergence at call" in done.stdout
    assert done.stdout.endswith("nothing was written; refused by: behaviour\n")
    assert (tiny / GOLDEN / "golden.yaml").read_bytes() == before


def test_assertions_refuse_and_what_has_no_data_does_not(world: World, tiny: Path) -> None:
    budget = '[[assertion]]\nname = "calls"\ntype = "span_count"\nmax_spans = {}\nfail_on_violation = true\n'
    (tiny / "renacer.toml").write_text(budget.format(100))
    done = world.tool("golden", "promote", "line", "--as", "other", "--repeat", "2", cwd=tiny, status=1)
    assert re.search(r"^refused +assertions +1 fail; calls: ", done.stdout, re.MULTILINE)
    assert not (tiny / "golden_traces/other").exists()
    (tiny / "renacer.toml").write_text(budget.format(100_000))
    said = json.loads(
        world.tool("golden", "promote", "line", "--as", "other", "--repeat", "2", "--format", "json", cwd=tiny).stdout
    )
    assert said["written"] is True
    assert {gate["gate"]: gate["state"] for gate in said["record"]["gates"]}["assertions"] == "pass"
    analysis = (tiny / "golden_traces/ANALYSIS.md").read_text()
    assert "2 assertions evaluated: 2 pass." in analysis


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("golden promote line --as line", "there is a golden trace 'line' already"),
        ("golden promote line --as x --repeat 1", "expected at least 2"),
        ("golden check nonsense", "no golden trace named 'nonsense'"),
        ("golden check --repeat 0", "expected 1 or more"),
        ("golden check --run line --repeat 5", "--run and --repeat exclude each other"),
        ("golden check --budget 20", "--budget is for measured repetitions"),
        ("golden check --repeat 5 --budget -1", "expected a percentage, 0 or more"),
        ("golden diff line nonsense", "nonsense"),
        ("golden retire line --reason ' '", "for a reason"),
        ("golden show nonsense", "no golden trace named 'nonsense'"),
    ],
)
def test_requests_that_make_no_sense(words: str, message: str, world: World, tiny: Path) -> None:
    done = world.run("sh", "-c", f"entrenar-research {words}", cwd=tiny, status=2)
    assert message in done.stderr


def test_an_older_golden_trace_is_to_be_promoted_again(world: World, tiny: Path) -> None:
    change(tiny, f"{GOLDEN}/golden.yaml", "schema: 2", "schema: 1")
    done = world.tool("golden", "check", cwd=tiny, status=2)
    assert "golden_traces/line/golden.yaml: schema 1, this version reads schema 2" in done.stderr
    assert "--as line --replace" in done.stderr


def test_calls_that_the_lines_do_not_tell_are_counted(world: World, tiny: Path) -> None:
    unroll(tiny)
    done = world.tool("golden", "check", "line", cwd=tiny, status=1)
    assert "line: same as a fresh run" in done.stdout
    assert re.search(r"fail: numbers of calls: made more often: write \d -> 24\d$", done.stdout, re.MULTILINE)


def test_memory_that_is_asked_for_is_counted(world: World, tiny: Path) -> None:
    change(tiny, TRAIN, "points = [", "kept = bytearray(64 << 20)\npoints = [")
    done = world.tool("golden", "check", "line", cwd=tiny, status=1)
    assert re.search(r"fail: allocated bytes: regression: \d+ -> 7\d{7} bytes", done.stdout)


def test_a_slower_program_is_found_by_untraced_repetitions_alone(world: World, tiny: Path) -> None:
    change(tiny, TRAIN, "points = [", SLOW)
    assert "same as a fresh run" in world.tool("golden", "check", cwd=tiny).stdout
    reports = (tiny / "report.xml", tiny / "report.md")
    done = world.tool(
        "golden", "check", "--repeat", "5", "--junit", reports[0], "--markdown", reports[1], cwd=tiny, status=1
    )
    assert "line: same as 5 fresh runs" in done.stdout
    assert "fail: processor seconds: regression" in done.stdout
    assert "fail: wall seconds: regression" in done.stdout
    suite = ElementTree.fromstring(reports[0].read_bytes())  # noqa: S314
    failures = {case.get("name") for case in suite.iter("testcase") if case.find("failure") is not None}
    assert failures == {"processor seconds", "wall seconds"}
    assert "**Failed**" in reports[1].read_text()
    change(tiny, f"{GOLDEN}/golden.yaml", "cpu:", "cpu: Another Processor #")
    told = world.tool("golden", "check", "--repeat", "5", "--format", "json", cwd=tiny)
    (found,) = json.loads(told.stdout)
    assert "another machine: processor Another Processor then" in found["elsewhere"]
    assert {case["state"] for case in found["cases"]} == {"pass", "skip"}


def test_missing_data_is_neither_pass_nor_failure(world: World, tiny: Path) -> None:
    (tiny / "renacer.toml").write_text(
        '[[assertion]]\nname = "resident"\ntype = "memory_usage"\nmax_bytes = 1000000000\ntracking_mode = "rss"\n'
    )
    done = world.tool("golden", "check", cwd=tiny, status=3)
    assert "no data: resident" in done.stdout
    (found,) = json.loads(world.tool("golden", "check", *LENIENT, "--format", "json", cwd=tiny).stdout)
    assert {case["name"]: case["state"] for case in found["cases"]}["resident"] == "pass"


def test_too_few_repetitions_are_no_data(world: World, tiny: Path) -> None:
    done = world.tool("golden", "check", "--repeat", "2", cwd=tiny, status=3)
    assert "no data: wall seconds: insufficient data" in done.stdout
    assert "5 samples before and 2 now, at least 5 of each are needed" in done.stdout


def test_ci_says_when_to_stop_and_where_to_report(world: World, tiny: Path) -> None:
    again(tiny, "also")
    unroll(tiny)
    assert "line: same" in world.tool("golden", "check", cwd=tiny, status=1).stdout
    (tiny / "renacer.toml").write_text('[ci]\nfail_fast = true\nexport_format = "junit"\nexport_path = "out/reports"\n')
    done = world.tool("golden", "check", cwd=tiny, status=1)
    assert "not checked after the first failure ([ci] fail_fast): line" in done.stdout
    suites = ElementTree.fromstring((tiny / "out/reports/golden-check.xml").read_bytes())  # noqa: S314
    assert [suite.get("name") for suite in suites.iter("testsuite")] == ["also"]


def test_both_checks_leave_their_reports_in_one_directory(world: World, tiny: Path) -> None:
    (tiny / "renacer.toml").write_text('[ci]\nexport_path = "out/reports"\n')
    world.tool("golden", "check", cwd=tiny)
    world.tool("trace", "check", "line", cwd=tiny)
    found = {file.name: json.loads(file.read_text()) for file in (tiny / "out/reports").iterdir()}
    assert sorted(found) == ["golden-check.json", "line.json"]
    assert [one["name"] for one in found["golden-check.json"]] == [found["line.json"]["name"]] == ["line"]


@pytest.mark.parametrize("taken", ["out", "out/reports"])
def test_a_file_where_reports_are_to_be_is_told_before_anything_runs(world: World, tiny: Path, taken: str) -> None:
    (tiny / "renacer.toml").write_text('[ci]\nexport_path = "out/reports"\n')
    (tiny / taken).parent.mkdir(exist_ok=True)
    (tiny / taken).write_text("mine")
    for words in (("golden", "check"), ("trace", "check", "line")):
        done = world.tool(*words, cwd=tiny, status=2)
        assert f"[ci] export_path: {taken} is a file, expected a directory" in done.stderr
        assert done.stdout == ""
    assert (tiny / taken).read_text() == "mine"


def test_the_baseline_can_be_measured_without_being_asked_each_time(world: World, tiny: Path) -> None:
    (tiny / "renacer.toml").write_text("[ci]\ncompare_with_baseline = true\n")
    change(tiny, f"{GOLDEN}/golden.yaml", "cpu:", "cpu: Another Processor #")
    (found,) = json.loads(world.tool("golden", "check", "--format", "json", cwd=tiny).stdout)
    assert (found["traced"], len(found["times"])) == (5, 3)


def test_no_alarm_elsewhere(world: World, tiny: Path, tmp_path: Path) -> None:
    """Another path, another home, one processor."""
    moved = tmp_path / "a much longer/way to/the same study"
    moved.parent.mkdir(parents=True)
    tiny.rename(moved)
    (tmp_path / "home").mkdir()
    home = {"HOME": str(tmp_path / "home"), "SURPLUS": "x" * 5000}
    done = world.run("taskset", "-c", "0", "entrenar-research", "golden", "check", cwd=moved, env=home)
    assert "same as a fresh run" in done.stdout


def test_a_recorded_run_is_held_against_it(world: World, tiny: Path) -> None:
    assert "line: same as run" in world.tool("golden", "check", "line", "--run", "line", cwd=tiny).stdout


def test_show_and_diff(world: World, tiny: Path) -> None:
    shown = world.tool("golden", "show", "line", cwd=tiny).stdout
    assert "5 of 5 fresh traces agreed; varying in number:" in shown
    assert re.search(r"^newfstatat +\d+ +\d+\.\d%", shown, re.MULTILINE)
    assert json.loads(world.tool("golden", "show", "line", "--format", "json", cwd=tiny).stdout)["name"] == "line"
    run = str(record(tiny)["run"])
    assert "the same calls in the same order" in world.tool("golden", "diff", "line", run, cwd=tiny).stdout
    change(tiny, TRAIN, "points = [", "open(params_file).close()\npoints = [")
    world.tool("run", "line", "--quiet", cwd=tiny)
    done = world.tool("golden", "diff", "line", "line", cwd=tiny)  # a golden trace comes before an experiment
    assert done.stdout.startswith("line: same as line")
    newest = max(path.name for path in (tiny / "runs").iterdir())
    done = world.tool("golden", "diff", "line", newest, cwd=tiny, status=1)
    assert "first divergence at call" in done.stdout
    assert re.search(r"^ +openat +\d+ -> \d+ \(\+1\)$", done.stdout, re.MULTILINE)


def test_diff_and_compare_say_that_two_tracers_made_them(world: World, tiny: Path) -> None:
    if (reason := workspace.tracer("kernel").unavailable("full")) is not None:
        pytest.skip(reason)
    again = ("run", "line", "--force", "--quiet", "--trace", "full", "--tracer")
    seen = []
    for tracer in ("kernel", "strace"):
        world.tool(*again, tracer, cwd=tiny)
        newest = max(path.name for path in (tiny / "runs").iterdir())
        for words in (("golden", "diff"), ("trace", "compare")):
            done = world.tool(*words, "line", newest, cwd=tiny)
            told = json.loads(world.tool(*words, "line", newest, "--format", "json", cwd=tiny).stdout)
            assert told["tracers"] == ["strace", tracer]
            caution = f"line was traced with strace, {newest} with kernel: what differs may be how the tracers write it"
            seen.append((tracer, caution in " ".join(done.stdout.split()), told["caution"] is not None))
    assert seen == [("kernel", True, True)] * 2 + [("strace", False, False)] * 2


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("golden.yaml", "a directory", ("show", "check", "list")),
        ("line.json", "missing", ("show", "check")),
        ("line.json", "a directory", ("show", "check")),
        ("line_summary.txt", "missing", ("show",)),
    ],
)
def test_a_part_that_is_missing_is_named(
    path: str, kind: str, words: tuple[str, ...], world: World, tiny: Path
) -> None:
    place = tiny / GOLDEN / path
    place.unlink()
    if kind == "a directory":
        place.mkdir()
    for word in words:
        done = world.tool("golden", word, *(["line"] if word != "list" else []), cwd=tiny, status=2)
        said, hint = done.stderr.splitlines()
        assert said == f"error: {GOLDEN}/{path} is {kind}, expected a file: it is a part of the golden trace line"
        assert f"bring it back with `git checkout -- {GOLDEN}/{path}`" in hint
        assert f"`dvc pull {GOLDEN}/{path}`" in hint
        assert "`golden promote RUN --as line --replace`" in hint


def test_retirement_is_noted_and_keeps_what_git_does_not(world: World, tiny: Path) -> None:
    done = world.tool("golden", "retire", "line", "--reason", "a | new\nloader", cwd=tiny)
    assert "retired: a | new loader; still sealed as golden/line/v1" in done.stdout
    assert not (tiny / GOLDEN).exists()
    noted = (tiny / "golden_traces/RETIRED.md").read_text().splitlines()
    assert re.fullmatch(
        r"\| line \| \S+ \| sha256:\w+ \| \d{4}-\d\d-\d\d \| a \\\| new loader \| golden/line/v1 \|", noted[-1]
    )
    assert "There are no golden traces." in (tiny / "golden_traces/ANALYSIS.md").read_text()
    world.run("git", "add", "golden_traces", cwd=tiny)
    world.run("git", "commit", "-qm", "Retire", cwd=tiny)
    verified = json.loads(world.tool("verify", "--no-replay", "--format", "json", cwd=tiny, status=None).stdout)
    wanting = [item for item in verified["findings"] if item["verdict"] in ("different", "broken")]
    assert wanting == []


def test_what_git_does_not_hold_is_not_lost_by_accident(world: World, tiny: Path) -> None:
    change(tiny, f"{GOLDEN}/golden.yaml", "tool: ", "tool: another ")
    done = world.tool("golden", "retire", "line", "--reason", "x", cwd=tiny, status=2)
    assert "golden_traces/line is not in Git as it is now" in done.stderr
    assert (tiny / GOLDEN).is_dir()
    world.tool("golden", "retire", "line", "--reason", "x", "--force", cwd=tiny)
    assert not (tiny / GOLDEN).exists()
