"""Where calls come from, with real programs under a real strace, and that to ask for it changes nothing in a trace."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from entrenar_research.actions.traces import files
from entrenar_research.actions.traces import source as trace_source
from entrenar_research.core.traces.sources import source_document
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.source import SourceDocument, SourceLocation
from entrenar_research.tools import process, source_stacks, strace
from entrenar_research.tools.source_lines import DebugLines
from entrenar_research.tracers.strace import TRACER

Told = tuple[SourceLocation, str]


class Traced(msgspec.Struct):
    """A program that was traced: how it ended, what it printed, its document and where its calls come from."""

    status: int
    output: str
    document: TraceDocument
    source: SourceDocument | None
    raw: bytes

    def places(self, name: str, words: str = "") -> list[Told | None]:
        """For every call of a name with these words among its arguments, where it comes from."""
        assert self.source is not None
        known: dict[int, Told] = {}
        for run in self.source.calls:
            for place in range(run.first, run.first + run.count):
                known[place] = (self.source.locations[run.location], run.how)
        calls = enumerate(self.document.calls)
        return [known.get(place) for place, call in calls if call.name == name and words in call.arguments]

    def lines(self, name: str, words: str = "") -> list[tuple[str, int | None, str, str] | None]:
        """The same as (file, line, function, way)."""
        return [
            found and (found[0].file, found[0].line, found[0].function, found[1]) for found in self.places(name, words)
        ]


def traced(directory: Path, *words: str, source: bool = True, **variables: str) -> Traced:
    """Runs a command traced in a directory, with or without asking where its calls come from."""
    if strace.unavailable() is not None:
        pytest.skip(f"nothing can be traced: {strace.unavailable()}")
    area = directory.parent / "area"
    shutil.rmtree(area, ignore_errors=True)
    area.mkdir()
    log = area / "log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory.parent), **variables}
    wrapped = TRACER.wrap(words, level="full", log=log)
    if source:
        environment = trace_source.prepare(environment, area)
        wrapped = trace_source.with_stacks(
            wrapped, process.which(os.path.join(directory, words[0]) if "/" in words[0] else words[0])
        )
    done = subprocess.run(wrapped, cwd=directory, env=environment, capture_output=True, text=True, check=False)
    trace_source.take_stacks(log, area)
    trace = trace_source.without_ours(TRACER.read(log, command=words, level="full"), area)
    names = {os.path.realpath(directory): "$STUDY"}
    document = files.document(trace, names, version=None)
    raw = trace_source.collect(area, trace, names, document) if source else b""
    found = source_document.decode(raw, "x_source.json") if source else None
    return Traced(done.returncode, done.stdout + done.stderr, document, found, raw)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    directory = tmp_path / 'a "place" für' / "s"
    directory.mkdir(parents=True)
    return directory


PROGRAM = """\
import json, os, socket, subprocess, sys, threading, time

def load(path):
    with open(path) as stream:
        return json.load(stream)

def main():
    with open("a.json", "w") as stream:
        json.dump({"a": 1}, stream)
    load("a.json")
    os.mkdir("d")
    os.rmdir("d")
    subprocess.run(["true"], check=True)
    thread = threading.Thread(target=load, args=("a.json",))
    thread.start()
    thread.join()
    near, far = socket.socketpair()
    with socket.socket() as other:
        other.connect_ex(("127.0.0.1", 1))
    if os.fork() == 0:
        load("a.json")
        os._exit(0)
    os.wait()
    time.sleep(0.001)
    print(os.environ.get("GREETING"), [entry for entry in sys.path if "source" in entry], os.open("a.json", 0))

