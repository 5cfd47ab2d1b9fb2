"""Reading strace's logs: every shape of line it writes, and logs that are damaged."""

import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.logs.strace_log import parse
from entrenar_research.errors import IntegrityError
from entrenar_research.models.trace import ProcessEnd, SystemCall, Trace
from entrenar_research.tracers.strace import TRACER

START = '7 1700000000.000001 execve("/bin/x", ["x"], 0x7ffd /* 3 vars */) = 0 <0.000100>\n'
END = "7 1700000099.000000 +++ exited with 0 +++\n"


def read(text: str) -> Trace:
    return parse(text, "trace.log", command=["x"], level="full")


def only(line: str) -> SystemCall:
    """The call of one line between a start and an end; nothing may be wrong with it."""
    trace = read(START + line + "\n" + END)
    assert trace.complete, trace.problems
    assert len(trace.calls) == 2
    return trace.calls[1]


@pytest.mark.parametrize(
    ("line", "call"),
    [
        (
            "7 5.000001 gettid()        = 7 <0.000005>",
            SystemCall(7, 5.000001, "gettid", "", "7", None, 5e-06),
        ),
        (
            '7 5.0 access("/x", R_OK) = -1 ENOENT (No such file or directory) <0.000006>',
            SystemCall(7, 5.0, "access", '"/x", R_OK', "-1", "ENOENT", 6e-06),
        ),
        (
            '7 5.0 openat(AT_FDCWD</a b>, "f", O_RDONLY) = 3</a b/f> <0.000006>',
            SystemCall(7, 5.0, "openat", 'AT_FDCWD</a b>, "f", O_RDONLY', "3</a b/f>", None, 6e-06),
        ),
        (
            "7 5.0 close(3</a>(deleted)) = 0 <0.1>",
            SystemCall(7, 5.0, "close", "3</a>(deleted)", "0", None, 0.1),
        ),
        ("7 5.0 exit_group(0)   = ?", SystemCall(7, 5.0, "exit_group", "0", "?")),
        (
            "7 5.0 pause() = ? ERESTARTNOHAND (To be restarted if no handler) <0.000087>",
            SystemCall(7, 5.0, "pause", "", "?", "ERESTARTNOHAND", 8.7e-05),
        ),
        (
            "7 5.0 fcntl(3</a>, F_GETFL) = 0x8002 (flags O_RDWR|O_LARGEFILE) <0.000005>",
            SystemCall(7, 5.0, "fcntl", "3</a>, F_GETFL", "0x8002", None, 5e-06),
        ),
        (
            "7 5.0 poll([{fd=3, events=POLLIN}], 1, 10) = 1 ([{fd=3, revents=POLLIN}]) <0.000005>",
            SystemCall(7, 5.0, "poll", "[{fd=3, events=POLLIN}], 1, 10", "1", None, 5e-06),
        ),
        (
            '7 5.0 write(1</o>, "f(x) = 3 <0.5>\\")", 15) = 15 <0.000005>',
            SystemCall(7, 5.0, "write", '1</o>, "f(x) = 3 <0.5>\\")", 15', "15", None, 5e-06),
        ),
        (
            r'7 5.0 openat(AT_FDCWD</d>, "a) = 5 \"q\"", 0) = 3</d/a\74b\76) = 5 \"q\"> <0.000005>',
            SystemCall(
                7,
                5.0,
                "openat",
                r'AT_FDCWD</d>, "a) = 5 \"q\"", 0',
                r"3</d/a\74b\76) = 5 \"q\">",
                None,
                5e-06,
            ),
        ),
        (
            "7 5.0 futex(0x7f0, FUTEX_WAIT, 2, NULL) = 0 <123.456789>",
            SystemCall(7, 5.0, "futex", "0x7f0, FUTEX_WAIT, 2, NULL", "0", None, 123.456789),
        ),
        (
            "7 5.0 restart_syscall(<... resuming interrupted read ...>) = 0 <0.000005>",
            SystemCall(7, 5.0, "restart_syscall", "<... resuming interrupted read ...>", "0", None, 5e-06),
        ),
        (
            "7 5.0 syscall_0x1c5(0x1, 0x2) = -1 ENOSYS (Function not implemented) <0.000002>",
            SystemCall(7, 5.0, "syscall_0x1c5", "0x1, 0x2", "-1", "ENOSYS", 2e-06),
        ),
    ],
)
def test_a_line_gives_its_call(line: str, call: SystemCall) -> None:
    assert only(line) == call


