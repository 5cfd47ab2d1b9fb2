"""The same lines for the same program, other lines for another one."""

from collections.abc import Callable

import pytest

from entrenar_research.core.traces.normalisation import counts_of, normalise, normalised_steps, trace_id
from entrenar_research.models.trace import Trace

TraceOf = Callable[..., Trace]
Lines = Callable[..., list[str]]

STUDY = {"/s": "$STUDY"}
START = '1 execve("/s/run", ["./run"], 0x7ffc /* 30 vars */) = 0'
IN = 'openat(AT_FDCWD</s>, "in", O_RDONLY|O_CLOEXEC) = 3</s/in>'


@pytest.fixture
def lines(trace_of: TraceOf) -> Lines:
    """The lines after that of the start, without their process."""

    def normalised(*written: str) -> list[str]:
        found = normalise(trace_of(START, *written), replacements=STUDY)
        assert found[0] == "1 execve($STUDY/run, [./run]) = ok"
        return [line.removeprefix("1 ") for line in found[1:]]

    return normalised


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (f"1 {IN}", ["openat($STUDY/in, O_RDONLY) = ok"]),
        ('1 open("in", O_RDONLY) = 3</s/in>', ["open(in, O_RDONLY) = ok"]),
        (
            '1 openat(AT_FDCWD</s>, "o", O_WRONLY|O_CREAT, 0666) = 3</s/o>',
            ["openat($STUDY/o, O_WRONLY|O_CREAT) = ok"],
        ),
        (
            '1 openat(AT_FDCWD</s>, "in", O_RDONLY) = -1 ENOENT (No such file or directory)',
            ["openat($STUDY/in, O_RDONLY) = ENOENT"],
        ),
        ('1 openat(AT_FDCWD</s>, "/etc/x", O_RDONLY) = -1 ENOENT (No such file or directory)', []),
        (
            '1 openat(AT_FDCWD</s>, "/usr/lib/glibc-hwcaps/x86-64-v3/l.so", O_RDONLY) = -1 ENOENT (No such file)',
            [],
        ),
        ('1 openat(AT_FDCWD</s>, "/etc/x", O_RDONLY) = 3</etc/x>', ["openat(/etc/x, O_RDONLY) = ok"]),
        ('1 read(3</etc/x>, "abc", 4096) = 3', []),
        (
            '1 newfstatat(AT_FDCWD</s>, "in", {st_mode=S_IFREG|0644, st_size=9, ...}, 0) = 0',
            ["newfstatat($STUDY/in) = ok"],
        ),
        ('1 newfstatat(AT_FDCWD</s>, "d", {st_mode=S_IFDIR|0755, st_size=4096, ...}, 0) = 0', []),
        ('1 newfstatat(3</s/in>, "", {st_mode=S_IFREG|0644, st_size=9, ...}, AT_EMPTY_PATH) = 0', []),
        ('1 readlink("/home/ada/x", 0x7ff, 4096) = -1 EINVAL (Invalid argument)', []),
        ('1 getrandom("\\x10\\x20", 2, GRND_NONBLOCK) = 2', ["getrandom(2, GRND_NONBLOCK) = ok"]),
        ("1 brk(NULL) = 0x5555", []),
        ('1 mkdir("/s/d", 0777) = 0', ["mkdir($STUDY/d, 0777) = ok"]),
        (
            "1 mmap(NULL, 9, PROT_READ, MAP_PRIVATE, 3</s/in>, 0) = 0x7f3e1c000000",
            ["mmap($STUDY/in, PROT_READ, MAP_PRIVATE) = ok"],
        ),
        ("1 mmap(NULL, 9, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f3e1c000000", []),
        ("1 getdents64(3</s/d>, 0x55 /* 5 entries */, 32768) = 136", ["getdents64($STUDY/d) = ok"]),
        ("1 lseek(3</s/in>, 100, SEEK_SET) = 100", ["lseek($STUDY/in, 100, SEEK_SET) = ok"]),
        ("1 lseek(3</s/in>, 0, SEEK_CUR) = 100", []),
        ('1 pread64(3</s/in>, "abc", 3, 5) = 3', ["pread64($STUDY/in, 3, 5) = ok"]),
        ("1 kill(4711, SIGTERM) = 0", ["kill(SIGTERM) = ok"]),
        ("1 read(3</s/in>, 0x7f, 10) = -1 EAGAIN (Resource temporarily unavailable)", []),
        ('1 write(3</s/in>, "x", 1) = -1 ENOSPC (No space left on device)', ["write($STUDY/in) = ENOSPC"]),
        (
            '1 openat(AT_FDCWD</s>, "/proc/4711/maps", O_RDONLY) = 3</proc/4711/maps>',
            ["openat(/proc/PID/maps, O_RDONLY) = ok"],
        ),
        (
            '1 openat(AT_FDCWD</s>, "/home/ada/x", O_RDONLY) = 3</home/ada/x>',
            ["openat($HOME/x, O_RDONLY) = ok"],
        ),
        (
            '1 openat(AT_FDCWD</s>, "/data/ada/x", O_RDONLY) = 3</data/ada/x>',
            ["openat($ELSEWHERE/x, O_RDONLY) = ok"],
        ),
        ("1 io_uring_setup(8, 0x7ffc12345678) = 3<anon_inode:[io_uring]>", ["io_uring_setup(8, ADDR) = ok"]),
        (
            (
                "1 connect(3<socket:[9]>, {sa_family=AF_INET, sin_port=htons(80), "
                'sin_addr=inet_addr("192.0.2.1")}, 16) '
                "= -1 EINPROGRESS (Operation now in progress)"
            ),
            ["connect([socket], 192.0.2.1:80, 16) = EINPROGRESS"],
        ),
        (
            (
                "1 connect(3<socket:[9]>, {sa_family=AF_INET, sin_port=htons(40000), "
                'sin_addr=inet_addr("127.0.0.1")}, 16)'
                " = 0"
            ),
            ["connect([socket], 127.0.0.1:PORT, 16) = ok"],
        ),
        ("1 +++ exited with 3 +++", ["exit(3)"]),
        ("1 +++ killed by SIGKILL +++", ["exit(SIGKILL)"]),
    ],
)
def test_a_call_is_told_by_what_repeats(lines: Lines, written: str, told: list[str]) -> None:
    assert lines(written) == told


