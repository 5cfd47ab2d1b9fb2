"""What is varied and held still."""

from __future__ import annotations

import pytest

from entrenar_research.core.reproducing import causes, factors, suspects
from entrenar_research.core.reproducing.factors import Alteration, Here
from entrenar_research.errors import UsageError
from entrenar_research.models.reproduction import Difference, Kind

HERE = Here(threads=1, cpu=0, locales=("de_DE", "C"), features=("X86_V3", "X86_V4"))


@pytest.mark.parametrize("name", factors.BY_NAME)
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_factor_varies_something_in_two_ways(name: str, machine: str) -> None:
    here = Here(threads=2, cpu=0, machine=machine)
    first, second = (factors.varied(name, number, here) for number in range(factors.ROUNDS))
    assert Alteration() not in (first, second)
    assert first != second or name == "locale"  # where no other locale is installed


def test_no_two_factors_vary_the_same() -> None:
    for number in range(factors.ROUNDS):
        for name in factors.BY_NAME:
            for other in factors.BY_NAME:
                if name < other:
                    one, two = factors.varied(name, number, HERE), factors.varied(other, number, HERE)
                    assert not set(one.variables) & set(two.variables), (name, other)
                    assert not set(one.hook) & set(two.hook), (name, other)


def test_together_is_all_of_them() -> None:
    every = [factors.varied(name, 0, HERE) for name in factors.BY_NAME]
    whole = factors.together(every)
    for item in every:
        assert item.variables.items() <= whole.variables.items()
        assert item.hook.items() <= whole.hook.items()
        assert item.launcher.items() <= whole.launcher.items()
        assert item.place in (None, whole.place)
    assert whole.stamp != factors.USUAL_STAMP
    assert factors.together([]) == Alteration()


def test_each_cause_that_can_be_held_is_held_in_its_own_way() -> None:
    ways = [factors.held(cause, HERE) for cause in factors.HELD]
    assert all(ways.count(way) == 1 for way in ways)
    assert Alteration() not in ways


def test_choosing() -> None:
    assert factors.chosen("hash, order,hash") == ("hash", "order")
    assert factors.chosen("none") == ()
    assert factors.chosen("all") == tuple(factors.BY_NAME)
    assert "hash" not in factors.chosen("unpinned")
    with pytest.raises(UsageError, match="'hsah'") as caught:
        factors.chosen("hsah")
    assert "hash" in (caught.value.hint or "")


def test_every_cause_has_a_fix_and_every_factor_a_cause() -> None:
    known = {value for name, value in vars(causes).items() if name.isupper() and name != "FIXES"}
    assert known == set(causes.FIXES)
    assert {factor.cause for factor in factors.FACTORS} <= known


@pytest.mark.parametrize(
    ("kind", "other", "first"),
    [("order", "", "hash"), ("rounding", "", "cpu"), ("bytecode", "", "mtime"), ("value", "on somewhere-else", "host"),
     ("value", "/h/somebody/x", "home"), ("value", "x", "path")],
)  # fmt: skip
def test_what_a_difference_looks_like_decides_what_is_tried_first(kind: Kind, other: str, first: str) -> None:
    unlike = [Difference(file="a", place="b", kind=kind, detail="", other=other)]
    ranked = suspects.ranked(tuple(factors.BY_NAME), unlike, 0, HERE)
    assert ranked[0] == first
    assert sorted(ranked) == sorted(factors.BY_NAME)
