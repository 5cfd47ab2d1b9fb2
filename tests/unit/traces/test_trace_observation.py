"""From calls to what was touched."""

from collections.abc import Callable

import pytest

from entrenar_research.core.traces.observation import Observation, observe
from entrenar_research.models.trace import Trace

TraceOf = Callable[..., Trace]
Seen = Callable[..., Observation]

START = '1 execve("/usr/bin/python3", ["python3"], 0x1) = 0'
HERE = "AT_FDCWD</s>"


@pytest.fixture
def seen(trace_of: TraceOf) -> Seen:
    def observed(*lines: str, root: str = "/s") -> Observation:
        return observe(trace_of(START, *lines), root=root, initial_directory="/s")

    return observed


def opened(path: str, flags: str, result: str | None = None, error: str = "") -> str:
    return f'1 openat({HERE}, "{path}", {flags}) = ' + (error or f"3<{result or '/s/' + path}>")


MISSING = "-1 ENOENT (No such file or directory)"


def test_what_is_opened_for_reading_is_read(seen: Seen) -> None:
    found = seen(
        opened("a", "O_RDONLY|O_CLOEXEC"),
        opened("/etc/x", "O_RDONLY", "/etc/x"),
        '1 open("b", O_RDONLY) = 3</s/b>',
    )
    assert found.reads == ("/etc/x", "/s/a", "/s/b")
    assert found.writes == ()
    assert found.executed == ("/usr/bin/python3",)


@pytest.mark.parametrize(
    "line",
    [
        opened("o", "O_WRONLY|O_CREAT|O_TRUNC", None),
        opened("o", "O_WRONLY|O_CREAT|O_APPEND"),
        opened("o", "O_RDWR|O_CREAT|O_EXCL"),
        opened("o", "O_RDWR|O_CREAT|O_TRUNC"),
        '1 creat("o", 0644) = 3</s/o>',
        '1 truncate("o", 5) = 0',
        '1 symlink("a", "o") = 0',
        '1 mknod("o", S_IFIFO|0644) = 0',
    ],
)
def test_what_is_made_is_written_and_reading_it_again_is_no_input(seen: Seen, line: str) -> None:
    found = seen(line, opened("o", "O_RDONLY"))
    assert found.writes == ("/s/o",)
    assert found.reads == ()


def test_reading_before_writing_is_both(seen: Seen) -> None:
    found = seen(opened("o", "O_RDONLY"), opened("o", "O_WRONLY|O_TRUNC"))
    assert found.reads == found.writes == ("/s/o",)


def test_opening_for_both_counts_as_both_unless_it_was_not_there(seen: Seen) -> None:
    assert seen(opened("o", "O_RDWR|O_CREAT")).reads == ("/s/o",)
    found = seen(f'1 stat("o", 0x7f) = {MISSING}', opened("o", "O_RDWR|O_CREAT"))
    assert found.reads == found.missing == ()
    assert found.writes == ("/s/o",)


def test_a_file_put_in_place_by_renaming_is_the_output(seen: Seen) -> None:
    found = seen(
        opened("o.tmp", "O_WRONLY|O_CREAT|O_EXCL"),
        '1 rename("o.tmp", "o") = 0',
        opened("o", "O_RDONLY"),
    )
    assert (found.writes, found.temporary, found.reads) == (("/s/o",), ("/s/o.tmp",), ())


def test_renaming_what_was_there_reads_and_removes_it(seen: Seen) -> None:
    found = seen(f'1 renameat2({HERE}, "a", {HERE}, "b", RENAME_NOREPLACE) = 0')
    assert (found.reads, found.writes, found.removed) == (("/s/a",), ("/s/b",), ("/s/a",))
    found = seen(f'1 renameat2({HERE}, "a", {HERE}, "b", RENAME_EXCHANGE) = 0')
    assert found.reads == found.writes == ("/s/a", "/s/b")


def test_a_renamed_directory_takes_its_outputs_along(seen: Seen) -> None:
    found = seen(
        '1 mkdir("t", 0777) = 0',
        opened("t/o", "O_WRONLY|O_CREAT"),
        '1 rename("t", "out") = 0',
        opened("out/o", "O_RDONLY"),
    )
    assert (found.writes, found.reads, found.removed) == (("/s/out/o",), (), ())


def test_what_is_deleted_again_is_temporary_and_what_was_there_is_removed(seen: Seen) -> None:
    found = seen(
        opened("t", "O_WRONLY|O_CREAT"),
        '1 unlink("t") = 0',
        f'1 unlinkat({HERE}, "old", 0) = 0',
        f'1 unlinkat({HERE}, "dir", AT_REMOVEDIR) = 0',
        f'1 unlink("none") = {MISSING}',
    )
    assert (found.temporary, found.removed, found.writes) == (("/s/t",), ("/s/old",), ())


def test_directories_are_listed_and_not_read(seen: Seen) -> None:
    found = seen(
        opened("d", "O_RDONLY|O_NONBLOCK|O_DIRECTORY"),
        opened("e", "O_RDONLY"),
        '1 stat("e", {st_mode=S_IFDIR|0755, st_size=4096, ...}) = 0',
        opened("f/x", "O_RDONLY"),
        opened("f", "O_RDONLY"),
    )
    assert found.listed == ("/s/d",)
    assert found.reads == ("/s/f/x",)