def test_reads_in_a_row_are_one_with_the_sum_of_their_bytes(lines: Lines) -> None:
    read = '1 read(3</s/in>, "abc"..., 4096) = '
    assert lines(f"1 {IN}", read + "4096", read + "100", read + "0", "1 close(3</s/in>) = 0")[1:] == [
        "read($STUDY/in) = 4196",
        "close($STUDY/in) = ok",
    ]
    assert lines(read + "5", "1 lseek(3</s/in>, 0, SEEK_SET) = 0", read + "5")[0::2] == ["read($STUDY/in) = 5"] * 2


def test_the_order_of_writes_to_different_files_is_told(lines: Lines) -> None:
    a, b = '1 write(3</s/a>, "x", 1) = 1', '1 write(4</s/b>, "x", 1) = 1'
    assert lines(a, b) != lines(b, a)


def test_source_and_byte_code_are_one_and_writing_byte_code_is_none(lines: Lines) -> None:
    cached = "/s/__pycache__/m.cpython-311.pyc"
    from_cache = lines(
        f'1 openat(AT_FDCWD</s>, "{cached}", O_RDONLY|O_CLOEXEC) = 3<{cached}>',
        f'1 read(3<{cached}>, "", 900) = 900',
    )
    from_source = lines(
        f'1 openat(AT_FDCWD</s>, "{cached}", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)',
        '1 openat(AT_FDCWD</s>, "/s/m.py", O_RDONLY|O_CLOEXEC) = 3</s/m.py>',
        '1 read(3</s/m.py>, "x = 1", 6) = 5',
        '1 mkdir("/s/__pycache__", 0777) = 0',
        f'1 openat(AT_FDCWD</s>, "{cached}.139", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0644) = 3<{cached}.139>',
        f'1 write(3<{cached}.139>, "", 900) = 900',
        f'1 rename("{cached}.139", "{cached}") = 0',
    )
    assert from_cache == from_source == ["openat($STUDY/m.py, O_RDONLY) = ok"]


@pytest.mark.parametrize("name", ["tmp5thm1q78", ".tmpABC123", "aK3_x9"])
def test_private_temporary_names_are_numbered(lines: Lines, name: str) -> None:
    assert lines(
        f'1 openat(AT_FDCWD</s>, "{name}", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3</s/{name}>',
        f'1 write(3</s/{name}>, "x", 1) = 1',
        f'1 rename("{name}", "out") = 0',
        f'1 mkdir("/tmp/{name}", 0700) = 0',
        f'1 openat(AT_FDCWD</s>, "/tmp/{name}/x", O_WRONLY|O_CREAT, 0666) = 4</tmp/{name}/x>',
    ) == [
        "openat($STUDY/TEMP1.1, O_RDWR|O_CREAT|O_EXCL) = ok",
        "write($STUDY/TEMP1.1) = 1",
        "rename($STUDY/TEMP1.1, $STUDY/out) = ok",
        "mkdir($TMP/TEMP1.2, 0700) = ok",
        "openat($TMP/TEMP1.2/x, O_WRONLY|O_CREAT) = ok",
    ]


