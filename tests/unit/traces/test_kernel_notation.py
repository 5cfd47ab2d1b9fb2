"""What the kernel tracer writes of a call: strace's notation, as `core.traces.syntax` reads it; its tables."""

import platform
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.syntax import descriptor, end_of_arguments, internet_addresses, unquote
from entrenar_research.tools.kernel_ring import command, log, numbers, seccomp, signatures
from entrenar_research.tools.kernel_ring.flags import Flags, octal, signal_name
from entrenar_research.tools.kernel_ring.notation import (
    Moment,
    Notation,
    escaped,
    outcome,
    quoted,
    shown,
    socket_address,
)

MACHINES = sorted(numbers.AUDIT_ARCHITECTURES)
HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


@given(st.binary(max_size=60))
def test_a_string_reads_back(content: bytes) -> None:
    text = quoted(content, None)
    assert text.isascii()
    assert text.isprintable()
    assert unquote(text) == content.decode("utf-8", "backslashreplace")
    assert end_of_arguments(f"{text}, 3) = 0") == len(text) + 3


@given(st.integers(0, 1000), st.binary(max_size=40))
def test_a_path_behind_a_descriptor_reads_back(number: int, path: bytes) -> None:
    assert descriptor(shown(number, path)) == (number, path.decode("utf-8", "backslashreplace"))


def test_a_long_string_is_cut() -> None:
    assert quoted(b"x" * 256) == '"' + "x" * 256 + '"'
    assert quoted(b"x" * 257) == '"' + "x" * 256 + '"...'


@pytest.mark.parametrize(
    ("content", "text"),
    [(b'a"b\\', r"a\"b\\"), (b"\n\t\x01", r"\n\t\1"), (b"\x017", r"\0017"), (b"\xff9", r"\3779"), (b"<>", "<>")],
)
def test_strings_are_escaped_as_strace_does(content: bytes, text: str) -> None:
    assert escaped(content) == text


def test_a_deleted_file_is_told() -> None:
    assert shown(3, b"/tmp/x (deleted)") == "3</tmp/x>(deleted)"
    assert shown(3, None) == "3"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, ("0", None)),
        (7, ("7", None)),
        (-2, ("-1", "ENOENT")),
        (-512, ("?", "ERESTARTSYS")),
        (-4000, ("-1", "ERRNO_4000")),
    ],
)
def test_results(value: int, told: tuple[str, str | None]) -> None:
    assert outcome(value) == told


ADDRESS6 = struct.pack("=H", 10) + struct.pack(">HI", 80, 0) + bytes(15) + b"\1" + struct.pack("=I", 0)


def test_addresses_of_sockets_are_found_again() -> None:
    address4 = struct.pack("=H", 2) + struct.pack(">H", 8080) + bytes([127, 0, 0, 1]) + bytes(8)
    assert internet_addresses(socket_address(address4)) == ["127.0.0.1:8080"]
    assert internet_addresses(socket_address(ADDRESS6)) == ["[::1]:80"]
    assert socket_address(b"\1\0/run/x\0junk") == '{sa_family=AF_UNIX, sun_path="/run/x"}'
    assert socket_address(b"\1\0\0name") == '{sa_family=AF_UNIX, sun_path=@"name"}'


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("open", 0, "O_RDONLY"),
        ("open", 0o2001102, "O_RDWR|O_CREAT|O_TRUNC|O_CLOEXEC"),
        ("open", 0o20200001, "O_WRONLY|O_TMPFILE"),
        ("open", 0o2200000, "O_RDONLY|O_DIRECTORY|O_CLOEXEC"),
        ("open", 0o4010000, "O_RDONLY|O_SYNC"),
        ("open3", 0o2004000, "O_NONBLOCK|O_CLOEXEC"),
        ("open3", 0, "0"),
        ("map", 0x22, "MAP_PRIVATE|MAP_ANONYMOUS"),
        ("map", 0x812, "MAP_PRIVATE|MAP_FIXED|MAP_DENYWRITE"),
        ("prot", 0, "PROT_NONE"),
        ("prot", 5, "PROT_READ|PROT_EXEC"),
        ("access", 0, "F_OK"),
        ("access", 5, "R_OK|X_OK"),
        ("seek", 2, "SEEK_END"),
        ("socktype", 0o2000001, "SOCK_STREAM|SOCK_CLOEXEC"),
        ("clone", 0x11, "SIGCHLD"),
        ("clone", 0x1200011, "CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD"),
        ("mknod", 0o10600, "S_IFIFO|0600"),
        ("mknod", 0o104755, "S_IFREG|S_ISUID|0755"),
        ("flock", 6, "LOCK_EX|LOCK_NB"),
        ("namespaces", 0x80, "CLONE_NEWTIME"),
        ("random", 0x41, "GRND_NONBLOCK|0x40"),
    ],
)
def test_flags_have_names(kind: str, value: int, text: str) -> None:
    assert Flags("x86_64").text(kind, value) == text


