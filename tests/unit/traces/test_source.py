"""Marks, stacks and calls put together by hand; the document of it; the hook's own file."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.client import source_hook
from entrenar_research.core.traces import document, normalisation
from entrenar_research.core.traces.logs import frames
from entrenar_research.core.traces.logs.frames import Frame
from entrenar_research.core.traces.names import Names
from entrenar_research.core.traces.processes import Processes
from entrenar_research.core.traces.sources import source, source_document, source_marks
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import TraceDocument
from entrenar_research.models.source import SourceDocument, SourceLocation
from entrenar_research.models.trace import Trace
from tests.unit.traces.conftest import TraceOf

BEGAN = 1700000000_000_000_000
MS = 1_000_000


def marks_of(*rows: tuple[float, int, str, int], detail: str = "") -> bytes:
    """A file of marks `(milliseconds, thread, event, line)` of /s/a.py, as the hook writes it."""
    known: dict[int, int] = {}
    text = ""
    for moment, thread, event, line in rows:
        if line not in known:
            known[line] = len(known)
            text += f"L\t{known[line]}\t/s/a.py\t{line}\tmain\n"
        text += f"M\t{BEGAN + round(moment * MS)}\t{thread}\t{event}\t{detail}\t{known[line]}\n"
    return text.encode()


def documented(trace: Trace) -> TraceDocument:
    steps = normalisation.normalised_steps(trace, replacements={"/s": "$STUDY"})
    return document.document(trace, steps, version=None, replacements={"/s": "$STUDY"})


def correlated(
    trace: Trace,
    *files: bytes,
    stacks: frames.Stacks | None = None,
    lines: Callable[[str, int], tuple[str, int] | None] = lambda file, place: None,
) -> SourceDocument:
    evidence = source.Evidence(marks=source_marks.read(files), stacks=stacks or {}, lines=lines)
    names = Names(trace, Processes(trace), {"/s": "$STUDY"})
    return source.correlate(trace, documented(trace), names, evidence)


def told(found: SourceDocument) -> list[tuple[int | None, str] | None]:
    """For each call line and way, or None."""
    rows: list[tuple[int | None, str] | None] = [None] * found.recorded
    for run in found.calls:
        for place in range(run.first, run.first + run.count):
            rows[place] = (found.locations[run.location].line, run.how)
    return rows


START = '7 execve("./run", ["./run"], 0x1 /* 2 vars */) = 0'


def test_an_act_explains_its_call_and_a_descriptor_leads_back_to_its_opening(trace_of: TraceOf) -> None:
    trace = trace_of(
        START,
        '7 openat(AT_FDCWD</s>, "/s/a", O_RDONLY) = 3</s/a>',
        "7 fstat(3</s/a>, {st_mode=S_IFREG|0644, st_size=1, ...}) = 0",
        '7 openat(AT_FDCWD</s>, "/s/b", O_RDONLY) = 4</s/b>',  # by no act of the interpreter's
        '7 read(3</s/a>, "x"..., 10) = 10',
        '7 read(4</s/b>, "x"..., 10) = 10',
        "7 dup(3</s/a>) = 5</s/a>",
        "7 close(3</s/a>) = 0",
        "7 lseek(5</s/a>, 0, SEEK_SET) = 0",
        '7 openat(AT_FDCWD</s>, "/s/c", O_RDONLY) = 3</s/c>',
        "7 mmap(NULL, 9, PROT_READ, MAP_PRIVATE, 5</s/a>, 0) = 0x7f0000000000",
        "7 mmap(NULL, 9, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f0000000000",
        '7 mkdir("/s/d", 0777) = -1 EEXIST (File exists)',
    )
    found = correlated(trace, marks_of((0.5, 7, "open", 11), (8.5, 7, "os.listdir", 12), (11.5, 7, "os.mkdir", 13)))
    opened = (11, "opened at")
    assert told(found) == [
        None, (11, "audit"), opened, None, opened, None, opened, opened, opened, (12, "audit"), opened, None,
        (13, "audit"),
    ]  # fmt: skip
    assert [location.file for location in found.locations] == ["$STUDY/a.py"] * 3
    assert (found.correlated, found.recorded, found.marks, found.unreadable) == (9, 13, 3, 0)


def test_an_interrupted_call_does_not_use_an_act_up(trace_of: TraceOf) -> None:
    call = '7 openat(AT_FDCWD</s>, "/s/a", O_RDONLY) = '
    trace = trace_of(START, f"{call}-1 EINTR (Interrupted system call)", f"{call}3</s/a>", f"{call}4</s/a>")
    assert told(correlated(trace, marks_of((0.5, 7, "open", 1)))) == [None, (1, "audit"), (1, "audit"), None]


def test_an_import_explains_the_search_for_its_module_only(trace_of: TraceOf) -> None:
    trace = trace_of(
        START,
        '7 newfstatat(AT_FDCWD</s>, "/s", {st_mode=S_IFDIR|0755, st_size=9, ...}, 0) = 0',
        '7 newfstatat(AT_FDCWD</s>, "/s/deep.py", 0x1, 0) = -1 ENOENT (No such file or directory)',
        '7 openat(AT_FDCWD</s>, "/s/deep.so", O_RDONLY|O_CLOEXEC) = 3</s/deep.so>',
        '7 openat(AT_FDCWD</s>, "/s/libc.so", O_RDONLY|O_CLOEXEC) = 4</s/libc.so>',
        '7 newfstatat(AT_FDCWD</s>, "/s/other", {st_mode=S_IFREG|0644, st_size=9, ...}, 0) = 0',
    )
    found = correlated(trace, marks_of((0.5, 7, "import", 3), detail="package.deep"))
    assert told(found) == [None, *[(3, "audit")] * 4, None]


def test_marks_are_those_of_a_thread(trace_of: TraceOf) -> None:
    thread = "7 clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD}, 88) = 8"
    trace = trace_of(
        START,
        thread,
        '8 openat(AT_FDCWD</s>, "/s/a", O_RDONLY) = 3</s/a>',
        '7 openat(AT_FDCWD</s>, "/s/b", O_RDONLY) = 4</s/b>',
        '7 read(3</s/a>, "x"..., 10) = 10',  # threads share their descriptors
    )
    found = correlated(trace, marks_of((0.2, 7, "open", 1), (1.5, 8, "open", 2)))
    assert told(found) == [None, None, (2, "audit"), (1, "audit"), (2, "opened at")]


def test_what_a_new_process_does_before_its_program_belongs_to_who_started_it(trace_of: TraceOf) -> None:
    trace = trace_of(
        START,
        "7 pipe2([3<pipe:[1]>, 4<pipe:[1]>], O_CLOEXEC) = 0",
        "7 vfork() = 8",
        "8 close(3<pipe:[1]>) = 0",
        "8 rt_sigaction(SIGPIPE, {sa_handler=SIG_DFL}, NULL, 8) = 0",
        '8 execve("/bin/true", ["true"], 0x1 /* 2 vars */) = 0',
        "8 brk(NULL) = 0x1000",
        '7 read(3<pipe:[1]>, "", 10) = 0',
        "7 vfork() = 9",
    )
    found = correlated(trace, marks_of((0.5, 7, "subprocess.Popen", 5)))
    audit, opened = (5, "audit"), (5, "opened at")
    assert told(found) == [None, audit, audit, opened, audit, audit, None, opened, None]


def test_a_vfork_that_ends_after_the_calls_of_its_child_tells_their_place(trace_of: TraceOf) -> None:
    trace = trace_of(
        START,
        "7 vfork( <unfinished ...>",
        '8 execve("/nowhere/true", ["true"], 0x1 /* 2 vars */) = -1 ENOENT (No such file or directory)',
        '8 execve("/bin/true", ["true"], 0x1 /* 2 vars */) = 0',
        "7 <... vfork resumed>) = 8",
    )
    assert [call.name for call in trace.calls] == ["execve", "execve", "execve", "vfork"]
    assert told(correlated(trace, marks_of((0.5, 7, "subprocess.Popen", 5)))) == [None, *[(5, "audit")] * 3]


def test_places_are_named_and_the_nearest_code_of_ones_own_is_kept(trace_of: TraceOf) -> None:
    trace = trace_of(START, '7 mkdir("/s/d", 0777) = 0', '7 rmdir("/s/d") = 0')
    mark = f"M\t{BEGAN + MS // 2}\t7\tos.mkdir\t\t0\nM\t{BEGAN + 3 * MS // 2}\t7\tos.rmdir\t\t1\n"
    text = f"L\t0\t/usr/lib/os.py\t9\tmakedirs\t/home/ada/x.py\t2\tmain\nL\t1\t/home/ada/x.py\t2\tmain\n{mark}"
    found = correlated(trace, text.encode())
    assert [tuple(msgspec.to_builtins(row)) for row in found.locations] == [
        ("$HOME/x.py", 2, "main", None), ("/usr/lib/os.py", 9, "makedirs", 0),
    ]  # fmt: skip
    assert [(run.first, run.location) for run in found.calls] == [(1, 1), (2, 0)]


def test_names_that_are_no_utf_8_can_be_written_down(trace_of: TraceOf) -> None:
    trace = trace_of(START, '7 mkdir("/s/d", 0777) = 0')
    marks = b"L\t0\t/s/\xff.py\t9\t\xff\nM\t%d\t7\tos.mkdir\t\t0\n" % (BEGAN + MS // 2)
    found = correlated(trace, marks)
    assert found.locations[0] == SourceLocation("$STUDY/\\udcff.py", 9, "\\udcff", None)
    assert source_document.decode(source_document.encode(found), "x") == found


def test_stacks_come_first_and_show_the_innermost_code_with_lines(trace_of: TraceOf) -> None:
    trace = trace_of(START, "7 getpid() = 7", "7 getuid() = 0", "7 getgid() = 0")
    libc, own = Frame("/usr/lib/libc.so.6", 9, "__write"), Frame("/home/ada/a.out", 17, "save")
    at = BEGAN // 1000
    stacks = {(7, at + 1000): (libc, own), (7, at + 2000): (libc,), (7, at + 3000): (libc, Frame("/s/b", 1, "go"))}
    found = correlated(
        trace, stacks=stacks, lines=lambda file, place: ("/s/src/a.c", 21) if (file, place) == own_place else None
    )
    assert told(found) == [None, (21, "stack"), (None, "stack"), (None, "stack")]
    assert [(row.file, row.function) for row in found.locations] == [
        ("$STUDY/src/a.c", "save"), ("/usr/lib/libc.so.6", "__write"), ("$STUDY/b", "go"),
    ]  # fmt: skip


own_place = ("/home/ada/a.out", 17)


# --- the log of strace -k


def test_a_log_is_divided_into_what_it_is_without_stacks_and_the_stacks() -> None:
    plain = (
        "7 1.000001 read(3, <unfinished ...>\n"
        "8 1.000002 getpid() = 8 <0.000001>\n"
        '7 1.000003 <... read resumed>"x", 1) = 1 <0.000002>\n'
        "8 1.000004 --- SIGCHLD {si_signo=SIGCHLD} ---\n"
        "7 1.000005 exit(0) = ?\n"
        "7 1.000006 +++ exited with 0 +++\n"
    )
    lines = plain.splitlines(keepends=True)
    frame = " > /home/a b/x(y)(f(int (*)())+0x1f) [0x1158]\n"
    text = "".join([*lines[:2], frame, lines[2], " > [vdso]() [0x1]\n", frame, *lines[3:], frame, " > nonsense\n"])
    found = frames.divide(text)
    assert found.log == plain
    whole = Frame("/home/a b/x", 0x1158, "y)(f(int (*)())")
    assert found.stacks == {
        (8, 1_000_002): (whole,), (7, 1_000_001): (Frame("[vdso]", 1, ""), whole), (7, 1_000_005): (whole,),
    }  # fmt: skip
    assert found.unreadable == 1
    assert frames.divide(plain) == frames.Divided(plain, {}, 0)


# --- marks


@given(st.lists(st.binary(max_size=60), max_size=3))
def test_no_bytes_break_the_reading_of_marks(files: list[bytes]) -> None:
    found = source_marks.read(files)
    assert found.unreadable <= sum(data.count(b"\n") + 1 for data in files)


@given(st.binary(max_size=30).map(os.fsdecode))
def test_what_the_hook_writes_is_read_back(text: str) -> None:
    field = source_hook._field(text)
    line = f"L\t0\t{field}\t3\t{field}\nM\t5\t7\topen\t{field}\t0\n"
    found = source_marks.read([line.encode("utf-8", "surrogateescape")])
    assert found.unreadable == 0
    assert found.marks == (source_marks.Mark(5, 7, "open", text, ((text, 3, text),)),)


def test_a_line_that_was_cut_off_is_counted_and_the_rest_read() -> None:
    whole = marks_of((1, 7, "open", 3), (2, 7, "open", 4))
    found = source_marks.read([whole[:-5]])
    assert (len(found.marks), found.unreadable) == (1, 1)
    assert source_marks.read([b"M\t1\t7\topen\t\t0\n"]).unreadable == 1  # a place that was never told


def test_every_act_that_is_marked_is_explained() -> None:
    assert set(source_marks.EXPLAINED) == source_hook.EVENTS
    assert source_marks.STARTS <= source_hook.EVENTS


def test_the_hook_loads_no_module_that_could_be_seen() -> None:
    tree = ast.parse(Path(source_hook.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
    loaded = [name.name for node in tree.body if isinstance(node, ast.Import) for name in node.names]
    loaded += [node.module or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    frozen = {"_frozen_importlib", "_frozen_importlib_external"}  # not listed, and in every interpreter
    assert set(loaded) == {"posix", "sys", "time", "_thread"} | frozen
    assert set(loaded) - frozen <= set(sys.builtin_module_names)


# --- the document


@pytest.fixture
def made(trace_of: TraceOf) -> SourceDocument:
    trace = trace_of(START, '7 mkdir("/s/d", 0777) = 0', '7 rmdir("/s/d") = 0', "7 getpid() = 7")
    return correlated(trace, marks_of((0.5, 7, "os.mkdir", 1), (1.5, 7, "os.rmdir", 1)))


def test_the_document_reads_back_and_is_one_row_a_line(made: SourceDocument) -> None:
    data = source_document.encode(made)
    assert source_document.decode(data, "x_source.json") == made
    assert b'    ["$STUDY/a.py",1,"main",null]\n' in data
    assert b'    [1,2,0,"audit",null]\n' in data
    empty = msgspec.structs.replace(made, correlated=0, locations=(), calls=())
    assert source_document.decode(source_document.encode(empty), "x") == empty


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (b'"schema": 1', b'"schema": 2', "schema 2, this version reads schema 1"),
        (b'"correlated": 2', b'"correlated": 3', "3 of 4 calls are said to be correlated, 2 up to number 3"),
        (b'"recorded": 4', b'"recorded": 2', "2 of 2 calls"),
        (b'[1,2,0,"audit",null]', b'[1,2,1,"audit",null]', "a location that is not there"),
        (b'[1,2,0,"audit",null]', b'[1,1,0,"audit",null],[1,1,0,"audit",null]', "not in order"),
        (b'[1,2,0,"audit",null]', b'[1,2,0,"guess",null]', "Invalid enum value"),
        (b'"main",null]', b'"main",4]', "a location that is not there"),
        (b'"main"', b'"mail" ', "not as this tool writes them"),
        (b"{\n", b"{\xff", "no document of where calls come from"),
        (b"{\n", b"[\n", "no document of where calls come from"),
    ],
)
def test_a_document_that_was_touched_is_refused(made: SourceDocument, before: bytes, after: bytes, words: str) -> None:
    data = source_document.encode(made)
    assert before in data
    with pytest.raises(IntegrityError, match=words):
        source_document.decode(data.replace(before, after, 1), "x_source.json")
