"""The tree of processes and their directories."""

from collections.abc import Callable

from entrenar_research.core.traces.processes import Directories, Processes, path_arguments
from entrenar_research.models.trace import Trace

TraceOf = Callable[..., Trace]

FORK = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD, child_tidptr=0x7f)"
THREAD = "clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD}, 88)"


def labels(trace: Trace) -> list[str]:
    processes = Processes(trace)
    return [processes.of(call).label for call in trace.calls]


def test_children_are_numbered_by_birth_whatever_their_numbers(trace_of: TraceOf) -> None:
    trace = trace_of(
        '70 execve("/bin/x", ["x"], 0x1) = 0',
        f"70 {FORK} = 99",
        f"70 {FORK} = 12",
        f"12 {FORK} = 13",
        "13 getpid() = 13",
        "99 getpid() = 99",
    )
    assert labels(trace) == ["1", "1", "1", "1.2", "1.2.1", "1.1"]


def test_a_child_that_works_before_its_creation_returns_is_known(trace_of: TraceOf) -> None:
    trace = trace_of(
        '70 execve("/bin/x", ["x"], 0x1) = 0',
        "70 vfork( <unfinished ...>",
        "71 getpid() = 71",
        "70 <... vfork resumed>) = 71",
    )
    assert [call.name for call in trace.calls] == ["execve", "getpid", "vfork"]
    assert labels(trace) == ["1", "1.1", "1"]


def test_a_number_that_is_given_out_again_is_another_process(trace_of: TraceOf) -> None:
    trace = trace_of(
        '70 execve("/bin/x", ["x"], 0x1) = 0',
        f"70 {FORK} = 71",
        "71 getpid() = 71",
        "71 +++ exited with 0 +++",
        f"70 {FORK} = 71",
        "71 getpid() = 71",
        "71 +++ exited with 4 +++",
    )
    assert labels(trace) == ["1", "1", "1.1", "1", "1.2"]
    processes = Processes(trace)
    ends = [life.end.status for call in trace.calls if (life := processes.born(call)) and life.end]
    assert ends == [0, 4]


def test_a_process_whose_creation_is_not_shown_is_a_root_of_its_own(trace_of: TraceOf) -> None:
    trace = trace_of('70 execve("/bin/x", ["x"], 0x1) = 0', "80 getpid() = 2")
    assert labels(trace) == ["1", "2"]


def test_a_tree_deeper_than_recursion_allows_is_read(trace_of: TraceOf) -> None:
    depth = 3000
    forks = [f"{pid} fork() = {pid + 1}" for pid in range(1, depth)]
    trace = trace_of('1 execve("/bin/x", ["x"], 0x1) = 0', *forks)
    processes = Processes(trace)
    assert len(processes.of(trace.calls[-1]).order) == depth - 1


def test_numbers_of_several_namespaces_make_nobody_their_own_ancestor(trace_of: TraceOf) -> None:
    trace = trace_of(
        '1 execve("/bin/x", ["x"], 0x1) = 0',
        f"1 {FORK} = 2",
        f"2 {FORK} = 3",
        f"3 {FORK} = 1",  # within a namespace of its own
        "3 getpid() = 3",
    )
    assert labels(trace) == ["1", "1", "1.1", "1.1.1", "1.1.1"]


def test_directories_are_copied_by_processes_and_shared_by_threads(trace_of: TraceOf) -> None:
    trace = trace_of(
        '1 execve("/bin/x", ["x"], 0x1) = 0',
        f"1 {FORK} = 2",
        f"1 {THREAD} = 3",
        '3 chdir("sub") = 0',
        '3 chdir("none") = -1 ENOENT (No such file or directory)',
        '1 unlink("a") = 0',
        '2 unlink("a") = 0',
        "2 fchdir(5</else>) = 0",
        '2 unlink("../b") = 0',
        '1 openat(AT_FDCWD</moved>, "c", O_RDONLY) = 3</moved/c>',
        '1 unlink("d") = 0',
        '1 renameat(4</x>, "e", AT_FDCWD</moved>, "f") = 0',
    )
    processes = Processes(trace)
    directories = Directories(processes, "/start")
    found = []
    for call in trace.calls:
        life = processes.of(call)
        if call.name in ("unlink", "openat", "renameat"):
            found += path_arguments(call, life, directories)
        directories.follow(call, life)
    assert found == ["/start/sub/a", "/start/a", "/b", "/moved/c", "/moved/d", "/x/e", "/moved/f"]
