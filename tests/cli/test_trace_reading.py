"""`trace summary` and `trace show`: of files of every form, of runs, and of what is none."""

import json
import shutil
from pathlib import Path

import pytest

from entrenar_research.core.traces import document
from entrenar_research.core.traces.logs import strace_log
from entrenar_research.core.traces.normalisation import normalised_steps
from entrenar_research.core.traces.storing import packed
from entrenar_research.models.documented import DocumentedSpan
from tests.cli.conftest import Door

LOG = """\
7     1700000000.000001 execve("/bin/x", ["x"], 0x7ffd /* 3 vars */) = 0 <0.000100>
7     1700000000.100001 openat(AT_FDCWD</srv>, "a", O_RDONLY) = -1 ENOENT (No such file or directory) <0.000007>
7     1700000000.200001 clone(child_stack=NULL, flags=SIGCHLD) = 8 <0.000050>
8     1700000000.300001 write(1<pipe:[1]>, "secret", 6) = 6 <0.000009>
8     1700000000.400001 exit_group(0)           = ?
8     1700000000.400005 +++ exited with 0 +++
7     1700000000.500001 wait4(8, NULL, 0, NULL) = 8 <12.000001>
7     1700000012.600001 exit_group(3)           = ?
7     1700000012.600009 +++ exited with 3 +++
"""
TABLE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
100.00   12.000001    12000001         1           wait4
  0.00    0.000100         100         1           execve
  0.00    0.000050          50         1           clone
  0.00    0.000009           9         1           write
  0.00    0.000007           7         1         1 openat
  0.00    0.000000           0         2           exit_group