main()
"""


@pytest.fixture
def program(place: Path) -> Path:
    (place / "program.py").write_text(PROGRAM)
    return place


def test_calls_of_python_are_traced_to_file_line_and_function(program: Path) -> None:
    found = traced(program, sys.executable, "program.py")
    assert (found.status, found.output) == (0, "None [] 5\n")
    load = ("$STUDY/program.py", 4, "load", "audit")
    assert found.lines("openat", "$STUDY/a.json") == []  # a name of a path is not in a relative argument
    assert found.lines("openat", '"a.json"') == [
        ("$STUDY/program.py", 8, "main", "audit"), load, load, load, ("$STUDY/program.py", 25, "main", "audit"),
    ]  # fmt: skip
    assert found.lines("mkdir") == [("$STUDY/program.py", 11, "main", "audit")]
    assert found.lines("rmdir") == [("$STUDY/program.py", 12, "main", "audit")]
    assert found.lines("connect") == [("$STUDY/program.py", 19, "main", "audit")]
    assert found.lines("write", "a.json") == [("$STUDY/program.py", 8, "main", "opened at")]
    assert set(found.lines("read", "a.json")) == {("$STUDY/program.py", 4, "load", "opened at")}
    assert found.lines("clone", "SIGCHLD")[-1] == ("$STUDY/program.py", 20, "main", "audit")
    assert found.source is not None
    assert found.source.trace_id == found.document.trace_id
    assert found.source.unreadable == 0


def test_who_started_a_program_is_known_through_the_library_that_did_it(program: Path) -> None:
    found = traced(program, sys.executable, "program.py")
    started = [told for told in found.places("execve", "true") if told is not None]
    assert started
    assert found.source is not None
    for location, how in started:
        assert (location.function.rpartition(".")[2], how) == ("_execute_child", "audit")
        assert location.within is not None
        assert found.source.locations[location.within] == SourceLocation("$STUDY/program.py", 13, "main", None)


def test_the_trace_is_the_same_with_and_without(program: Path) -> None:
    with_source = traced(program, sys.executable, "program.py")
    without = traced(program, sys.executable, "program.py", source=False)
    assert with_source.document.texts == without.document.texts
    assert with_source.document.trace_id == without.document.trace_id
    assert with_source.output == without.output
    assert not any(
        "source/hook" in call.arguments or "/marks/" in call.arguments for call in with_source.document.calls
    )
    assert with_source.document.exit == without.document.exit


def test_a_path_and_a_start_up_file_of_the_persons_own_stay(program: Path) -> None:
    own = program.parent / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import os\nos.environ['GREETING'] = 'hello from ' + __name__\n")
    runs = [
        traced(program, sys.executable, "-B", "program.py", source=source, PYTHONPATH=str(own))
        for source in (True, False)
    ]
    assert runs[0].output == runs[1].output == "hello from sitecustomize [] 5\n"
    assert runs[0].document.texts == runs[1].document.texts


def test_an_error_in_a_start_up_file_of_the_persons_own_is_told_as_ever(program: Path) -> None:
    own = program.parent / "own"
    own.mkdir()
    (own / "sitecustomize.py").write_text("import nowhere\n")
    runs = [
        traced(program, sys.executable, "-Bc", "print(1)", source=source, PYTHONPATH=str(own))
        for source in (True, False)
    ]
    assert "ModuleNotFoundError: No module named 'nowhere'" in runs[0].output
    assert runs[0].status == runs[1].status == 0
    assert runs[0].document.texts == runs[1].document.texts


CLOSES = """\
import os
os.closerange(3, 1024)
kept = [os.open(f"own{number}", os.O_RDWR | os.O_CREAT) for number in range(20)]
os.dup2(kept[0], 1000)
for number in range(30):
    os.mkdir(f"d{number}")