def test_looking_is_not_reading_and_what_is_not_there_is_missing_in_the_study_only(seen: Seen) -> None:
    found = seen(
        '1 access("a", R_OK) = 0',
        f'1 newfstatat({HERE}, "b", 0x7f, 0) = {MISSING}',
        f'1 newfstatat({HERE}, "/etc/c", 0x7f, 0) = {MISSING}',
        opened("d", "O_RDONLY", error=MISSING),
        opened("e", "O_RDONLY|O_PATH"),
        opened("f", "O_RDONLY", error="-1 EACCES (Permission denied)"),
    )
    assert found.probed == ("/s/a", "/s/e")
    assert found.missing == ("/s/b", "/s/d")
    assert found.reads == ()


def test_byte_code_stands_for_its_source(seen: Seen) -> None:
    found = seen(
        opened("m/__pycache__/x.cpython-311.pyc", "O_RDONLY"),
        opened("m/__pycache__/y.cpython-311.opt-1.pyc", "O_RDONLY"),
        opened("m/__pycache__/z.cpython-311.pyc.1400", "O_WRONLY|O_CREAT|O_EXCL"),
        '1 rename("m/__pycache__/z.cpython-311.pyc.1400", "m/__pycache__/z.cpython-311.pyc") = 0',
    )
    assert found.reads == ("/s/m/x.py", "/s/m/y.py")
    assert found.writes == found.removed == ()


def test_packages_are_named_by_site_directory(seen: Seen) -> None:
    site = "/v/lib/python3.11/site-packages"
    found = seen(
        opened(f"{site}/numpy/core.py", "O_RDONLY", f"{site}/numpy/core.py"),
        opened(f"{site}/numpy/lib.py", "O_RDONLY", f"{site}/numpy/lib.py"),
        opened(f"{site}/__pycache__/six.cpython-311.pyc", "O_RDONLY", f"{site}/__pycache__/six.cpython-311.pyc"),
        opened("/usr/lib/python3/dist-packages/yaml/a.py", "O_RDONLY", "/usr/lib/python3/dist-packages/yaml/a.py"),
    )
    assert found.python_packages == (
        ("/usr/lib/python3/dist-packages", "yaml"),
        (site, "numpy"),
        (site, "six.py"),
    )


def test_a_path_is_the_named_one_in_the_study_and_the_real_one_elsewhere(seen: Seen) -> None:
    cache = "/cache/files/md5/ab/cd"
    found = seen(
        opened("data.csv", "O_RDONLY", cache),
        opened("/link/in", "O_RDONLY", "/s/secret"),
        opened("../s/./x", "O_RDONLY", "/s/x"),
        opened("l/../y", "O_RDONLY", "/elsewhere/y"),
    )
    assert found.reads == ("/elsewhere/y", "/s/data.csv", "/s/secret", "/s/x")


def test_a_link_reads_its_source_and_writes_its_name(seen: Seen) -> None:
    found = seen(f'1 linkat({HERE}, "a", {HERE}, "b", 0) = 0')
    assert (found.reads, found.writes) == (("/s/a",), ("/s/b",))


def test_children_are_followed_into_their_directories(seen: Seen) -> None:
    found = seen(
        "1 clone(child_stack=NULL, flags=SIGCHLD) = 2",
        '2 chdir("sub") = 0',
        '2 execve("./tool", ["tool"], 0x1) = 0',
        '2 open("in", O_RDONLY) = 3</s/sub/in>',
        '1 open("in", O_RDONLY) = 3</s/in>',
    )
    assert found.reads == ("/s/in", "/s/sub/in")
    assert found.executed == ("/s/sub/tool", "/usr/bin/python3")


@pytest.mark.parametrize(
    ("line", "network"),
    [
        (
            (
                '1 connect(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}, 16)'
                " = -1 ENETUNREACH (Network is unreachable)"
            ),
            ("connect 192.0.2.1:80",),
        ),
        (
            (
                '1 sendto(3<socket:[1]>, "x", 1, 0, {sa_family=AF_INET6, sin6_port=htons(53), sin6_flowinfo=htonl(0), '
                'inet_pton(AF_INET6, "2001:db8::1", &sin6_addr), sin6_scope_id=0}, 28) = 1'
            ),
            ("sendto [2001:db8::1]:53",),
        ),
        (
            '1 bind(3<socket:[1]>, {sa_family=AF_INET, sin_port=htons(0), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
            ("bind 127.0.0.1:0",),
        ),
        ('1 connect(3<socket:[1]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0', ()),
        ("1 bind(3<socket:[1]>, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 0", ()),
        ("1 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = 3<socket:[1]>", ()),
    ],
)
def test_the_network_is_the_internet_families(seen: Seen, line: str, network: tuple[str, ...]) -> None:
    assert seen(line).network == network


def test_io_uring_is_a_gap_that_is_told(seen: Seen) -> None:
    assert seen("1 io_uring_setup(8, 0x7f) = 3<anon_inode:[io_uring]>").problems
    assert not seen("1 io_uring_setup(8, 0x7f) = -1 EPERM (Operation not permitted)").problems
