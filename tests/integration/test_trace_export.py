"""`trace export` as people use it: files that others open, spans that a receiver takes, and what is refused."""

from __future__ import annotations

import csv
import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrenar_research.core.foreign.protobuf_wire import Message
from entrenar_research.core.tracking import handover
from entrenar_research.store.run_files import RunFiles
from tests.conftest import World
from tests.receivers import Receiver, receiving

BUSY = (503, {"Retry-After": "0"}, b"")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found
        assert found.faults == []


@pytest.fixture(scope="module")
def _recorded(_shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace of two processes that was recorded outside of any study."""
    place = tmp_path_factory.mktemp("recorded")
    command = ("sh", "-c", "ls / >/dev/null; cat /nowhere")
    World(_shared / "home").tool("trace", "record", "--as", "two", "--", *command, cwd=place, status=1)
    return place


@pytest.fixture
def recorded(_recorded: Path, tmp_path: Path) -> Path:
    (tmp_path / "two.json").write_bytes((_recorded / "two.json").read_bytes())
    return tmp_path


def test_a_run_is_sent_in_its_own_trace(world: World, tiny: Path, receiver: Receiver) -> None:
    record = RunFiles(tiny).resolve("line")
    done = world.tool("trace", "export", record.id, "--otlp", receiver.url, cwd=tiny)
    (root,) = [span for span in receiver.spans.values() if not span.parent_span_id]
    assert {span.trace_id.hex() for span in receiver.spans.values()} == {record.trace_id}
    assert root.span_id.hex() == handover.root_span(f"runs/{record.id}")
    assert all(span.parent_span_id.hex() in receiver.spans for span in receiver.spans.values() if span is not root)
    assert root.start_time_unix_nano == round(datetime.datetime.fromisoformat(record.started).timestamp() * 1e6) * 1000
    assert len(receiver.spans) == 1 + (record.trace.calls or 0)
    assert len(receiver.requests) == -(-len(receiver.spans) // 512)
    (said,) = {resource.attributes[0].value.string_value for resource in receiver.resources}
    assert said == "entrenar-research"
    count = len(receiver.spans)
    assert done.stdout == f"sent {count} of {count} spans to {receiver.url}/v1/traces: trace {record.trace_id}\n"


def test_another_trace_is_part_of_the_callers(world: World, recorded: Path, receiver: Receiver) -> None:
    above = {"TRACEPARENT": f"00-{'a' * 32}-{'b' * 16}-01"}
    done = world.tool("trace", "export", "two.json", "--otlp", receiver.url, cwd=recorded, env=above)
    (root,) = [span for span in receiver.spans.values() if span.name == "sh" and span.parent_span_id.hex() == "b" * 16]
    assert {span.trace_id.hex() for span in receiver.spans.values()} == {"a" * 32}
    assert "it was sent as if it ended now" in done.stdout
    told = {item.key: item.value for item in root.attributes}
    assert told["trace.time_assumed"].bool_value is True
    assert told["process.exit.code"].int_value == root.status.code - 1 == 1
    attributes = [item for span in receiver.spans.values() for item in span.attributes]
    errors = {item.value.string_value for item in attributes if item.key == "error.type"}
    assert "ENOENT" in errors


def test_the_policy_says_where_to(world: World, tiny: Path, receiver: Receiver) -> None:
    section = f'[otlp]\nenabled = true\nendpoint = "{receiver.url}"\nservice_name = "my-study"\n'
    (tiny / "renacer.toml").write_text(section)
    world.tool("trace", "export", "line", "--csv", "out.csv", cwd=tiny)
    assert receiver.requests == []  # nothing is sent unless it is asked for
    receiver.answers = [BUSY]
    world.tool("trace", "export", "line", "--otlp", cwd=tiny)
    assert {resource.attributes[0].value.string_value for resource in receiver.resources} == {"my-study"}
    (tiny / "renacer.toml").write_text(section.replace("true", "false"))
    done = world.tool("trace", "export", "line", "--otlp", cwd=tiny, status=2)
    assert "[otlp] of renacer.toml is not enabled" in done.stderr


def test_spans_that_are_refused_are_told(world: World, recorded: Path, receiver: Receiver) -> None:
    receiver.last = (200, {"Content-Type": "application/x-protobuf"}, b"\x0a\x0c\x08\x02\x12\x08too\x1b[old")
    done = world.tool("trace", "export", "two.json", "--otlp", receiver.url, cwd=recorded, status=4)
    total = len(receiver.spans)
    assert f"sent {total - 2 * len(receiver.requests)} of {total} spans" in done.stdout
    assert "the receiver says: too" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_failing_receiver_is_exit_4_and_no_token_is_shown(world: World, recorded: Path, receiver: Receiver) -> None:
    token = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t0psecret"}
    receiver.answers = [(401, {}, b"unknown token Bearer t0psecret")]
    done = world.tool("trace", "export", "two.json", "--otlp", receiver.url, cwd=recorded, env=token, status=4)
    assert receiver.requests[0][1]["authorization"] == "Bearer t0psecret"
    assert "answered 401: unknown token ***" in done.stderr
    assert "t0psecret" not in done.stdout + done.stderr


def test_the_switch_keeps_everything_here(world: World, recorded: Path, receiver: Receiver) -> None:
    off = {"ENTRENAR_OFFLINE": "1"}
    done = world.tool("trace", "export", "two.json", "--otlp", receiver.url, cwd=recorded, env=off, status=4)
    assert "ENTRENAR_OFFLINE is set: nothing is sent" in done.stderr
    assert receiver.requests == []
    world.tool("trace", "export", "two.json", "--csv", "two.csv", cwd=recorded, env=off)


def test_every_file_has_every_call(world: World, recorded: Path) -> None:
    viewers = ("--chrome", "c.json", "--perfetto", "p.pftrace", "--flamegraph", "f.folded")
    world.tool("trace", "export", "two.json", *viewers, "--csv", "t.csv", cwd=recorded)
    rows = list(csv.DictReader((recorded / "t.csv").read_text().splitlines()))
    events = json.loads((recorded / "c.json").read_text())["traceEvents"]
    calls = [event for event in events if event.get("cat") == "syscall"]
    assert len(rows) == len(calls) == json.loads((recorded / "two.json").read_text())["recorded"] > 50
    packets = Message((recorded / "p.pftrace").read_bytes()).messages(1)
    begun = [event for packet in packets for event in packet.messages(11) if event.number(9) in (1, 3)]
    assert len(begun) == len(events) - sum(event["ph"] == "M" for event in events)
    folded = (recorded / "f.folded").read_text().splitlines()
    assert all(re.fullmatch(r"(sh|ls|cat);\w+ \d+", line) for line in folded)
    spent = sum(int(row["took_ns"] or 0) for row in rows)
    assert abs(sum(int(line.rpartition(" ")[2]) for line in folded) * 1000 - spent) <= 500 * len(folded)


def test_what_is_packed_is_the_same_trace(world: World, recorded: Path) -> None:
    world.tool("trace", "export", "two.json", "--pack", "x.trace", "--csv", "one.csv", cwd=recorded)
    world.tool("trace", "export", "x.trace", "--csv", "two.csv", cwd=recorded)
    assert (recorded / "one.csv").read_bytes() == (recorded / "two.csv").read_bytes()


def test_standard_output_has_the_export_alone(world: World, recorded: Path) -> None:
    done = world.tool("trace", "export", "two.json", "--flamegraph", "-", "--csv", "t.csv", cwd=recorded)
    assert all(re.fullmatch(r"[^;]+;\w+ \d+", line) for line in done.stdout.splitlines())
    assert done.stderr.startswith("wrote t.csv: ")
    piped = "entrenar-research trace export two.json --csv >(wc -l >lines) && until [ -s lines ]; do :; done; cat lines"
    assert int(world.run("bash", "-c", piped, cwd=recorded).stdout.splitlines()[-1]) > 50


def test_source_lines_come_from_beside_the_trace(world: World, recorded: Path) -> None:
    head = json.loads((recorded / "two.json").read_text())
    source = {
        "schema": 1, "trace_id": head["trace_id"], "recorded": head["recorded"], "correlated": head["recorded"],
        "marks": 1, "stacks": 0, "unreadable": 0,
    }  # fmt: skip
    lines = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in source.items()]
    run = f'[0,{head["recorded"]},0,"audit",null]'
    lists = f'  "locations": [\n    ["$PWD/a.sh",3,"main",null]\n  ],\n  "calls": [\n    {run}\n  ]\n'
    (recorded / "two_source.json").write_text("".join(["{\n", *lines, lists, "}\n"]))
    done = world.tool("trace", "export", "two.json", "--flamegraph", "-", cwd=recorded)
    assert all(";main ($PWD/a.sh:3);" in line for line in done.stdout.splitlines())
    (recorded / "two_source.json").write_text("{}")
    done = world.tool("trace", "export", "two.json", "--flamegraph", "-", cwd=recorded, status=None)
    assert "two_source.json" in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ((), 2, "nothing was asked for"),
        (("--csv", "-", "--pack", "-"), 2, "only one export can go to standard output"),
        (("--csv", "two.json"), 2, "two.json is the trace that is exported"),
        (("--csv", "."), 2, ". is a directory"),
        (("--csv", "two.json/x"), 2, "two.json is a file, expected a directory"),
        (("--otlp",), 2, "no address was given"),
        (("--otlp", "http://localhost:4317"), 2, "port 4317 is OTLP over gRPC"),
        (("--otlp", "http://me:pw@localhost"), 2, "holds a user or a password"),
        (("--otlp", "http://127.0.0.1:1"), 4, "no connection"),
    ],
)
def test_what_cannot_be_done_is_said(
    words: tuple[str, ...], status: int, said: str, world: World, recorded: Path
) -> None:
    before = (recorded / "two.json").read_bytes()
    done = world.tool("trace", "export", "two.json", *words, cwd=recorded, status=status)
    assert said in done.stderr
    assert (recorded / "two.json").read_bytes() == before
