"""An experiment: what `experiments/<name>/experiment.yaml` declares."""

from __future__ import annotations

from typing import Literal

import msgspec

from entrenar_research.models.relations import Relation

Goal = Literal["maximize", "minimize", "none"]
TraceLevel = Literal["none", "observe", "full"]


class _Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a declaration that a person writes: an unknown key is a mistake, not an extension."""


class Tolerance(_Declared, frozen=True, kw_only=True):
    """How far a replayed metric may lie from the recorded one: |a - b| <= absolute + relative * |recorded|."""

    absolute: float = 0.0
    relative: float = 0.0


class Metric(_Declared, frozen=True, kw_only=True):
    """A number in one of the outputs. `key` is a dotted path in `file` and defaults to the metric's name."""

    file: str = "metrics.json"
    key: str | None = None
    goal: Goal = "none"
    tolerance: Tolerance = Tolerance()


class Plot(_Declared, frozen=True, kw_only=True):
    """A table among the outputs to draw: column `x` against the columns `y`."""

    file: str
    x: str | None = None
    y: tuple[str, ...] = ()


class Plan(_Declared, frozen=True, kw_only=True):
    """What the experiment is expected to need: CPUs, memory (`512MiB`), memory of graphics cards, wall time (`2h`).

    A run that takes more than `amber` percent over it is shown in amber, more than `red` percent in red.
    """

    cpus: int | None = None
    memory: str | None = None
    gpu_memory: str | None = None
    time: str | None = None
    amber: float = 10.0
    red: float = 25.0


class Collected(_Declared, frozen=True, kw_only=True):
    """An output that the command writes at a fixed place: moved from `source` (study path) to result/`path`."""

    path: str
    source: str = msgspec.field(name="from")


class Declaration(_Declared, frozen=True, kw_only=True):
    """The content of `experiment.yaml`. All paths are relative to the study, outputs to `result/`.

    `command` is split into words without a shell; `${result}`, `${params}`, `${seed}` and
    `${params.<key>}` are replaced in it. `dois` has the DOI of code and inputs that have one, by their path.
    """

    command: str
    description: str | None = None
    params: str | None = None
    seed: int | None = None
    code: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    dois: dict[str, str] = {}
    outputs: tuple[str | Collected, ...] = ()
    metrics: dict[str, Metric] = {}
    plots: tuple[Plot, ...] = ()
    plan: Plan = Plan()
    relations: tuple[Relation, ...] = ()
    trace: TraceLevel = "observe"

    @property
    def output_paths(self) -> tuple[str, ...]:
        """Every declared output, relative to `result/`."""
        return tuple(item if isinstance(item, str) else item.path for item in self.outputs)


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """A named declaration: `name` is the directory below `experiments/`."""

    name: str
    declaration: Declaration

    @property
    def directory(self) -> str:
        """`experiments/<name>`, relative to the study."""
        return f"experiments/{self.name}"

    @property
    def file(self) -> str:
        """The declaration's own path, relative to the study."""
        return f"{self.directory}/experiment.yaml"

    @property
    def result(self) -> str:
        """The result directory, relative to the study."""
        return f"{self.directory}/result"
