"""The JSON document of a trace."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrenar_research.core.traces.document import SCHEMA, decode, document, encode
from entrenar_research.core.traces.document import trace_of as trace_of_document
from entrenar_research.core.traces.logs.strace_log import parse
from entrenar_research.core.traces.normalisation import counts_of, normalised_steps, trace_id
from entrenar_research.errors import IntegrityError
from entrenar_research.models.documented import (
    DocumentedCall,
    DocumentedEnd,
    DocumentedExit,
    DocumentedLine,
    DocumentedSpan,
    TraceDocument,
)
from entrenar_research.models.trace import Trace
from tests.unit.traces.conftest import log_of

TraceOf = Callable[..., Trace]

CALLS = (
    DocumentedCall(7, 7, 0, 12, "execve", '"/bin/x", ["x", "\\303\\251"]', "0", None, None),
    DocumentedCall(7, 8, 40, None, "exit_group", "0", "?", None, "00f067aa0ba902b7"),
)
LINES = ["1 execve(/bin/x, [x, été]) = ok", '1 openat($STUDY/a "b", O_RDONLY) = ok', "1 exit(0)"]


def made(lines: list[str], **changes: Any) -> TraceDocument:
    whole = TraceDocument(
        schema=SCHEMA,
        tracer="strace",
        tracer_version="6.1",
        level="full",
        rules=1,
        command=("x", "été"),
        exit=DocumentedExit(status=0, signal=None),
        complete=True,
        problems=(),
        lost=0,
        recorded=len(CALLS),
        counts=counts_of(lines),
        trace_id=trace_id(lines),
        spans=(DocumentedSpan("00f067aa0ba902b7", None, "epoch", '{"index":1}', 7, 5, None, False),),
        ends=(DocumentedEnd(7, 90, 0, None),),
        lines=tuple(DocumentedLine(line, 10 * place, 3) for place, line in enumerate(lines)),
        calls=CALLS,
    )
    return msgspec.structs.replace(whole, **changes)


WHOLE = encode(made(LINES))


def test_one_call_stands_on_one_line() -> None:
    lines = WHOLE.decode().splitlines()
    assert '    ["1 execve(/bin/x, [x, été]) = ok",0,3],' in lines
    assert '    [7,8,40,null,"exit_group","0","?",null,"00f067aa0ba902b7"]' in lines
    assert json.loads(WHOLE)["counts"] == {"execve": 1, "exit": 1, "openat": 1}
    assert decode(WHOLE, "x.json") == made(LINES)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a trace document"),
        (b"{}", "its `schema` is missing, expected the number 2"),
        (WHOLE.replace(b'"schema": 2', b'"schema": "2"'), 'its `schema` is "2", expected the number 2'),
        (WHOLE.replace(b'"schema": 2', b'"schema": true'), "its `schema` is true, expected the number 2"),
        (WHOLE.replace(b'"schema": 2', b'"schema": 2.0'), r"its `schema` is 2.0, expected the number 2"),
        (b"=== Training Loop Example ===\n", "not a trace document"),
        (encode(made([])), "no calls"),
        (encode(made(LINES, counts={"execve": 3})), "the counts are not those"),
        (encode(made(LINES, trace_id=trace_id([]))), "trace_id says"),
        (encode(made(LINES, schema=1)), "schema 1, this version reads"),
        (encode(made(LINES, schema=SCHEMA + 1)), f"schema {SCHEMA + 1}, this version reads"),
        (encode(made(LINES, calls=())), "no calls"),
        (encode(made(LINES, calls=CALLS[:1])), "2 calls were recorded, 1 are listed"),
        (WHOLE.replace(b'"complete"', b'"surprise": 1, "complete"'), "not a trace document"),
        (WHOLE.replace(b": 2,", b":2,"), "not as this tool writes"),
        (WHOLE + b"\n", "not as this tool writes"),
        (WHOLE[:-3], "not a trace document"),
    ],
)
def test_what_is_empty_contradictory_or_touched_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(IntegrityError, match=reason):
        decode(data, "x.json")


@given(st.data())
@settings(max_examples=300)
def test_a_flipped_bit_is_refused_or_seen_in_the_content(data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(WHOLE) - 1))
    touched = bytearray(WHOLE)
    touched[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = decode(bytes(touched), "x.json")
    except IntegrityError:
        return
    assert found != made(LINES)


def test_every_byte_of_every_call_is_covered_by_the_digest() -> None:
    start = WHOLE.index(b'["1 execve')
    for place in range(start, WHOLE.index(b'",0,3]')):
        touched = bytearray(WHOLE)
        touched[place] ^= 1
        with pytest.raises(IntegrityError):
            decode(bytes(touched), "x.json")


@given(
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1),
    st.text(st.characters(codec="utf-8")),
    st.integers(-(2**40), 2**40),
)
def test_any_document_is_read_back(lines: list[str], word: str, number: int) -> None:
    written = made(lines, command=(word,), lost=number, problems=(word,))
    assert decode(encode(written), "x.json") == written


def test_a_trace_becomes_a_document_without_this_machines_paths(trace_of: TraceOf) -> None:
    trace = trace_of(
        '1 execve("/home/ada/study/run", ["./run", "/home/ada/study/in"], 0x1) = 0',
        '1 openat(AT_FDCWD</home/ada/study>, "in", O_RDONLY) = 3</home/ada/study/in>',
        '1 read(3</home/ada/study/in>, "secret", 4096) = 6',
        '1 openat(AT_FDCWD</home/ada/study>, "/home/ada/.token", O_RDONLY) = 4</home/ada/.token>',
        '1 openat(AT_FDCWD</home/ada/study>, "/scratch/ada/x.bin", O_RDONLY) = 5</scratch/ada/x.bin>',
        "1 exit_group(0) = ?",
        "1 +++ exited with 0 +++",
    )
    replacements = {"/home/ada/study": "$STUDY"}
    steps = normalised_steps(trace, replacements=replacements)
    data = encode(document(trace, steps, version="6.1", replacements=replacements))
    found = decode(data, "x.json")
    assert found.exit == DocumentedExit(status=0, signal=None)
    assert found.recorded == 6
    assert found.texts == (
        "1 execve($STUDY/run, [./run, $STUDY/in]) = ok",
        "1 openat($STUDY/in, O_RDONLY) = ok",
        "1 read($STUDY/in) = 6",
        "1 openat($HOME/.token, O_RDONLY) = ok",
        "1 openat($ELSEWHERE/x.bin, O_RDONLY) = ok",
        "1 exit(0)",
    )
    assert [line.began for line in found.lines] == [0, 1000, 2000, 3000, 4000, 6000]
    assert [call.arguments for call in found.calls] == [
        '"$STUDY/run", ["./run", "$STUDY/in"], 0x1',
        'AT_FDCWD<$STUDY>, "in", O_RDONLY',
        '3<$STUDY/in>, "...", 4096',
        'AT_FDCWD<$STUDY>, "$HOME/.token", O_RDONLY',
        'AT_FDCWD<$STUDY>, "$ELSEWHERE/x.bin", O_RDONLY',
        "0",
    ]
    assert found.calls[1].result == "3<$STUDY/in>"
    assert [call.name for call in trace_of_document(found).calls] == [call.name for call in trace.calls]
    assert b"ada" not in data
    assert b"secret" not in data


HERE = "/home/ada/study/deep"
DETOURS = st.lists(
    st.sampled_from(
        ["/", "/./", "/usr/../", "/home/../", "/tmp/.././", "/home/eve/../../", "/proc/self/root/", "/proc/9/root/",
         "/proc/thread-self/root//", "/proc/self/task/9/root/./", "/home/ada/../../", f"{HERE}/../../../../",
         "/root/../"]
    ),
    min_size=1, max_size=3,
)  # fmt: skip
RELATIVE = st.sampled_from(["../../../", "x/../../../../", "./../../../", ".././/../../", "../../../../home/"])
HOMES = st.one_of(
    DETOURS.map(lambda parts: "".join(parts) + "home/zaphod"),
    DETOURS.map(lambda parts: "".join(parts) + "home/./zaphod"),
    DETOURS.map(lambda parts: "".join(parts) + "/home//zaphod"),
    DETOURS.map(lambda parts: "".join(parts) + "home/ada/../zaphod"),
    RELATIVE.map(lambda up: f"{up}zaphod"),
)
ENDS = st.sampled_from(["", "/", "/x", "/../zaphod/x", "/.", "/../../usr/lib/x"])
CALLS_OF = [
    'openat(AT_FDCWD<{here}>, "{path}", O_RDONLY) = 3</home/zaphod/x>',
    'openat(4<{here}>, "{path}", O_RDONLY) = -1 ENOENT (No such file or directory)',
    'open("{path}", O_RDONLY) = -1 ENOENT (No such file or directory)',
    'stat("{path}", {{st_mode=S_IFREG|0644, st_size=9, ...}}) = 0',
    'chdir("{path}") = 0',
    'rename("in", "{path}") = 0',
    'readlink("link", "{path}", 4096) = 9',
    'execve("/usr/bin/cc", ["cc", "{path}", "--in={path}", "a:{path}", "({path})"], 0x1) = 0',
]
GLUED = ["-I/home/zaphod/x", "-L//home/zaphod", "@/home/zaphod/x", "file:///home/zaphod/x", "ssh://h:22/home/zaphod/x"]


@given(HOMES, ENDS, st.sampled_from(CALLS_OF))
@settings(max_examples=600)
def test_no_spelling_of_a_home_directory_is_published(home: str, end: str, call: str) -> None:
    shown = call.format(here=HERE, path=home + end)
    trace = parse(
        log_of(
            '7 execve("/usr/bin/x", ["x"], 0x1) = 0',
            f'7 newfstatat(AT_FDCWD<{HERE}>, "", {{st_mode=S_IFDIR|0755, ...}}, 0) = 0',
            f"7 {shown}",
            "7 +++ exited with 0 +++",
        ),
        "log", command=["x", home + end], level="full",
    )  # fmt: skip
    for replacements in ({}, {"/home/ada/study": "$STUDY"}, {"/srv": "$STUDY", "/usr/lib/x": "$PYTHON"}):
        steps = normalised_steps(trace, replacements=replacements)
        assert b"zaphod" not in encode(document(trace, steps, version="6.1", replacements=replacements))


@pytest.mark.parametrize("word", GLUED)
def test_a_home_directory_within_a_word_is_not_published(trace_of: TraceOf, word: str) -> None:
    trace = trace_of(f'1 execve("/usr/bin/x", ["x", "{word}"], 0x1) = 0')
    steps = normalised_steps(trace, replacements={})
    data = encode(document(trace, steps, version="6.1", replacements={}))
    assert b"$HOME" in data
    assert b"zaphod" not in data


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3.11/../x", "/usr//lib/x", "/proc/self/root/etc/hostname", "/proc/self/status", "../in",
        "a/../b", "$STUDY/a/../b", "$STUDY/deep//x", "$STUDY/../other/x", "../../other/x", "a..b", "...", "http://h//a/../b",
        "../../../../../usr/lib/x", "//server/share",
    ],
)  # fmt: skip
def test_other_paths_keep_their_spelling(trace_of: TraceOf, path: str) -> None:
    spelled = path.replace("$STUDY", "/home/ada/study")
    trace = trace_of(
        '1 execve("/usr/bin/x", ["x"], 0x1) = 0',
        f'1 openat(AT_FDCWD<{HERE}>, "in", O_RDONLY) = 3<{HERE}/in>',
        f'1 execve("/usr/bin/y", ["y", "{spelled}", "--x={spelled}"], 0x1) = 0',
    )
    replacements = {"/home/ada/study": "$STUDY"}
    steps = normalised_steps(trace, replacements=replacements)
    found = document(trace, steps, version="6.1", replacements=replacements)
    assert found.texts[-1] == f"1 execve(/usr/bin/y, [y, {path}, --x={path}]) = ok"
    assert found.calls[-1].arguments == f'"/usr/bin/y", ["y", "{path}", "--x={path}"], 0x1'


def test_a_trace_without_calls_is_not_documented(trace_of: TraceOf) -> None:
    trace = trace_of('1 execve("/bin/x", ["x"], 0x1) = 0')
    with pytest.raises(IntegrityError, match="no calls"):
        document(trace, (), version=None, replacements={})
