"""A sweep: what `sweeps/<name>/sweep.yaml` declares, and the trials that came of it."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.recorded import Recorded

Aim = Literal["maximize", "minimize"]
Strategy = Literal["grid", "random", "tpe"]
Keep = Literal["all", "best", "none"]
TrialStatus = Literal["running", "completed", "pruned", "failed", "cancelled", "lost"]

OPEN_AGAIN: frozenset[TrialStatus] = frozenset({"cancelled", "lost"})
"""How a trial can have ended without an outcome: another one takes its place, with the same parameters."""


class _Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of what a person writes: an unknown key is a mistake, not an extension."""


class Condition(_Declared, frozen=True, kw_only=True):
    """A parameter is searched only while `param`, another one of the space, has one of these values."""

    param: str
    values: tuple[Any, ...] = msgspec.field(name="is")


class Choice(_Declared, frozen=True, kw_only=True, tag_field="type", tag="choice"):
    """One of a few values."""

    values: tuple[Any, ...]
    when: Condition | None = None


class Whole(_Declared, frozen=True, kw_only=True, tag_field="type", tag="int"):
    """A whole number from `low` to `high`, both included; with `log` small ones are as likely as large ones."""

    low: int
    high: int
    step: int = 1
    log: bool = False
    when: Condition | None = None


class Real(_Declared, frozen=True, kw_only=True, tag_field="type", tag="float"):
    """A number from `low` to `high`, both included; with `step` only every so many from `low` on."""

    low: float
    high: float
    step: float | None = None
    log: bool = False
    when: Condition | None = None


Dimension = Choice | Whole | Real
Space = dict[str, Dimension]


class Objective(_Declared, frozen=True, kw_only=True):
    """The number that says how good a trial is: a declared metric of the experiment, or one that it logs.

    Without `goal` that of the declared metric.
    """

    metric: str
    goal: Aim | None = None


class Hyperband(_Declared, frozen=True, kw_only=True, tag_field="type", tag="hyperband"):
    """Stops trials that do badly. Resources are steps of the logged objective, e.g. epochs.

    Of those that have come to step `min`, one in `factor` goes on, again at `min * factor` and so forth up to `max`.
    Source: Li et al., Hyperband, JMLR 18 (2018) 185, in the asynchronous form of Li et al., MLSys 2020.
    """

    low: int = msgspec.field(name="min")
    high: int = msgspec.field(name="max")
    factor: int = 3


class Budget(_Declared, frozen=True, kw_only=True):
    """How much is tried: so many trials; no new one begins once `time` (`90s`, `30min`, `2h`) has passed."""

    trials: int | None = None
    time: str | None = None


class SweepDeclaration(_Declared, frozen=True, kw_only=True):
    """The content of `sweep.yaml`. Without `experiment`, the trials are runs of a script that uses `er.Sweep`.

    A list in `space` is short for a choice. `keep` says of which trials the result files are kept.
    """

    experiment: str | None = None
    description: str | None = None
    objective: Objective
    strategy: Strategy = "random"
    pruning: Hyperband | None = None
    seed: int = 0
    budget: Budget = Budget()
    keep: Keep = "best"
    trace: TraceLevel | None = None
    space: dict[str, list[Any] | Choice | Whole | Real]


class Sweep(msgspec.Struct, frozen=True, kw_only=True):
    """A named declaration that was checked: `space` has every list as a choice, in the order of its conditions.

    `goal` is that of the declaration or, where it has none, of the experiment's metric; `seconds` is the time of
    the budget.
    """

    name: str
    declaration: SweepDeclaration
    space: Space
    goal: Aim
    seconds: float | None = None

    @property
    def metric(self) -> str:
        """The name of the objective."""
        return self.declaration.objective.metric

    @property
    def directory(self) -> str:
        """`sweeps/<name>`, relative to the study."""
        return f"sweeps/{self.name}"

    @property
    def file(self) -> str:
        """The declaration's own path, relative to the study."""
        return f"{self.directory}/sweep.yaml"

    def better(self, one: float, other: float) -> bool:
        """Whether a value of the objective is better than another."""
        return one > other if self.goal == "maximize" else one < other


class TrialRecord(Recorded, frozen=True, kw_only=True):
    """One trial. `slot` counts the trials without those that took the place of one that was cut off (`retry_of`).

    `params` are the searched ones only, `run` the run that carries it out, `worker` who does it; `step` is the last
    step at which pruning looked, `intermediate` the value there. `started` is ISO 8601 in UTC, `seconds` a duration.
    `base` is a digest of what all trials are meant to have in common: code, inputs, the other parameters.
    """

    number: int
    slot: int
    status: TrialStatus
    params: dict[str, Any]
    run: str
    value: float | None = None
    reason: str | None = None
    retry_of: int | None = None
    started: str | None = None
    seconds: float | None = None
    step: int | None = None
    intermediate: float | None = None
    worker: str | None = None
    base: str | None = None