def test_inherited_streams_have_names_and_no_sizes(lines: Lines) -> None:
    first = lines('1 write(1</s/runs/r1/stdout.log>, "took 3 s", 8) = 8', '1 read(0<pipe:[7]>, "", 9) = 0')
    second = lines('1 write(1<pipe:[8]>, "took 12 s", 9) = 9', '1 read(0</dev/null>, "", 9) = 0')
    assert first == second == ["write([stdout]) = ok", "read([stdin]) = ok"]


def test_a_file_opened_as_a_stream_is_that_file(lines: Lines) -> None:
    assert lines(
        '1 write(1</s/runs/log>, "x", 1) = 1',
        '1 openat(AT_FDCWD</s>, "/s/o", O_WRONLY|O_CREAT, 0666) = 3</s/o>',
        "1 dup2(3</s/o>, 1</s/runs/log>) = 1</s/o>",
        '1 write(1</s/o>, "x", 1) = 1',
    ) == ["write([stdout]) = ok", "openat($STUDY/o, O_WRONLY|O_CREAT) = ok", "write($STUDY/o) = 1"]


def test_a_file_behind_a_link_keeps_the_name_it_was_opened_by(lines: Lines) -> None:
    assert lines(
        '1 openat(AT_FDCWD</s>, "data.csv", O_RDONLY) = 3</cache/ab/cd>',
        '1 read(3</cache/ab/cd>, "x", 10) = 10',
    ) == ["openat($STUDY/data.csv, O_RDONLY) = ok", "read($STUDY/data.csv) = 10"]


def test_processes_are_told_one_after_the_other_however_they_interleave(trace_of: TraceOf) -> None:
    fork = "clone(child_stack=NULL, flags=SIGCHLD) = {}"
    first = trace_of(
        START,
        "1 " + fork.format(2),
        "1 " + fork.format(3),
        f"2 {IN}",
        '3 unlink("/s/x") = 0',
        '2 unlink("/s/y") = 0',
    )
    second = trace_of(
        START,
        "1 " + fork.format(9),
        f"9 {IN}",
        '9 unlink("/s/y") = 0',
        "1 " + fork.format(5),
        '5 unlink("/s/x") = 0',
    )
    told = normalise(first, replacements=STUDY)
    assert told == normalise(second, replacements=STUDY)
    assert told[1:] == (
        "1 clone(process) = 1.1",
        "1 clone(process) = 1.2",
        "1.1 openat($STUDY/in, O_RDONLY) = ok",
        "1.1 unlink($STUDY/y) = ok",
        "1.2 unlink($STUDY/x) = ok",
    )


def test_replacements_apply_to_whole_names_and_the_longest_first(trace_of: TraceOf) -> None:
    trace = trace_of(
        '1 execve("/s/v/bin/python", ["/s/v/bin/python", "--out=/s/o", "/s2/x", "/home/ada/s:/s", '
        '"in=/data/ada/x", "http://h/a"], 0x1) = 0'
    )
    assert normalise(trace, replacements={"/s": "$STUDY", "/s/v/": "$PYTHON"}) == (
        (
            "1 execve($PYTHON/bin/python, [$PYTHON/bin/python, --out=$STUDY/o, $ELSEWHERE/x, "
            "$HOME/s:$STUDY, in=$ELSEWHERE/x, "
            "http://h/a]) = ok"
        ),
    )