def test_the_halves_of_a_call_are_joined_across_processes() -> None:
    trace = read(
        START
        + "7 5.0 wait4(8,  <unfinished ...>\n"
        + '8 5.1 read(3<pipe:[1]>, "a) = 1", 6) = 6 <0.000010>\n'
        + "8 5.2 exit_group(0)     = ?\n"
        + "8 5.3 +++ exited with 0 +++\n"
        + "7 5.4 <... wait4 resumed>NULL, 0, NULL) = 8 <0.400000>\n"
        + "7 5.5 --- SIGCHLD {si_signo=SIGCHLD, si_pid=8, si_status=0} ---\n"
        + END
    )
    assert trace.complete
    assert [call.name for call in trace.calls] == ["execve", "read", "exit_group", "wait4"]
    assert trace.calls[3] == SystemCall(7, 5.0, "wait4", "8, NULL, 0, NULL", "8", None, 0.4)
    assert trace.ends == (ProcessEnd(8, 5.3, 0), ProcessEnd(7, 1700000099.0, 0))


def test_a_call_that_its_process_does_not_survive_has_no_result() -> None:
    trace = read(
        START
        + "8 5.0 read(3<pipe:[1]>,  <unfinished ...>\n"
        + "8 5.1 <... read resumed> <unfinished ...>) = ?\n"
        + "8 5.2 +++ killed by SIGKILL +++\n"
        + "9 5.3 futex(0x7f, FUTEX_WAIT, 0, NULL <unfinished ...>\n"
        + "9 5.4 <... futex resumed> <unavailable>) = ?\n"
        + "9 5.5 pause( <unfinished ...>\n"
        + "9 5.6 +++ killed by SIGSEGV (core dumped) +++\n"
        + END
    )
    assert trace.complete, trace.problems
    assert [(call.name, call.result) for call in trace.calls[1:]] == [
        ("read", "?"),
        ("futex", "?"),
        ("pause", "?"),
    ]
    assert [end.signal for end in trace.ends] == ["SIGKILL", "SIGSEGV", None]


def test_a_thread_that_executes_takes_over_its_process() -> None:
    trace = read(
        START
        + "7 5.0 pause( <unfinished ...>\n"
        + '9 5.1 execve("/bin/echo", ["echo"], 0x7ffc /* 35 vars */ <unfinished ...>\n'
        + "7 5.2 <... pause resumed>)             = ?\n"
        + "7 5.3 +++ superseded by execve in pid 9 +++\n"
        + "7 5.4 <... execve resumed>)            = 0 <0.300000>\n"
        + END
    )
    assert trace.complete, trace.problems
    assert trace.calls[-1] == SystemCall(
        7, 5.1, "execve", '"/bin/echo", ["echo"], 0x7ffc /* 35 vars */', "0", None, 0.3
    )
    assert trace.ends[0] == ProcessEnd(9, 5.3)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (START + END + "7 5.0 close(3", "cut off"),
        (START + "7 5.0 close(3) = 0 <0.000001>\n", "stops before 1 of the processes ended"),
        (START + "nothing of strace's\n" + END, "1 lines are unreadable, the first is line 2"),
        (START + "7 5.0 <... read resumed>) = 1 <0.1>\n" + END, "the first is line 2"),
        (START + "7 5.0 close(3) = \n" + END, "the first is line 2"),
        ("7 5.0 close(3) = 0 <0.000001>\n" + END, "begins with close"),
        (START + "\n" + END, "the first is line 2"),
    ],
)
def test_a_damaged_log_gives_an_incomplete_trace_that_says_why(text: str, problem: str) -> None:
    trace = read(text)
    assert not trace.complete
    assert problem in " ".join(trace.problems)


@pytest.mark.parametrize("text", ["", "\n\n", "hello\n", "{}\n", "7 5.0 --- SIGCHLD {} ---\n", "\0\xff\n"])
def test_what_is_no_log_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError, match=r"trace\.log"):
        read(text)


def test_a_log_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match="left no log"):
        TRACER.read(tmp_path / "none", command=["x"], level="full")


@given(st.data())
def test_every_cut_of_a_log_is_noticed(data: st.DataObject) -> None:
    whole = START + '7 5.0 openat(AT_FDCWD</d>, "f", O_RDONLY) = 32</d/f> <0.000006>\n' + END
    cut = whole[: data.draw(st.integers(min_value=len(START), max_value=len(whole) - 1))]
    trace = read(cut)
    assert not trace.complete
    assert set(trace.calls) <= set(read(whole).calls)


# strace(1) escapes what is not printable ASCII, quotes and backslashes, and in paths < and > too.
_PRINTED = string.ascii_letters + string.digits + " ,.;:(){}[]=+-*/%&|<>#!?'$~^_@"


def _escape(content: bytes, more: str = "") -> str:
    plain = set(_PRINTED) - set(more)
    return "".join(chr(byte) if chr(byte) in plain else f"\\{byte:03o}" for byte in content)


