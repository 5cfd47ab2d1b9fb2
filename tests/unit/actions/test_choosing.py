"""Which tracer is taken: the one that was named, else the first that works; what is said where none does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from entrenar_research.actions.traces.choosing import DEFAULTS, Tracers, described
from entrenar_research.errors import MissingToolError, UsageError
from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.trace import Trace
from entrenar_research.tracers.port import Sight, Tracer


class Made:
    """A tracer that works at the levels it is told to, and counts how often it was tried."""

    def __init__(self, name: str, *levels: TraceLevel, sees: Sight = "all") -> None:
        self.name, self.sees, self._levels = name, sees, levels
        self.tried = 0

    def version(self) -> str | None:
        return "1.2" if self._levels else None

    def unavailable(self, level: TraceLevel = "full") -> str | None:
        self.tried += 1
        return None if level in self._levels else f"no {level}"

    def wrap(self, argv: Sequence[str], *, level: TraceLevel, log: Path) -> list[str]:
        raise NotImplementedError

    def read(self, log: Path, *, command: Sequence[str], level: TraceLevel) -> Trace:
        raise NotImplementedError


def choice(*made: Made, named: str | None = None) -> Tracers:
    by_name: dict[str, Tracer] = {tracer.name: tracer for tracer in made}
    return Tracers(by_name.__getitem__, named)


def test_the_first_that_works_at_the_level_is_taken() -> None:
    assert DEFAULTS == ("strace", "kernel")
    strace, kernel = Made("strace"), Made("kernel", "observe")
    tracers = choice(strace, kernel)
    assert tracers.find("observe") is kernel
    assert tracers.able("observe") is kernel
    assert tracers.find("full") is None
    assert choice(Made("strace", "full"), kernel).able("full").name == "strace"


def test_each_is_tried_once_a_level() -> None:
    strace, kernel = Made("strace"), Made("kernel", "full")
    tracers = choice(strace, kernel)
    for _ in range(3):
        assert tracers.find("full") is kernel
    assert (strace.tried, kernel.tried) == (1, 1)
    tracers.find("observe")
    assert (strace.tried, kernel.tried) == (2, 2)


def test_where_none_works_all_are_named_with_their_reasons() -> None:
    tracers = choice(Made("strace"), Made("kernel"))
    assert tracers.reason("full") == "strace: no full; kernel: no full"
    with pytest.raises(
        MissingToolError, match="nothing can be traced here with strace or kernel: strace: no full; k"
    ) as e:
        tracers.able("full")
    assert e.value.exit_code == 3
    assert "doctor" in str(e.value.hint)
    with pytest.raises(MissingToolError, match=r"^it cannot be: strace: no full; kernel: no full$"):
        tracers.able("full", "it cannot be", "do without")


def test_what_is_named_is_taken_and_nothing_else() -> None:
    other = Made("other")
    tracers = choice(Made("strace", "full"), Made("kernel", "full"), other, named="other")
    with pytest.raises(MissingToolError, match="nothing can be traced here with other: other: no full"):
        tracers.find("full")
    with pytest.raises(MissingToolError, match="with other: "):
        tracers.able("full", of=("strace", "kernel"))
    assert choice(Made("other", "full"), named="other").able("full", of=("strace",)).name == "other"


def test_an_order_of_ones_own() -> None:
    tracers = choice(Made("strace", "full"), Made("kernel", "full"), Made("third"))
    assert tracers.able("full", of=("third", "kernel", "strace")).name == "kernel"
    with pytest.raises(MissingToolError, match="nothing can be traced here with third: third: no full"):
        tracers.able("full", of=("third",))


@pytest.mark.parametrize(("sees", "refused"), [("all", ()), ("some", ("some",)), ("nothing", ("some", "nothing"))])
def test_one_that_sees_too_little_is_refused(sees: Sight, refused: tuple[Sight, ...]) -> None:
    tracers = choice(Made("mine", "full", sees=sees), named="mine")
    if refused:
        with pytest.raises(UsageError, match="a golden trace cannot be made with mine: it "):
            tracers.refuse("a golden trace", *refused)
    tracers.refuse("nothing that it cannot do", *({"some", "nothing"} - {sees}))  # type: ignore[arg-type]


def test_in_records_it_stands_with_its_version() -> None:
    assert described(Made("mine", "full")) == "mine 1.2"
    assert described(Made("mine")) == "mine"
