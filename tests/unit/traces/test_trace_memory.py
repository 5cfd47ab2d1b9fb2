"""What processes allocate, against a model of pages, and on the cases that matter."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.activity import Activity
from entrenar_research.core.traces.intervals import Intervals
from entrenar_research.core.traces.memory import Peak, Space, peak
from tests.documented_logs import documented

PAGE = 4096
ANONYMOUS = "PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0"


def peak_of(*lines: str) -> Peak:
    return peak(Activity(documented(*lines)))


def test_what_is_given_back_no_longer_counts() -> None:
    found = peak_of(
        f"7 mmap(NULL, 8192, {ANONYMOUS}) = 0x10000",
        "7 munmap(0x10000, 8192) = 0",
        f"7 mmap(NULL, 5000, {ANONYMOUS}) = 0x20000",
        f"7 mmap(NULL, 100, {ANONYMOUS}) = 0x30000",
    )
    assert (found.total, found.place, found.processes) == (3 * PAGE, 4, {"1": 3 * PAGE})


def test_the_heap_counts_from_where_it_starts() -> None:
    found = peak_of("7 brk(NULL) = 0x5000", "7 brk(0x9000) = 0x9000", "7 brk(0x6000) = 0x6000", "7 brk(0) = 0x6000")
    assert (found.total, found.place) == (0x4000, 2)


def test_a_mapping_that_moves_and_grows_counts_once() -> None:
    found = peak_of(
        f"7 mmap(NULL, 4096, {ANONYMOUS}) = 0x10000",
        "7 mremap(0x10000, 4096, 16384, MREMAP_MAYMOVE) = 0x40000",
        "7 munmap(0x40000, 16384) = 0",
        f"7 mmap(NULL, 4096, {ANONYMOUS}) = 0x10000",
    )
    assert found.total == 16384


@pytest.mark.parametrize(
    "line",
    [
        "7 mmap(NULL, 65536, PROT_READ|PROT_WRITE, MAP_PRIVATE, 3</lib/x>, 0) = 0x10000",
        "7 mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, -1, 0) = 0x10000",
        f"7 mmap(NULL, 65536, {ANONYMOUS}) = -1 ENOMEM (Cannot allocate memory)",
        "7 munmap(0x10000, 65536) = 0",
    ],
)
def test_files_reservations_and_failures_do_not_count(line: str) -> None:
    assert peak_of(line).total == 0


def test_a_reservation_counts_from_when_it_can_be_written() -> None:
    found = peak_of(
        "7 mmap(NULL, 65536, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000",
        "7 mprotect(0x12000, 8192, PROT_READ|PROT_WRITE) = 0",
        "7 mprotect(0x12000, 4096, PROT_NONE) = 0",
        "7 mprotect(0x90000, 4096, PROT_READ|PROT_WRITE) = 0",
    )
    assert found.total == 8192


def test_a_child_counts_what_it_allocates_itself_while_it_lives() -> None:
    clone = "clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) ="
    found = peak_of(
        f"7 mmap(NULL, 8192, {ANONYMOUS}) = 0x10000",
        "7 brk(NULL) = 0x5000",
        f"7 {clone} 8",
        "8 munmap(0x10000, 8192) = 0",
        f"8 mmap(NULL, 12288, {ANONYMOUS}) = 0x20000",
        "8 brk(0x6000) = 0x6000",
        "8 +++ exited with 0 +++",
        f"7 {clone} 9",
        f"9 mmap(NULL, 4096, {ANONYMOUS}) = 0x20000",
    )
    assert (found.total, found.processes) == (8192 + 12288 + 4096, {"1": 8192, "1.1": 12288 + 4096})


def test_a_new_program_starts_with_nothing_and_threads_share() -> None:
    thread = "clone(child_stack=0x7f, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_THREAD) = 8"
    shared = peak_of(f"7 {thread}", f"8 mmap(NULL, 4096, {ANONYMOUS}) = 0x10000", "7 munmap(0x10000, 4096) = 0")
    assert shared.processes == {"1": 4096}
    again = peak_of(
        f"7 mmap(NULL, 4096, {ANONYMOUS}) = 0x10000",
        '7 execve("/bin/y", ["y"], 0x7f /* 1 var */) = 0',
        f"7 mmap(NULL, 4096, {ANONYMOUS}) = 0x20000",
    )
    assert again.total == 4096


def test_what_one_thread_gives_back_another_may_get_before_it_returns() -> None:
    found = peak_of(
        f"7 1 mmap(NULL, 4096, {ANONYMOUS}) = 0x10000 <0.000100>",
        "7 2 clone(child_stack=0x7f, flags=CLONE_VM|CLONE_THREAD) = 8 <0.000100>",
        f"8 11 mmap(NULL, 4096, {ANONYMOUS}) = 0x10000 <0.000100>",
        "7 10 munmap(0x10000, 4096) = 0 <0.005000>",
        f"8 20 mmap(NULL, 4096, {ANONYMOUS}) = 0x20000 <0.000100>",
    )
    assert found.total == 8192


def test_arguments_that_are_not_shown_are_counted_as_unread() -> None:
    assert peak_of("7 mmap(0x0, 0x1000, 0x3) = 0x10000", "7 munmap(...) = 0").unread == 2
    assert peak_of("7 mmap(0, 4096, 0x3, 0x22, -1, 0) = 0x10000").total == 4096


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.integers(0, 10)), max_size=40))
def test_intervals_are_sets_of_addresses(steps: list[tuple[bool, int, int]]) -> None:
    found, model = Intervals(), set[int]()
    for adds, start, length in steps:
        touched = set(range(start, start + length))
        if adds:
            found.add(start, start + length)
            model |= touched
        else:
            taken = {item for low, high in found.remove(start, start + length) for item in range(low, high)}
            assert taken == model & touched
            model -= touched
        assert found.total == len(model)


class Pages:
    """The model: what each page of a process is."""

    def __init__(self) -> None:
        self.kind: dict[int, str] = {}
        self.heap = 0

    @property
    def bytes(self) -> int:
        return PAGE * (sum(kind == "writable" for kind in self.kind.values()) + self.heap)


STEPS = st.tuples(
    st.sampled_from(["map", "reserve", "file", "unmap", "open", "close", "heap", "move"]),
    st.integers(1, 12),
    st.integers(1, 5),
    st.integers(1, 5),
)


def take(step: tuple[str, int, int, int], space: Space, pages: Pages) -> None:
    what, start, length, other = step
    at, size, touched = start * PAGE, length * PAGE - 7, range(start, start + length)
    if what in ("map", "reserve", "file"):
        space.map(at, size, anonymous=what != "file", writable=what != "reserve")
        kind = {"map": "writable", "reserve": "reserved", "file": "file"}[what]
        pages.kind.update(dict.fromkeys(touched, kind))
    elif what == "unmap":
        space.unmap(at, size)
        for page in touched:
            pages.kind.pop(page, None)
    elif what in ("open", "close"):
        space.protect(at, size, writable=what == "open")
        before, after = ("reserved", "writable") if what == "open" else ("writable", "reserved")
        pages.kind.update({page: after for page in touched if pages.kind.get(page) == before})
    elif what == "heap":
        space.set_heap_end(0x100000 + length * PAGE)
        pages.heap = length
    elif all(pages.kind.get(page) == "writable" for page in touched):
        space.move(at, size, 50 * PAGE, other * PAGE)
        for page in touched:
            del pages.kind[page]
        pages.kind.update(dict.fromkeys(range(50, 50 + other), "writable"))


@given(st.lists(STEPS, max_size=30))
def test_a_space_is_its_pages(steps: list[tuple[str, int, int, int]]) -> None:
    space, pages = Space(heap_end=0x100000), Pages()
    for step in steps:
        take(step, space, pages)
        assert space.bytes == pages.bytes


LINES: dict[str, Callable[[int, int], str]] = {
    "map": lambda at, size: f"7 mmap(NULL, {size}, {ANONYMOUS}) = {at:#x}",
    "unmap": lambda at, size: f"7 munmap({at:#x}, {size}) = 0",
}


@given(st.lists(st.tuples(st.sampled_from(sorted(LINES)), st.integers(1, 12), st.integers(1, 5)), max_size=15))
def test_the_peak_is_that_of_the_model(steps: list[tuple[str, int, int]]) -> None:
    space, pages, highest = Space(), Pages(), 0
    for what, start, length in steps:
        take((what, start, length, 1), space, pages)
        highest = max(highest, pages.bytes)
    assert peak_of(*(LINES[what](at * PAGE, size * PAGE - 7) for what, at, size in steps)).total == highest