def test_processors_differ_in_the_flags_of_open() -> None:
    assert Flags("aarch64").text("open", 0o40000) == "O_RDONLY|O_DIRECTORY"
    assert Flags("x86_64").text("open", 0o40000) == "O_RDONLY|O_DIRECT"


def test_modes_and_signals() -> None:
    assert [octal(mode) for mode in (0, 7, 0o77, 0o644, 0o1777)] == ["000", "007", "077", "0644", "01777"]
    assert [signal_name(number) for number in (9, 32, 34, 64)] == ["SIGKILL", "SIGRTMIN", "SIGRT_2", "SIGRT_32"]


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_can_be_written(machine: str) -> None:
    notation = Notation(machine)
    for name in numbers.names(machine).values():
        for failed in (True, False):
            for value in (0, 1, 2**64 - 1):
                moment = Moment(name, [value] * 6, {}, {}, b"/", failed, 0)
                assert "\n" not in notation.arguments(moment)


def test_what_was_read_at_stops_is_written() -> None:
    notation = Notation("x86_64")
    stat = bytes(24) + struct.pack("=I", 0o100644) + bytes(20) + struct.pack("=q", 77) + bytes(8)
    here, fstat, fd = 2**64 - 100, 0x1000, {0: b"/f"}
    pair = {log.AFTER: b"3\0pipe:[1]\0004\0pipe:[1]\0"}
    flags = {0: (0x10200).to_bytes(8, "little")}
    threads = "{flags=CLONE_FS|CLONE_THREAD, exit_signal=0, ...}, 8"
    made = r'AT_FDCWD</\74>, "a", O_WRONLY|O_CREAT, 0600'
    shown_stat = '3, "x", {st_mode=S_IFREG|0644, st_size=77, ...}, 0'
    cases = [
        (Moment("openat", [here, 1, 0o101, 0o600], {1: b"a"}, {}, b"/<"), made),
        (Moment("openat", [here, 1, 0, 7], {1: b"a"}, {}, None), 'AT_FDCWD, "a", O_RDONLY'),
        (Moment("newfstatat", [3, 1, 9, fstat], {}, fd, None, result=0), '3</f>, "", {...}, AT_EMPTY_PATH'),
        (Moment("newfstatat", [3, 1, 9, 0], {1: b"x", log.AFTER + 2: stat}, {}, None, result=0), shown_stat),
        (Moment("execve", [1, 2, 3], {0: b"/x", 1: b"a\0\xff\0"}, {}, None), r'"/x", ["a", "\377"], 0x3'),
        (Moment("readlink", [1, 2, 9], {0: b"l", log.AFTER + 1: b"t"}, {}, None, result=1), '"l", "t", 9'),
        (Moment("pipe2", [5, 0], pair, {}, None, result=0), "[3<pipe:[1]>, 4<pipe:[1]>], 0"),
        (Moment("clone3", [5, 8], flags, {}, None, result=9), threads),
        (Moment("pread64", [4, 9, 10, 2**64 - 1], {}, fd, None, result=3), '4</f>, ""..., 10, -1'),
    ]  # fmt: skip
    for moment, text in cases:
        assert notation.arguments(moment) == text