------ ----------- ----------- --------- --------- ----------------
100.00   12.000167     1714309         7         1 total
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with one trace in three forms; the documents have a span."""
    (tmp_path / "x.log").write_text(LOG)
    trace = strace_log.parse(LOG, "x.log", command=["x"], level="full")
    span = DocumentedSpan("00f067aa0ba902b7", None, "epoch", '{"index":0}', 8, 300_000_000, 400_000_000, False)
    steps = normalised_steps(trace, replacements={})
    found = document.document(
        trace, steps, version="6.1", replacements={}, spans=[span], span_of={3: "00f067aa0ba902b7"}
    )
    (tmp_path / "x.json").write_bytes(document.encode(found))
    (tmp_path / "x.trace").write_bytes(packed.pack(found, algorithm="zstd")[0])
    return tmp_path


def told(door: Door, place: Path, *words: str) -> str:
    """What `trace` with these words prints."""
    said = door("trace", *words, cwd=place)
    assert said.status == 0, said.err
    return said.out


@pytest.mark.parametrize("name", ["x.log", "x.json", "x.trace"])
def test_every_form_has_the_same_table(place: Path, door: Door, name: str) -> None:
    assert told(door, place, "summary", name).startswith(TABLE)


def test_how_a_packed_trace_is_stored_is_told(place: Path, door: Door) -> None:
    size, stored = (place / "x.json").stat().st_size, (place / "x.trace").stat().st_size
    line = told(door, place, "summary", "x.trace").splitlines()[-1]
    assert line.startswith(f"stored: zstd (level 9): {stored} of {size} bytes")
    found = json.loads(told(door, place, "summary", "x.trace", "--format", "json"))
    assert found["stored"]["original_bytes"] == size
    assert found["rows"][0] == {"name": "wait4", "calls": 1, "errors": 0, "microseconds": 12_000_001}


def test_what_a_log_does_not_hold_is_told(place: Path, door: Door) -> None:
    (place / "y.log").write_text('execve("/bin/x", ["x"], 0x7) = 0\nclose(3) = 0\n+++ exited with 0 +++\n')
    assert "note: the log has no durations" in door("trace", "summary", "y.log", cwd=place).err
    assert json.loads(told(door, place, "summary", "y.log", "--format", "json"))["timed"] is False
    rows = told(door, place, "show", "y.log").splitlines()
    assert rows[1].split() == ["-", "0", 'execve("/bin/x",', '["x"],', "0x7)", "0", "-"]


def test_a_table_of_spans(place: Path, door: Door) -> None:
    rows = told(door, place, "summary", "x.json", "--by", "span").splitlines()
    assert rows[1].split()[:4] == ["epoch", "1", "1", "0.000009"]
    assert (
        json.loads(told(door, place, "summary", "x.json", "--by", "span", "--format", "json"))["spans"][0]["calls"] == 1
    )


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ([], ["execve", "openat", "clone", "write", "exit_group", "wait4", "exit_group"]),
        (["--errors"], ["openat"]),
        (["--name", "openat", "--name", "clone"], ["openat", "clone"]),
        (["--process", "8"], ["write", "exit_group"]),
        (["--process", "8", "--name", "write"], ["write"]),
        (["--span", "epoch"], ["write"]),
        (["--span", "00f067aa0ba902b7", "--errors"], []),
        (["--limit", "2"], ["execve", "openat"]),
        (["--limit", "0", "--name", "wait4"], ["wait4"]),
    ],
)
def test_calls_are_chosen(place: Path, door: Door, words: list[str], names: list[str]) -> None:
    lines = told(door, place, "show", "x.trace", "--format", "json", *words).splitlines()
    assert [json.loads(line)["name"] for line in lines] == names


def test_a_table_is_short_and_says_so(place: Path, door: Door) -> None:
    rows = told(door, place, "show", "x.json", "--limit", "2").splitlines()
    assert rows[-1] == "5 more; --limit 0 shows all"
    assert rows[2].split()[:2] == ["0.100000", "7"]
    assert rows[2].split()[-3:] == ["ENOENT", "7", "-"]


def test_as_strace_writes_it_and_back(place: Path, door: Door) -> None:
    text = told(door, place, "show", "x.json", "--format", "strace")
    assert '8     0.300000 write(1<[stdout]>, "...", 6) = 6 <0.000009>\n' in text
    assert "8     0.400000 exit_group(0)            = ?\n" in text
    assert "secret" not in text
    (place / "again.log").write_text(text)
    assert told(door, place, "show", "again.log", "--format", "strace") == text
    assert told(door, place, "summary", "again.log") == TABLE


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["show", "nothing"], 2, "no such file"),
        (["show", "."], 2, "is a directory"),
        (["show", "x.json", "--span", "epok"], 2, "epoch"),
        (["show", "x.json", "--limit", "-1"], 2, "expected a number from 0"),
        (["summary", "empty"], 1, "is empty"),
        (["summary", "text"], 1, "no trace"),
        (["show", "damaged.trace"], 1, "checksum"),
        (["summary", "damaged.trace"], 1, "checksum"),
        (["summary", "edited.json"], 1, "edited.json"),
        (["summary", "binary"], 1, "no trace"),
    ],
)
def test_what_is_no_trace_is_refused(place: Path, door: Door, words: list[str], status: int, said: str) -> None:
    (place / "empty").touch()
    (place / "text").write_text("=== Training Loop Example ===\n")
    (place / "binary").write_bytes(bytes(range(256)))
    (place / "damaged.trace").write_bytes((place / "x.trace").read_bytes()[:-1])
    (place / "edited.json").write_text((place / "x.json").read_text().replace('"epoch"', '"epoch" '))
    found = door("trace", *words, cwd=place)
    assert found.status == status
    assert said in found.err
    assert "Traceback" not in found.err
    assert found.out == ""


def test_a_long_log_is_counted_as_a_short_one_is_read(place: Path, door: Door) -> None:
    times = 7000
    (place / "long.log").write_text(LOG * times)
    assert (place / "long.log").stat().st_size > 4 << 20
    rows = json.loads(told(door, place, "summary", "long.log", "--format", "json"))["rows"]
    short = json.loads(told(door, place, "summary", "x.log", "--format", "json"))["rows"]
    counted = ("calls", "errors", "microseconds")
    assert rows == [{**row, **{key: times * row[key] for key in counted}} for row in short]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_trace_of_a_run_is_read_by_its_name(tiny: Path, door: Door) -> None:
    packs = max(tiny.glob("runs/*/trace/calls.trace"))
    run = packs.parent.parent.name
    assert told(door, tiny, "summary", run).startswith((packs.parent / "summary.txt").read_text())
    for name in ("line", run):  # a golden trace, a run
        assert told(door, tiny, "show", name, "--name", "execve", "--limit", "1", "--format", "json").count("\n") == 1
    packs.write_bytes(b"")
    assert door("trace", "show", run, cwd=tiny).status == 1
    packs.unlink()
    assert "has no trace" in door("trace", "show", run, cwd=tiny).err
    assert door("trace", "show", "nothing", cwd=tiny).status == 2