@pytest.mark.parametrize(
    ("pid", "path"),
    [
        (311, "/usr/lib/python3.11/encodings/__init__.py"),
        (6, "/lib/x86_64-linux-gnu/libc.so.6"),
        (11, "/usr/lib/python3.11/os.py"),
        (11, "/etc/python3.11/sitecustomize.py"),
        (64, "/usr/lib/x86_64-linux-gnu/libz.so.1"),
        (3, "$PYTHON/lib/site-packages/numpy-1.3.dist-info/METADATA"),
        (31, "$STUDY/vendor/libtorch.so.2.31"),
    ],
)
def test_a_version_in_a_name_is_no_process(trace_of: TraceOf, pid: int, path: str) -> None:
    spelled = path.replace("$PYTHON", "/s/v").replace("$STUDY", "/s")
    cached = "/usr/lib/python3.11/__pycache__/os.cpython-311.pyc"
    trace = trace_of(
        f'{pid} execve("/usr/bin/python3.11", ["python3.11"], 0x1) = 0',
        f'{pid} openat(AT_FDCWD</s>, "{spelled}", O_RDONLY) = 3<{spelled}>',
        f'{pid} openat(AT_FDCWD</s>, "{cached}", O_RDONLY) = 4<{cached}>',
    )
    assert normalise(trace, replacements={"/s": "$STUDY", "/s/v": "$PYTHON"}) == (
        "1 execve(/usr/bin/python3.11, [python3.11]) = ok",
        f"1 openat({path}, O_RDONLY) = ok",
        "1 openat(/usr/lib/python3.11/os.py, O_RDONLY) = ok",
    )


def test_a_process_s_own_number_is_told_as_one(lines: Lines) -> None:
    made = '1 openat(AT_FDCWD</s>, "{0}", O_WRONLY|O_CREAT|O_TRUNC, 0666) = 3<{0}>'
    told = ["openat($STUDY/out.PID, O_WRONLY|O_CREAT|O_TRUNC) = ok"]
    assert lines(made.format("/s/out.1")) == told
    told = ["openat(/usr/lib/x/lock-PID, O_WRONLY|O_CREAT|O_TRUNC) = ok"]
    assert lines(made.format("/usr/lib/x/lock-1")) == told
    assert lines('1 execve("/bin/x", ["x", "--lock=out.1"], 0x1) = 0') == ["execve(/bin/x, [x, --lock=out.PID]) = ok"]


def test_a_line_stays_one_line_whatever_a_file_is_called(lines: Lines) -> None:
    assert lines(r'1 mkdir("/s/a\nb\303\251", 0777) = 0') == [r"mkdir($STUDY/a\nb\xe9, 0777) = ok"]


def test_steps_carry_the_time_of_what_was_folded(trace_of: TraceOf) -> None:
    read = '1 read(3</s/in>, "abc", 3) = 3'
    steps = normalised_steps(trace_of(START, read, read, read), replacements=STUDY)
    assert steps[1].line == "1 read($STUDY/in) = 9"
    assert steps[1].duration == pytest.approx(3e-5)
    assert steps[1].time - steps[0].time == pytest.approx(1e-3, abs=1e-5)


def test_the_identity_is_that_of_the_lines() -> None:
    assert trace_id(["a", "b"]) == "sha256:" + "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2"
    assert trace_id(["a", "b"]) != trace_id(["ab"])
    assert trace_id(["a", "b"]) != trace_id(["b", "a"])


def test_counts_are_by_name() -> None:
    assert counts_of(["1 read(x) = 1", "1.1 read(y) = 2", "1 exit(0)"]) == {"exit": 1, "read": 2}


def test_a_log_of_metrics_is_opened_and_no_more(lines: Lines) -> None:
    """How it is named, how far it grows and when it is cut off is no doing of the program."""
    few, many = (
        lines(
            f'1 openat(AT_FDCWD</s>, "/s/events/{name}", O_RDWR|O_CREAT|O_EXCL, {mode}) = 3</s/events/{name}>',
            f"1 flock(3</s/events/{name}>, LOCK_EX) = 0",
            *[f"1 fallocate(3</s/events/{name}>, 0, {piece << 20}, 1048576) = 0" for piece in range(growth)],
            f"1 mmap(NULL, 1048576, PROT_READ|PROT_WRITE, MAP_SHARED, 3</s/events/{name}>, 0) = 0x7f1",
            f"1 ftruncate(3</s/events/{name}>, {growth * 999}) = 0",
            f"1 fsync(3</s/events/{name}>) = 0",
            f"1 close(3</s/events/{name}>) = 0",
        )
        for name, mode, growth in (("1-9aaz.events", "0644", 1), ("31337-0000.events", "0600", 5))
    )
    assert few == many == ["openat($STUDY/events/PROCESS.events, O_RDWR|O_CREAT|O_EXCL) = ok"]
    assert lines('1 openat(AT_FDCWD</s>, "/s/some.events", O_RDONLY) = 3</s/some.events>') == [
        "openat($STUDY/some.events, O_RDONLY) = ok"
    ]
