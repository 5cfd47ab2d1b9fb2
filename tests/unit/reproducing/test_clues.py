"""What a difference looks like, and what is not to be read into it."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrenar_research.core.reproducing import causes, clues
from entrenar_research.core.reproducing.clues import Circumstances
from entrenar_research.models.reproduction import Difference, Kind

BEGAN = datetime.datetime(2026, 11, 21, 14, 0, 0, tzinfo=datetime.UTC).timestamp()
ONE = Circumstances(
    began=BEGAN, ended=BEGAN + 3, study="/tmp/r/study", temporary=("/scratch/tmp",), processes=frozenset({4711})
)
OTHER = Circumstances(
    began=BEGAN + 60, ended=BEGAN + 63, study="/tmp/r/study", temporary=("/scratch/tmp",), processes=frozenset({4790})
)


def named(one: str, other: str, *, place: str = "x", kind: Kind = "value") -> str | None:
    difference = Difference(file="a", place=place, kind=kind, detail="", one=one, other=other)
    clue = clues.clue(difference, ONE, OTHER)
    return None if clue is None else clue.cause


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-21T14:00:01+00:00", "2026-11-21T14:01:01+00:00"),
        ("2026-11-21 14:00:01.250", "2026-11-21 14:01:02,5"),
        ("at 20261121T140001Z", "at 20261121T140102Z"),
        ("20261121-140001", "20261121-140102"),
        ("Sat Nov 21 14:00:01 2026", "Sat Nov 21 14:01:01 2026"),
        ("Sat Nov 21 14:00:01 UTC 2026", "Sat Nov 21 14:01:01 UTC 2026"),
        ("Sat, 21 Nov 2026 14:00:01 GMT", "Sat, 21 Nov 2026 14:01:01 GMT"),
        ("started 14:00:01", "started 14:01:01"),
        (str(BEGAN + 1), str(BEGAN + 61)),
        (str(int(BEGAN * 1000) + 1), str(int(BEGAN * 1000) + 61000)),
        (str(int(BEGAN * 1e9) + 1), str(int(BEGAN * 1e9) + 61_000_000_000)),
        (str(BEGAN + 1) + ", 0.5", str(BEGAN + 61) + ", 0.5"),
    ],
)
def test_a_time_at_which_each_rebuild_ran_is_the_clock(one: str, other: str) -> None:
    assert named(one, other) == causes.CLOCK


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-11-21T14:00:01", "2025-11-21T14:01:01"),  # the second rebuild did not run then
        ("2026-11-21T14:01:01", "2026-11-21T14:00:01"),  # the other way round
        ("1.5", "2.5"),
        ("0.0", "nan"),
        ("2026-13-41T25:00:00", "2026-13-41T26:00:00"),
        ("apple", "pear"),
        ("", ""),
    ],
)
def test_other_values_are_no_clue(one: str, other: str) -> None:
    assert named(one, other) is None


def test_a_time_that_both_sides_have_is_no_clue() -> None:
    assert named("2026-11-21T14:00:01 red", "2026-11-21T14:00:01 blue") is None


@pytest.mark.parametrize(
    ("one", "other", "cause"),
    [
        ("/scratch/tmp/tmpab12cd34/x", "/scratch/tmp/tmpzz12cd34/x", causes.TEMPORARY),
        ("file /tmp/abc.1", "file /tmp/abc.2", causes.TEMPORARY),
        ("tmpab12cd34", "tmpzz12cd34", causes.TEMPORARY),
        ("tmp.AbCdEf", "tmp.GhIjKl", causes.TEMPORARY),
        ("<A object at 0x7f00aa>", "<A object at 0x7f11bb>", causes.ADDRESS),
        ("pid 4711", "pid 4790", causes.PROCESS),
        ("e9e7cec6-76ff-4a95-9a81-12c9f904af8d", "1975ac41-4554-402e-a6a5-dd1ffc665bc7", causes.RANDOMNESS),
    ],
)
def test_names_that_are_new_each_time(one: str, other: str, cause: str) -> None:
    assert named(one, other) == cause


def test_a_path_in_the_study_is_no_temporary_one_although_the_study_lies_there() -> None:
    assert named("/tmp/r/study/run-1", "/tmp/r/study/run-2") is None
    assert named("/tmp/r/study/20261121T140001", "/tmp/r/study/20261121T140102") == causes.CLOCK


def test_a_process_of_the_wrong_rebuild_is_no_clue() -> None:
    assert named("pid 4790", "pid 4711") is None


@pytest.mark.parametrize(
    ("place", "expected"), [("train_seconds", causes.CLOCK), ("elapsed", causes.CLOCK), ("loss", None)]
)
def test_a_duration_is_told_by_its_name_and_by_what_the_rebuilds_took(place: str, expected: str | None) -> None:
    assert named("1.25", "1.5", place=place) == expected
    assert named("100.5", "200.5", place=place) is None


def test_kinds_that_say_it_themselves() -> None:
    assert named("", "", kind="bytecode") == causes.BYTECODE
    assert named("", "", kind="stamp") == causes.STAMPS


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_borne(one: str, other: str) -> None:
    named(one, other)


@given(st.text(alphabet="0123456789-T:.+eZ /JanMon,", max_size=60))
def test_anything_like_a_time_is_borne(text: str) -> None:
    named(text, text[::-1])
