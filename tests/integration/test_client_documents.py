"""Every Python snippet of docs/tracking.md runs as a script in a study, and leaves runs that are what the text says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from entrenar_research.client import reading
from entrenar_research.models.run import RunRecord
from entrenar_research.store.yaml_text import Document

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "tracking.md").read_text(encoding="utf-8")
SNIPPETS: list[str] = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def name_of(snippet: str) -> str:
    match = re.search(r'start_run\("([a-z-]+)"', snippet)
    assert match is not None
    return match[1]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.yaml").write_text("title: A study\n")
    (tmp_path / "confusion.png").write_bytes(b"\x89PNG")
    (tmp_path / "model.pt").write_bytes(b"\x80\x04]\x94.")
    return tmp_path


def script(study: Path, snippet: str) -> tuple[str, dict[str, RunRecord]]:
    """What a snippet prints, and the runs it leaves by experiment."""
    (study / "snippet.py").write_text(snippet, encoding="utf-8")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ENTRENAR_", "TRACEPARENT"))}
    argv = [sys.executable, "-W", "error", "snippet.py"]
    done = subprocess.run(argv, cwd=study, env=inherited, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    found = {}
    for path in (study / "runs").glob("*/run.yaml"):
        record = Document(path.read_text(encoding="utf-8"), "run.yaml").convert(RunRecord)
        assert record.status == "completed"
        found[record.experiment] = record
    return done.stdout, found


@pytest.mark.parametrize("snippet", SNIPPETS, ids=name_of)
def test_snippets_run(study: Path, snippet: str) -> None:
    if "numpy" in snippet:
        pytest.importorskip("numpy")
    _, runs = script(study, snippet)
    for path in (study / "runs").glob("*/events/*.events"):
        log = reading.read(path)
        assert not log.damaged
        assert log.closed
    assert bool(runs) is ("storage=" not in snippet)


def snippet(name: str) -> str:
    return next(text for text in SNIPPETS if name_of(text) == name)


def test_the_first_snippet(study: Path) -> None:
    _, runs = script(study, snippet("lora-rank"))
    run = runs["lora-rank"]
    assert run.params == {"rank": 16, "rate": 1e-4}
    assert (run.tags, run.warnings) == (("first-try",), ("two images could not be read",))
    assert run.telemetry is not None
    assert (run.telemetry.points, run.telemetry.spans, run.telemetry.lost) == (303, 4, 0)
    assert [item.path for item in run.artifacts] == ["artifacts/confusion.png"]


def test_lineage(study: Path) -> None:
    _, runs = script(study, snippet("teacher"))
    lineage = runs["student"].lineage
    assert lineage is not None
    assert [(item.run, item.relationship, item.role) for item in lineage.parents] == [
        (runs["teacher"].id, "distilled_from", "teacher"),
        (runs["base"].id, "initialization", None),
        (runs["base"].id, "fine_tuned_from", "starting point"),
    ]


def test_pickles_are_refused(study: Path) -> None:
    pytest.importorskip("numpy")
    said, runs = script(study, snippet("models"))
    assert (
        said == "model model.pt: found a pickle (protocol 4), which runs code when it is read; expected SafeTensors\n"
    )
    assert [(item.path, item.kind) for item in runs["models"].artifacts] == [("artifacts/model.safetensors", "model")]


def test_processes_log_to_one_run(study: Path) -> None:
    _, runs = script(study, snippet("many-processes"))
    assert list(runs) == ["many-processes"]
    logs = [reading.read(path) for path in (study / "runs").glob("*/events/*.events")]
    assert sorted(key for log in logs for key in log.keys.values()) == ["accuracy.test", "accuracy.train"]


def test_the_example_of_a_storage_is_that_of_the_port() -> None:
    from entrenar_research.client import port

    assert port.__doc__ is not None
    methods = re.findall(r"def (\w+)\(self", snippet("browser"))
    assert methods == re.findall(r"def (\w+)\(self", port.__doc__)
    assert set(methods) - {"__init__"} == {name for name in vars(port.Storage) if not name.startswith("_")}