_STRINGS = st.binary(max_size=12).map(lambda content: f'"{_escape(content)}"')
_PATHS = st.text(_PRINTED, max_size=12).map(lambda text: "/" + _escape(text.encode(), "<>"))
_DESCRIPTORS = st.builds("{}<{}>".format, st.integers(0, 2000), _PATHS)
_PLAIN = st.sampled_from(["NULL", "0x7ffff7caa590", "O_RDONLY|O_CLOEXEC", "-1", "{st_mode=S_IFREG|0644, ...}"])
_NESTED = _STRINGS.map(lambda text: f"[{{iov_base={text}, iov_len=3}}, makedev(0x1, 0x3)]")
_ARGUMENTS = st.lists(st.one_of(_STRINGS, _DESCRIPTORS, _PLAIN, _NESTED), max_size=5).map(", ".join)
_DURATIONS = st.integers(0, 10**9).map(lambda microseconds: microseconds / 1e6)
_RESULTS = st.one_of(
    st.tuples(st.one_of(st.integers(0, 2**40).map(str), _DESCRIPTORS, st.just("0x7f3e1c000000")), st.none()),
    st.tuples(st.just("-1"), st.sampled_from(["ENOENT", "EAGAIN", "E2BIG"])),
)


@st.composite
def calls(draw: st.DrawFn) -> SystemCall:
    result, error = draw(_RESULTS)
    return SystemCall(
        pid=draw(st.integers(1, 4_194_304)),
        time=draw(st.integers(0, 2_000_000_000_000_000)) / 1e6,
        name=draw(st.sampled_from(["openat", "read", "pwrite64", "clone3", "sendmsg"])),
        arguments=draw(_ARGUMENTS),
        result=result,
        error=error,
        duration=draw(_DURATIONS),
    )


def _line(call: SystemCall) -> str:
    said = f" {call.error} (What it means, in words)" if call.error else ""
    start = f"{call.pid:<5} {call.time:.6f} {call.name}({call.arguments})"
    return f"{start} = {call.result}{said} <{call.duration:.6f}>\n"


@given(st.lists(calls(), min_size=1, max_size=6))
def test_what_is_written_as_strace_does_is_read_back(written: list[SystemCall]) -> None:
    assert list(read("".join(map(_line, written))).calls) == written


@given(calls(), st.data())
def test_a_call_is_the_same_in_two_halves(call: SystemCall, data: st.DataObject) -> None:
    begun = data.draw(st.integers(0, len(call.arguments)))
    line = _line(call)
    head = f"{call.pid:<5} {call.time:.6f} {call.name}("
    halves = (
        f"{head}{call.arguments[:begun]} <unfinished ...>\n"
        f"{call.pid} {call.time + 1:.6f} <... {call.name} resumed>{call.arguments[begun:]}"
        + line[len(head) + len(call.arguments) :]
    )
    assert read(halves).calls == (call,)


def test_remarks_about_the_processor_are_no_damage() -> None:
    for remark in ("[ Process PID=7 runs in 32 bit mode. ]", "strace: [ Process PID=7 runs in x32 mode. ]"):
        trace = read(f"{START}7 5.0 {remark}\n7 5.1 getpid() = 7 <0.000001>\n{END}")
        assert trace.complete, trace.problems


def test_a_process_that_strace_let_go_is_told() -> None:
    trace = read(
        START
        + "7 5.0 close(3) = 0 <0.000001>\n"
        + "7 5.1 wait4(-1,  <detached ...>\n"
        + "8 5.2 read(3,  <unfinished ...>\n"
        + "8 5.3 <... read resumed> <detached ...>\n"
    )
    assert [(call.name, call.result) for call in trace.calls[2:]] == [("wait4", "?"), ("read", "?")]
    assert trace.problems == ("strace was detached from 2 of the processes",)
    assert not trace.complete


@pytest.mark.parametrize(
    "content",
    ["x" * 65_536, '\\"' * 30_000, ") = 3 <0.000001> " * 4_000, "\\n\\t\\377\\0" * 8_000, "(((" * 20_000],
)
def test_long_arguments_are_read_in_no_time(content: str) -> None:
    call = only(f'7 5.0 write(1</o>, "{content}", 9)           = 9 <0.000005>')
    assert call == SystemCall(7, 5.0, "write", f'1</o>, "{content}", 9', "9", None, 5e-06)


def test_the_command_of_a_foreign_log_is_that_of_its_first_execve() -> None:
    text = START.replace('["x"]', '["x", "a\\nb", "long"...]') + END
    trace = parse(text, "trace.log", command=None, level="full", form=None)
    assert trace.command == ("x", "a\nb", "long...")
