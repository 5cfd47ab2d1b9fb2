"""The score of two documents: 1 for the same, lower for each difference; what is tolerated, and what is told."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.traces.likeness.equivalence import BAND, WEIGHTS, compare
from entrenar_research.models.documented import DocumentedExit, TraceDocument
from entrenar_research.models.equivalence import Equivalence
from entrenar_research.models.measured import Measured, Repetition
from entrenar_research.models.policy import EquivalencePolicy
from tests.unit.traces.made import file_lines, made

ALL = EquivalencePolicy(check_memory_allocations=True)
X, Y = "$STUDY/data/x.csv", "$STUDY/data/y.csv"
BASE = [
    *file_lines(X),
    "1 openat($STUDY/out, O_WRONLY|O_CREAT) = ok",
    "1 write($STUDY/out) = 100",
    "1 fsync($STUDY/out) = ok",
    "1 close($STUDY/out) = ok",
    "1 exit(0)",
]


def held(found: list[str], base: list[str] | None = None) -> Equivalence:
    return compare(made(base or BASE), made(found), ALL)


def axis(told: Equivalence, name: str) -> float:
    return next(item.score for item in told.axes if item.name == name)


def test_the_same_is_exactly_one() -> None:
    told = held(BASE)
    assert (told.score, told.verdict, told.divergence, told.reasons) == (1.0, "PASS", "", ())


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *BASE,
                f"1 newfstatat({X}) = ENOENT",
                f"1 mkdir({Y}, 0777) = ok",
                "1 connect([socket], 192.0.2.1:80, 16) = ok",
                "1 clone(process) = 1.1",
                "1 clone3(thread) = 1.2",
                "1.1 execve(/usr/bin/true, [true]) = ok",
                "1.1 exit(0)",
                *file_lines(Y, label="1.2"),
            ]
        ),
        st.integers(0, 8).map(lambda number: f"1 openat($STUDY/{number}, O_RDONLY) = ok"),
    ),
    min_size=1,
    max_size=25,
)
CALLS = st.lists(st.sampled_from(["sched_yield", "getpid", "mmap"]), max_size=10)


@given(LINES, CALLS)
def test_any_document_is_like_itself(lines: list[str], calls: list[str]) -> None:
    document = made(lines, [(name, "", "0") for name in calls])
    assert compare(document, document, ALL).score == 1.0


@given(st.integers(5, 30), st.data())
def test_a_further_difference_never_raises_the_score(length: int, data: st.DataObject) -> None:
    base = [line for place in range(length) for line in file_lines(f"$STUDY/{place % 4}", size=place + 1)]
    places = data.draw(st.lists(st.integers(0, len(base) - 1), min_size=2, max_size=12, unique=True))
    acts = data.draw(st.lists(st.sampled_from("drin"), min_size=len(places), max_size=len(places)))
    split = data.draw(st.integers(1, len(places) - 1))
    edits = list(zip(places, acts, strict=True))
    fewer, more = held(edited(base, edits[:split]), base), held(edited(base, edits), base)
    assert more.score <= fewer.score + 1e-12
    assert axis(more, "calls") <= axis(fewer, "calls") + 1e-12


def edited(base: list[str], edits: list[tuple[int, str]]) -> list[str]:
    """Lines deleted, replaced by others, or with others after them; what is put in is nowhere else."""
    acts = dict(edits)
    found = []
    for place, line in enumerate(base):
        fresh = f"1 openat($STUDY/fresh-{place}, O_RDONLY) = ok"
        child = f"1 mkdir($STUDY/made-{place}, 0777) = ok"
        found += {None: [line], "d": [], "r": [fresh], "i": [line, fresh], "n": [child, line]}[acts.get(place)]
    return found


@pytest.mark.parametrize(
    ("change", "verdict", "words"),
    [
        (lambda b: [*b[:3], *file_lines(Y), *b[3:]], "FAIL", f"process 1 reads {Y}, which it did not before"),
        (lambda b: [*b[:3], *file_lines(X), *b[3:]], "WARN", f"process 1 reads {X}, more often than before"),
        (lambda b: [line for line in b if "fsync" not in line], "FAIL", "process 1 no longer syncs $STUDY/out"),
        (lambda b: [line for line in b if f"close({X}" not in line], "WARN", f"process 1 no longer closes {X}"),
        (
            lambda b: [line.replace(X, Y) for line in b],
            "FAIL",
            f"process 1 reads {Y} and no longer reads {X}",
        ),
        (
            lambda b: [*b[:-1], "1 unlink($STUDY/data/x.csv) = ok", b[-1]],
            "FAIL",
            f"process 1 removes {X}, which it did not before",
        ),
        (
            lambda b: [line.replace("= 100", "= 90") for line in b],
            "FAIL",
            "the command writes 90 bytes to $STUDY/out, 100 before",
        ),
    ],
    ids=["another file", "read twice", "lost sync", "leak", "path", "removal", "bytes"],
)
def test_what_differs_is_said(change: object, verdict: str, words: str) -> None:
    told = held(change(BASE))  # type: ignore[operator]
    assert (told.verdict, told.divergence) == (verdict, words)
    assert told.score < 1


def test_a_sync_before_the_write_is_no_sync_of_it() -> None:
    moved = [BASE[0], BASE[1], BASE[2], BASE[3], BASE[5], BASE[4], *BASE[6:]]
    told = held(moved)
    assert axis(told, "calls") < 1
    assert told.divergence == "process 1 syncs $STUDY/out with nothing new in it and no longer syncs $STUDY/out"


def test_splitting_what_is_read_is_no_difference() -> None:
    split = [BASE[0], f"1 read({X}) = 4", f"1 newfstatat({Y}) = ok", f"1 read({X}) = 6", *BASE[2:]]
    whole = [BASE[0], f"1 newfstatat({Y}) = ok", *BASE[1:]]
    assert held(split, whole).score == 1.0


def test_trying_again_is_no_difference() -> None:
    once = ["1 socket(AF_INET, SOCK_STREAM) = ok", "1 connect([socket], 192.0.2.1:80, 16) = ECONNREFUSED"]
    assert held([*once, *once, *once, *BASE], [*once, *BASE]).score == 1.0
    assert held([*once[:1], *BASE], [*once, *BASE]).score < 1


def test_threads_may_share_their_work_otherwise() -> None:
    births = ["1 clone3(thread) = 1.1", "1 clone3(thread) = 1.2"]
    one = [*births, *file_lines(X, label="1.1"), *file_lines(Y, label="1.2")]
    other = [*births, *file_lines(Y, label="1.1"), *file_lines(X, label="1.2")]
    assert held(one, other).score == 1.0
    assert held([*births, *file_lines(X, label="1.1")], one).verdict == "FAIL"


def test_another_child_first_does_not_shift_the_others() -> None:
    def child(number: int, program: str) -> list[str]:
        return [f"1.{number} execve(/bin/{program}, [{program}]) = ok", f"1.{number} exit(0)"]

    one = ["1 vfork(process) = 1.1", "1 vfork(process) = 1.2", *child(1, "cat"), *child(2, "ls")]
    other = [*one[:2], "1 vfork(process) = 1.3", *child(1, "date"), *child(2, "cat"), *child(3, "ls")]
    told = held(other, one)
    words = told.axes[0].words
    assert words == "6 of 6 lines in the same order, 0 elsewhere, 0 gone, 3 new"
    assert told.divergence == "process 1 starts a process that runs /bin/date, which it did not before"
    assert "executes /bin/date [date] once, never before" in told.reasons


def test_order_alone_lowers_the_score_and_is_told() -> None:
    base = [f"1 mkdir($STUDY/{number}, 0777) = ok" for number in range(20)]
    told = held([*base[:5], base[6], base[5], *base[7:]], base)
    assert 0.97 < axis(told, "calls") < 1
    assert told.verdict == "PASS"
    before = "makes the directory $STUDY/6 before it makes the directory $STUDY/5"
    assert told.divergence == f"process 1 {before}: it was the other way round"
    assert told.context[-2:] == (f"  - {base[5][2:]}", f"  + {base[6][2:]}")


@pytest.mark.parametrize(
    ("switch", "name", "found"),
    [
        ("check_write_patterns", "transfers", [line.replace("= 100", "= 90") for line in BASE]),
        ("check_file_operations", "files", [*BASE, *file_lines(X)]),
    ],
)
def test_a_switched_off_axis_does_not_count(switch: str, name: str, found: list[str]) -> None:
    on = compare(made(BASE), made(found), ALL)
    off = compare(made(BASE), made(found), msgspec.structs.replace(ALL, **{switch: False}))
    weights = {item.name: item.weight for item in off.axes}
    assert weights[name] == 0
    assert off.score > on.score
    assert next(item.words for item in off.axes if item.name == name).startswith(f"not counted: {switch} is off; ")
    assert not any(reason in off.reasons for reason in on.reasons if "bytes to" in reason or "opens" in reason)


def test_outputs_and_memory_have_switches_too() -> None:
    printed = [("write", '1<[stdout]>, "...", 5000', "5000")]
    asked = [("mmap", "NULL, 8388608, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0", "0x7f0000000000")]
    one, other = made(BASE), made(BASE, [*printed, *asked])
    told = compare(one, other, ALL)
    assert told.verdict == "FAIL"  # two axes of nothing in common, though nothing essential differs
    assert [item.name for item in told.axes if item.score < 1] == ["outputs", "memory"]
    quiet = EquivalencePolicy(check_output_correctness=False)
    assert compare(one, other, quiet).verdict == "PASS"
    assert compare(one, other, quiet).score == 1.0


@pytest.mark.parametrize(
    ("name", "few", "many", "tolerated"),
    [("sched_yield", 100, 3000, 300), ("getpid", 100, 3000, 150)],
)
def test_effort_has_its_noise(name: str, few: int, many: int, tolerated: int) -> None:
    def calling(times: int) -> TraceDocument:
        return made(BASE, [(name, "", "0")] * times)

    told = compare(calling(few), calling(many), ALL)
    assert (told.verdict, told.divergence) == ("WARN", f"the command calls {name} 3,000 times, 100 times before")
    assert compare(calling(few), calling(tolerated), ALL).score == 1.0
    assert compare(calling(many), calling(few), ALL).score == 1.0


def test_threads_wait_as_they_like() -> None:
    births = ["1 clone3(thread) = 1.1", *BASE]
    thread = ("clone3", "{flags=CLONE_VM|CLONE_THREAD}, 88", "2")
    one = made(births, [thread])
    assert compare(one, made(births, [thread, *[("futex", "", "0")] * 4000]), ALL).score == 1.0
    assert compare(one, made(births, [thread, *[("futex", "", "0")] * 5000]), ALL).verdict == "WARN"


THREADED = [
    ("mmap", "NULL, 41943040, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0", "0x7fff00000000"),
    ("mmap", "NULL, 8392704, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK, -1, 0", "0x7ffff4890000"),
    ("mprotect", "0x7ffff4891000, 8388608, PROT_READ|PROT_WRITE", "0"),
]
FURTHER = [
    ("mmap", "NULL, 8392704, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK, -1, 0", "0x7fffef7ff000"),
    ("mprotect", "0x7fffef800000, 8388608, PROT_READ|PROT_WRITE", "0"),
    ("mmap", "NULL, 8392704, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_STACK, -1, 0", "0x7fffe6ffe000"),
    ("mprotect", "0x7fffe6fff000, 8388608, PROT_READ|PROT_WRITE", "0"),
]


def test_a_thread_that_ends_early_leaves_its_stack_to_the_next() -> None:
    """Of two recordings of one program, one had three stacks where one had been enough before."""
    births = [f"1 clone3(thread) = 1.{number}" for number in (1, 2, 3)]
    one, three = made([*births, *BASE], THREADED), made([*births, *BASE], [*THREADED, *FURTHER])
    told = compare(one, three, ALL)
    assert (told.verdict, told.score, told.reasons) == ("PASS", 1.0, ())
    asked = [("mmap", "NULL, 16777216, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0", "0x7ffe00000000")]
    more = compare(one, made([*births, *BASE], [*THREADED, *asked]), ALL)
    assert more.verdict == "WARN"
    assert "holds up to 58,720,256 bytes of memory, 41,943,040 before" in more.reasons


def test_the_band_lies_below_min_confidence() -> None:
    base = [f"1 mkdir($STUDY/{number}, 0777) = ok" for number in range(8)]
    score = held(base[::-1], base).score
    for least, verdict in ((score, "PASS"), (score + BAND * 0.9, "WARN"), (score + BAND * 1.1, "FAIL")):
        policy = EquivalencePolicy(min_confidence=least, check_memory_allocations=True)
        assert compare(made(base), made(base[::-1]), policy).verdict == verdict


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"complete": False, "problems": ("cut off",)}, "the found trace is incomplete: cut off"),
        ({"lost": 3}, "the found trace lost 3 calls"),
        ({"level": "observe"}, "they were traced at different levels: full and observe"),
        ({"rules": 0}, "they were normalised by different rules: 1 and 0"),
        ({"lines": ()}, "the found trace is empty"),
        ({"calls": ()}, "the found trace is empty"),
    ],
)
def test_too_little_is_insufficient(other: dict[str, object], reason: str) -> None:
    told = compare(made(BASE), msgspec.structs.replace(made(BASE), **other), ALL)
    assert (told.verdict, told.score, told.reasons) == ("INSUFFICIENT", 0.0, (reason,))


def test_how_it_ended_is_essential() -> None:
    told = compare(made(BASE), made(BASE, exit=DocumentedExit(status=3, signal=None)), ALL)
    assert told.verdict == "FAIL"
    assert "has the command's exit(3) once, never before" in told.reasons


def test_contents_are_compared_where_they_are_known() -> None:
    one, other = made(BASE), made(BASE)
    same = compare(one, other, ALL, contents=({"out": "sha256:1"}, {"out": "sha256:1"}))
    assert same.score == 1.0
    told = compare(one, other, ALL, contents=({"out": "sha256:1"}, {"out": "sha256:2"}))
    assert (told.verdict, told.divergence) == ("FAIL", "the command leaves out with another content than before")


def measured(*walls: float, memory: int = 1 << 20) -> Measured:
    return Measured(
        repetitions=tuple(
            Repetition(wall=wall, user=wall / 2, system=0.01, peak_memory=memory, exit_status=0) for wall in walls
        )
    )


def test_times_never_enter_the_score() -> None:
    fast, slow = measured(1.0, 1.1, 0.9, 1.05, 1.0), measured(2.0, 2.1, 1.9, 2.05, 2.0)
    one = made(BASE)
    told = compare(one, one, ALL, expected_measured=fast, found_measured=slow)
    assert (told.score, told.verdict) == (1.0, "WARN")
    assert told.timing.speedup == pytest.approx(0.5)
    assert any(reason.startswith("wall seconds: 1.01 before, 2.01 now") for reason in told.reasons)
    assert compare(one, one, ALL, expected_measured=slow, found_measured=fast).verdict == "PASS"
    assert compare(one, one, ALL, expected_measured=fast, found_measured=fast).reasons == ()


def test_declared_bounds_of_the_speed_up() -> None:
    one, fast, slow = made(BASE), measured(1.0), measured(2.0)
    bounds = EquivalencePolicy(expected_speedup_min=1.0, expected_speedup_max=1.5)
    told = compare(one, one, bounds, expected_measured=fast, found_measured=slow)
    assert (told.verdict, told.reasons) == ("WARN", ("the speed-up is 0.50, expected_speedup_min is 1",))
    told = compare(one, one, bounds, expected_measured=slow, found_measured=fast)
    assert (told.verdict, told.reasons) == ("WARN", ("the speed-up is 2.00, expected_speedup_max is 1.5",))


def test_traced_times_are_used_only_when_asked_for() -> None:
    one = made(BASE)
    assert compare(one, one, ALL).timing.speedup is None
    assert compare(one, one, ALL, traced_times=True).timing.speedup == 1.0


def test_the_weights_are_those_of_the_document() -> None:
    assert sum(WEIGHTS.values()) == pytest.approx(1.1)
