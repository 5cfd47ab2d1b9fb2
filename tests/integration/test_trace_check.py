"""`trace check`: both reports' assertion files on real traces, its statuses, its reports, and what it refuses."""

import json
from pathlib import Path

import pytest

from entrenar_research.core.traces import document as trace_document
from tests.conftest import World
from tests.documented_logs import PYTHON, documented, traced
from tests.report_policies import SCRIPTING, TRAINING

CI = """
[ci]
fail_fast = true
export_format = "{}"
export_path = "target/renacer-reports"
"""
ASKING = "import os\nfor _ in range({}):\n    os.urandom(8)"


@pytest.fixture
def here(tmp_path: Path, world: World) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    return place


def keep(here: Path, name: str, source: str) -> None:
    (here / f"{name}.json").write_bytes(trace_document.encode(traced(here, *PYTHON, source)))


def states(world: World, here: Path, *words: str, status: int) -> dict[str, str]:
    said = json.loads(world.tool("trace", "check", *words, "--format", "json", cwd=here, status=status).stdout)
    assert said["exit"] == status
    return {item["name"]: item["state"] for item in said["assertions"]}


def test_the_training_report_s_budgets_on_a_run_that_asks_for_10866_random_numbers(here: Path, world: World) -> None:
    """The report called this run within its budget of 10,000 calls."""
    (here / "renacer.toml").write_text(TRAINING + CI.format("json"))
    keep(here, "lora", ASKING.format(10_700))
    assert states(world, here, "lora.json", status=1) == {
        "training_iteration_latency": "pass",
        "max_syscall_budget": "fail",
        "memory_allocation_budget": "skip",
        "prevent_god_process": "skip",
        "detect_tight_loop": "skip",
        "ultra_strict_latency": "skip",
    }
    exported = json.loads((here / "target/renacer-reports/lora.json").read_text())
    budget = exported["assertions"][1]
    assert (budget["state"], budget["limit"], budget["unit"]) == ("fail", 10_000, "calls")
    assert budget["actual"] > 10_700
    assert [item["pattern"] for item in exported["patterns"]][:2] == ["GodProcess", "TightLoop"]
    assert exported["promotion_blocked"] is False


def test_the_same_budgets_on_a_small_run(here: Path, world: World) -> None:
    (here / "renacer.toml").write_text(TRAINING)
    keep(here, "loop", ASKING.format(10))
    found = states(world, here, "loop.json", status=0)
    assert [found[name] for name in found] == ["pass"] * 5 + ["skip"]


def test_the_scripting_report_s_budgets(here: Path, world: World) -> None:
    (here / "strict.toml").write_text(SCRIPTING.replace("2000", "120"))
    keep(here, "basics", ASKING.format(200))
    found = states(world, here, "basics.json", "--policy", "strict.toml", status=1)
    assert [found[name] for name in found] == ["pass", "fail", "pass", "pass", "pass", "skip"]


def test_the_table_says_what_was_found_and_what_is_permitted(here: Path, world: World) -> None:
    (here / "renacer.toml").write_text(TRAINING.replace("10000", "5"))
    (here / "x.json").write_bytes(trace_document.encode(documented(*["7 getrandom(..., 8, 0) = 8"] * 9)))
    said = world.tool("trace", "check", "x.json", cwd=here, status=1).stdout.splitlines()
    assert said[0].split() == ["state", "assertion", "actual", "limit", "unit", "why"]
    assert said[2].split() == ["fail", "max_syscall_budget", "10", "5", "calls", "10", "system", "calls"]
    assert "4 pass, 1 fail, 1 skip" in said
    assert any(line.startswith("TightLoop") for line in said)


def test_missing_data_is_status_3(here: Path, world: World) -> None:
    text = '[[assertion]]\nname = "resident"\ntype = "memory_usage"\nmax_bytes = 9\ntracking_mode = "rss"\n'
    (here / "renacer.toml").write_text(text)
    (here / "x.json").write_bytes(trace_document.encode(documented("7 getpid() = 7")))
    assert states(world, here, "x.json", status=3) == {"resident": "no data"}


def test_without_assertions_it_says_so(here: Path, world: World) -> None:
    (here / "x.json").write_bytes(trace_document.encode(documented("7 getpid() = 7")))
    said = world.tool("trace", "check", "x.json", cwd=here).stdout
    assert said.startswith("no assertions: there is no renacer.toml, or it has none\n")


def test_reports_for_machines_and_people(here: Path, world: World) -> None:
    (here / "renacer.toml").write_text(TRAINING.replace("10000", "1") + CI.format("markdown"))
    (here / "x.json").write_bytes(trace_document.encode(documented("7 getpid() = 7")))
    world.tool("trace", "check", "x.json", "--junit", "out.xml", "--markdown", "out.md", cwd=here, status=1)
    assert '<failure type="violation" message="2 system calls"' in (here / "out.xml").read_text()
    assert (here / "out.md").read_text() == (here / "target/renacer-reports/x.md").read_text()
    assert "max\\_syscall\\_budget" in (here / "out.md").read_text()


@pytest.mark.parametrize(
    ("file", "text", "words", "message"),
    [
        ("renacer.toml", "[ci]\nfail_fats = true\n", ("x.json",), "renacer.toml, line 2: unknown key `fail_fats`"),
        ("renacer.toml", "\n\nname = \n", ("x.json",), "renacer.toml, line 3: not valid TOML"),
        ("other.toml", "[cii]\n", ("x.json", "--policy", "other.toml"), "other.toml, line 1: unknown section `cii`"),
        ("renacer.toml", "", ("x.json", "--policy", "none.toml"), "none.toml: no such file"),
        ("renacer.toml", "", ("absent.json",), "absent.json: no such file"),
        ("target", "", ("x.json", "--policy", "ci.toml"), "target is a file, expected a directory"),
    ],
)
def test_mistakes(here: Path, world: World, file: str, text: str, words: tuple[str, ...], message: str) -> None:
    (here / "ci.toml").write_text('[ci]\nexport_path = "target"\n')
    (here / "x.json").write_bytes(trace_document.encode(documented("7 getpid() = 7")))
    (here / file).write_text(text)
    done = world.tool("trace", "check", *words, cwd=here, status=2)
    assert message in done.stderr
    assert done.stdout == ""


def test_a_trace_that_was_touched_is_refused(here: Path, world: World) -> None:
    data = trace_document.encode(documented("7 getpid() = 7"))
    (here / "x.json").write_bytes(data.replace(b'"recorded": 2', b'"recorded": 3'))
    assert "3 calls were recorded" in world.tool("trace", "check", "x.json", cwd=here, status=1).stderr
