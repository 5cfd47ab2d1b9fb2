"""What the client does not do: import more than it needs, start threads, or make system calls for points."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration import faults

GOLDEN = Path(__file__).parent / "golden" / "client_imports.json"
IMPORTS = """
import json, sys
before = set(sys.modules)
import entrenar_research as er
imported = sorted(set(sys.modules) - before)
run = er.start_run("a")
run.log_metric("x", 1)
with run.span("epoch"):
    run.log_metric("x", 1)
logged = sorted(set(sys.modules) - before - set(imported))
import os
threads = len(os.listdir("/proc/self/task"))
print(json.dumps({"import": imported, "start": logged, "threads": threads}))
"""
LOG = """
import sys
import entrenar_research as er
run = er.start_run("a")
log = run.log_metric
for step in range(int(sys.argv[1])):
    log("loss", 0.5, step)
    log("acc", 0.25)
"""


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text("title: A study\n")
    return tmp_path


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if not k.startswith(("ENTRENAR_", "TRACEPARENT"))}


def test_imports_are_few_and_of_the_standard_library(study: Path) -> None:
    argv = [sys.executable, "-c", IMPORTS]
    done = subprocess.run(argv, cwd=study, env=environment(), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["threads"] == 1
    names = {name.partition(".")[0] for name in (*found["import"], *found["start"])}
    assert names <= {"entrenar_research"} | sys.stdlib_module_names
    assert not names & {"threading", "json", "re", "typing", "pathlib", "logging", "socket", "subprocess", "hashlib"}
    if sys.version_info[:2] == (3, 11):
        assert found == json.loads(GOLDEN.read_text(encoding="utf-8"))


def calls(study: Path, points: int) -> int:
    log = study / "strace.txt"
    argv = ["strace", "-f", "-c", "-o", str(log), sys.executable, "-c", LOG, str(points)]
    done = subprocess.run(argv, cwd=study, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    total = re.search(r"^100\.00\s+\S+\s+\d+\s+(\d+)\s.*total$", log.read_text(), re.MULTILINE)
    assert total is not None, log.read_text()
    return int(total[1])


@pytest.mark.slow
def test_points_make_no_system_calls(study: Path) -> None:
    """Between 2,000 and 60,000 points there is one growth of the log, and nothing else."""
    faults.need_strace()
    few, many = calls(study, 1_000), calls(study, 30_000)
    assert many - few <= 12