@pytest.mark.skipif(not HEADER.is_file(), reason="the kernel's headers are not installed")
def test_the_table_is_that_of_the_headers() -> None:
    words = [line.split() for line in HEADER.read_text().splitlines() if line.startswith("#define __NR_")]
    theirs = {int(value): name.removeprefix("__NR_") for _, name, value in words}
    ours = numbers.names("x86_64")
    assert len(theirs) > 300
    assert {number: ours.get(number) for number in theirs} == theirs


def test_the_tables_of_processors_agree_where_calls_are_numbered_alike() -> None:
    x86, arm = numbers.names("x86_64"), numbers.names("aarch64")
    assert [x86[number] for number in range(424, 471)] == [arm[number] for number in range(424, 471)]
    assert (x86[0], x86[59], x86[231], x86[257]) == ("read", "execve", "exit_group", "openat")
    assert (arm[56], arm[63], arm[93], arm[221], arm[260]) == ("openat", "read", "exit", "execve", "wait4")


def run_filter(program: bytes, call: bytes) -> int:
    """What the kernel would answer: classic BPF (seccomp(2)), as far as the filter uses it."""
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at, word = 0, 0
    while True:
        kind, yes, no, value = code[at]
        at += 1
        if kind == 0x20:
            word = struct.unpack_from("=I", call, value)[0]
        elif kind == 0x06:
            return int(value)
        else:
            holds = {0x15: word == value, 0x35: word >= value, 0x45: bool(word & value)}[kind]
            at += yes if holds else no


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("level", ["observe", "full"])
def test_the_filter_stops_at_what_is_planned_and_at_nothing_else(machine: str, level: str) -> None:
    names = numbers.names(machine)
    plans = signatures.plans(names, level)
    program = seccomp.program(plans, machine)
    assert len(program) // 8 < 4096  # BPF_MAXINSNS
    for number in range(500):
        for arguments in ((0,) * 6, (2**64 - 1,) * 6, (2**33,) * 6):
            call = struct.pack("=IIQ6Q", number, numbers.AUDIT_ARCHITECTURES[machine], 0, *arguments)
            stops = number in plans and not signatures.passes(names[number], arguments)
            assert run_filter(program, call) == (0x7FF00001 if stops else 0x7FFF0000)
    foreign = struct.pack("=IIQ6Q", 5, 0x40000003, 0, *[0] * 6)
    assert run_filter(program, foreign) == 0x7FF00002


def test_a_plan_reads_what_a_ring_cannot_tell() -> None:
    names = numbers.names("x86_64")
    full = {plan.name: plan for plan in signatures.plans(names, "full").values()}
    observe = {plan.name: plan for plan in signatures.plans(names, "observe").values()}
    assert not {"read", "write", "mmap", "close", "dup2", "fstat", "clone"} & (full.keys() | observe.keys())
    assert {"openat", "execve", "connect", "unlink", "statx"} <= full.keys() & observe.keys()
    assert (full["unlink"].stop_after, full["openat"].stop_after, observe["unlink"].stop_after) == (False, True, True)
    assert "pipe2" in full
    assert "pipe2" not in observe


@pytest.mark.parametrize(
    ("what", "found", "reason"),
    [
        ("system", "Darwin", "the kernel tracer needs Linux, this is Darwin"),
        ("machine", "riscv64", "the kernel tracer knows the system calls of aarch64, x86_64, not of riscv64"),
        ("release", "4.19.0-amd64", "the kernel tracer needs Linux 5.3 or newer, this is 4.19.0-amd64"),
    ],
)
def test_where_it_cannot_work_it_says_why(monkeypatch: pytest.MonkeyPatch, what: str, found: str, reason: str) -> None:
    monkeypatch.setattr(platform, what, lambda: found)
    command.unavailable.cache_clear()
    try:
        assert command.unavailable("full") == reason
    finally:
        command.unavailable.cache_clear()