print(sum(os.stat(f"own{number}").st_size for number in range(20)))
"""


def test_a_program_that_closes_everything_finds_nothing_of_ours_in_its_files(place: Path) -> None:
    (place / "closes.py").write_text(CLOSES)
    found = traced(place, sys.executable, "closes.py")
    assert (found.status, found.output) == (0, "0\n")
    assert found.lines("mkdir", '"d29"') == [("$STUDY/closes.py", 6, "<module>", "audit")]
    assert found.lines("mkdir", '"d0"') == [("$STUDY/closes.py", 6, "<module>", "audit")]


def test_what_a_killed_program_did_is_known(place: Path) -> None:
    (place / "killed.py").write_text("import os\nos.mkdir('d')\nos.kill(os.getpid(), 9)\n")
    found = traced(place, sys.executable, "killed.py")
    assert found.document.exit.signal == "SIGKILL"
    assert found.lines("mkdir") == [("$STUDY/killed.py", 2, "<module>", "audit")]
    assert found.lines("kill") == [("$STUDY/killed.py", 3, "<module>", "audit")]


def test_an_isolated_python_says_nothing_and_nothing_is_made_up(program: Path) -> None:
    found = traced(program, sys.executable, "-I", "program.py")
    assert found.status == 0
    assert found.source is not None
    assert (found.source.correlated, found.source.marks, found.source.calls) == (0, 0, ())


def test_no_home_and_no_private_place_appears(program: Path) -> None:
    home = program.parent / "home" / "ada"
    home.mkdir(parents=True)
    (home / "private.py").write_text("import os\n\ndef make():\n    os.mkdir('d')\n")
    (program / "uses.py").write_text("import private\nprivate.make()\n")
    found = traced(program, sys.executable, "-B", "uses.py", PYTHONPATH=str(home))
    (told,) = found.lines("mkdir")
    assert told is not None
    assert (told[0].endswith("/private.py"), told[1:]) == (True, (4, "make", "audit"))
    assert str(program.parent) not in found.raw.decode()
    assert json.dumps(str(program.parent))[1:-1] not in found.raw.decode()


# --- machine code

NATIVE = """\
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static int save(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    int ok = write(fd, "abc", 3) == 3;
    close(fd);
    return ok;
}
static void *work(void *path) {
    return save(path) ? path : NULL;
}
int main(void) {
    pthread_t thread;
    int ok = save("one");
    pthread_create(&thread, NULL, work, "two");
    pthread_join(thread, NULL);
    return !ok;
}
"""


@pytest.fixture
def compiler() -> str:
    found = shutil.which("cc")
    if found is None:
        pytest.skip("no C compiler (cc) is installed")
    if not source_stacks.shown():
        pytest.skip("strace is built without stack traces (-k)")
    return found


@pytest.mark.parametrize("form", ["-gdwarf-5", "-gdwarf-4"])
def test_calls_of_machine_code_are_traced_through_stacks_and_debugging_information(
    place: Path, compiler: str, form: str
) -> None:
    (place / "save.c").write_text(NATIVE)
    subprocess.run([compiler, "-g", "-O0", form, "-pthread", "save.c", "-o", "save"], cwd=place, check=True)
    found = traced(place, "./save")
    assert found.status == 0
    assert found.lines("openat", '"one"') == found.lines("openat", '"two"') == [("$STUDY/save.c", 6, "save", "stack")]
    assert found.lines("write", "one") == [("$STUDY/save.c", 7, "save", "stack")]
    assert found.lines("close", "two") == [("$STUDY/save.c", 8, "save", "stack")]
    assert found.document.texts == traced(place, "./save", source=False).document.texts


def test_a_static_program_has_stacks_as_far_as_they_can_be_followed(place: Path, compiler: str) -> None:
    (place / "save.c").write_text(NATIVE)
    subprocess.run([compiler, "-g", "-O0", "-static", "-pthread", "save.c", "-o", "save"], cwd=place, check=True)
    found = traced(place, "./save")
    (told,) = found.lines("openat", '"one"')
    assert told is not None
    assert told[0] in ("$STUDY/save.c", "$STUDY/save")  # the frames of its C library are not always found
    assert told[3] == "stack"


def test_a_place_that_is_no_utf_8_is_no_obstacle(tmp_path: Path, compiler: str) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff/s"))
    place.mkdir(parents=True)
    (place / "save.c").write_text(NATIVE)
    subprocess.run([compiler, "-g", "-O0", "-pthread", "save.c", "-o", "save"], cwd=place, check=True)
    assert traced(place, "./save").lines("openat", '"one"') == [("$STUDY/save.c", 6, "save", "stack")]
    (place / "make.py").write_text("import os\nos.mkdir('d')\n")
    found = traced(place, sys.executable, "make.py")
    assert found.lines("mkdir") == [("$STUDY/make.py", 2, "<module>", "audit")]


def test_without_debugging_information_the_function_is_known(place: Path, compiler: str) -> None:
    (place / "save.c").write_text(NATIVE.replace("static ", ""))
    subprocess.run([compiler, "-O0", "-pthread", "save.c", "-o", "save"], cwd=place, check=True)
    found = traced(place, "./save")
    assert found.lines("openat", '"one"') == [("$STUDY/save", None, "save", "stack")]
    assert DebugLines().of(str(place / "save"), 0x1158) is None
    assert DebugLines().of(str(place / "save.c"), 1) is None
    assert DebugLines().of(str(place / "absent"), 1) is None


def test_a_damaged_program_has_no_lines(place: Path, compiler: str) -> None:
    (place / "save.c").write_text(NATIVE)
    subprocess.run([compiler, "-g", "-O0", "-pthread", "save.c", "-o", "save"], cwd=place, check=True)
    data = bytearray((place / "save").read_bytes())
    whole = [DebugLines().of(str(place / "save"), at) for at in range(0x1000, 0x1400, 16)]
    assert any(line is not None and line[0].endswith("/save.c") for line in whole)
    for start in range(0x2000, len(data), 97):
        data[start] ^= 0xFF
    (place / "save").write_bytes(data)
    assert all(line is None or line[1] >= 0 for line in (DebugLines().of(str(place / "save"), 0x1180),))


def test_only_machine_code_gets_stacks(place: Path) -> None:
    (place / "script").write_text("#!/bin/sh\ntrue\n")
    wrapped = ["setarch", "-R", "strace", "-f", "--", "x"]
    assert trace_source.with_stacks(wrapped, str(place / "script")) == wrapped
    assert trace_source.with_stacks(wrapped, sys.executable) == wrapped
    assert trace_source.with_stacks(wrapped, None) == wrapped
    assert trace_source.with_stacks(["mine", "--", "x"], "/bin/true") == ["mine", "--", "x"]
    if source_stacks.shown():
        assert trace_source.with_stacks(wrapped, "/bin/true") == ["setarch", "-R", "strace", "-k", "-f", "--", "x"]


def test_the_path_of_the_hook_stands_before_the_persons_own(tmp_path: Path) -> None:
    hook = str(tmp_path / "source" / "hook")
    assert trace_source.prepare({"A": "1"}, tmp_path) == {"A": "1", "PYTHONPATH": hook}
    (tmp_path / "two").mkdir()
    found = trace_source.prepare({"PYTHONPATH": "/x:"}, tmp_path / "two")
    assert found == {"PYTHONPATH": textwrap.dedent(f"{tmp_path}/two/source/hook:/x:")}
