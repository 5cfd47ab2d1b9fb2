"""A golden trace: a promoted trace that later runs are held against."""

from __future__ import annotations

from typing import Literal

import msgspec

from entrenar_research.models.measured import Measured, Repetition

GateState = Literal["pass", "refused", "no data"]
Steady = int | tuple[int, ...]
"""Numbers of several traces: one number where all are the same."""


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate said of a promotion, and why in words; only `refused` stands in the way."""

    gate: str
    state: GateState
    words: str


class GoldenEnvironment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it was recorded with, as far as it matters for times and calls: no names of machines or persons.

    Times are comparable where `architecture`, `cpu` and `cores` are the same.
    """

    python: str | None = None
    packages: dict[str, str] = {}
    system: str | None = None
    architecture: str | None = None
    cpu: str | None = None
    cores: int | None = None


class Noise(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How steady the behaviour is: of `traced` fresh traces, `agreed` gave the golden lines exactly.

    `counts` has, by call, how often it was made in each of them, one number where that is always the same; `allocated`
    is in the same way the peak of the memory they asked for, in bytes. `elapsed` is the coefficient of variation of the
    wall seconds.
    """

    traced: int = 0
    agreed: int = 0
    counts: dict[str, Steady] = {}
    allocated: Steady | None = None
    elapsed: float | None = None

    @property
    def samples(self) -> dict[str, tuple[int, ...]]:
        """How often each call was made, one number for each of the traces."""
        return {name: self.spread(value) for name, value in self.counts.items()}

    def spread(self, value: Steady) -> tuple[int, ...]:
        """One number for each of the traces."""
        return (value,) * self.traced if isinstance(value, int) else value

    @property
    def varying(self) -> dict[str, tuple[int, int]]:
        """The calls that were not always made as often, with the smallest and the largest number."""
        return {name: (min(found), max(found)) for name, found in self.counts.items() if not isinstance(found, int)}


class GoldenRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag=2):
    """What `golden_traces/<name>/golden.yaml` holds.

    `trace_id` is the digest of the normalised lines and `calls` counts these by name, `total` all calls of the trace.
    `inputs` has the digests of code, parameters and inputs by study path. `repetitions` were not traced. `runner` is
    what it was run and repeated by.
    """

    name: str
    experiment: str
    run: str
    promoted: str
    tool: str
    tracer: str
    runner: str = "host"
    command: str = ""
    inputs: dict[str, str] = {}
    environment: GoldenEnvironment = GoldenEnvironment()
    recipe: str | None = None
    result: str | None = None
    trace_id: str
    total: int
    calls: dict[str, int]
    noise: Noise = Noise()
    repetitions: tuple[Repetition, ...] = ()
    gates: tuple[GateResult, ...] = ()

    @property
    def measured(self) -> Measured | None:
        """The untraced repetitions, None without any."""
        return Measured(repetitions=self.repetitions) if self.repetitions else None
