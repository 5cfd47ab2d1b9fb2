"""Metamorphic relations: what must hold between an experiment and a variant of it, whatever the right result is."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

RelationKind = Literal[
    "identity",
    "additive",
    "multiplicative",
    "negation",
    "permutation",
    "permutation_invariance",
    "composition",
    "inclusion",
    "monotonic_loss",
    "custom",
]
Severity = Literal["warning", "critical"]


class _Declared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a declaration that a person writes: an unknown key is a mistake, not an extension."""


class InputChange(_Declared, frozen=True, kw_only=True):
    """A change of a declared input, a table in CSV: exactly one of `permute`, `scale`, `shift`, `negate`, `keep`.

    `permute` is the seed of the new order of its rows; `scale` and `shift` multiply the numbers in `columns` (names or
    places from 0; all columns if empty) or add to them; `keep` is the share of the rows that stay, drawn with `seed`.
    `header` says whether the first row is names (default: if no cell of it is a number).
    """

    file: str
    permute: int | None = None
    scale: float | None = None
    shift: float | None = None
    negate: bool = False
    keep: float | None = None
    seed: int = 0
    columns: tuple[int | str, ...] = ()
    header: bool | None = None


class Variant(_Declared, frozen=True, kw_only=True):
    """How a variant is made: parameters set, another seed, inputs changed one after another."""

    set: dict[str, Any] = {}
    seed: int | None = None
    inputs: tuple[InputChange, ...] = ()

    @property
    def changes(self) -> int:
        """How many changes it makes."""
        return len(self.set) + (self.seed is not None) + len(self.inputs)


class Curve(_Declared, frozen=True, kw_only=True):
    """A row of numbers: a logged `series`, or a `column` of the output `file`."""

    series: str | None = None
    file: str | None = None
    column: str | None = None


class Margin(_Declared, frozen=True, kw_only=True):
    """How far what must be equal may lie apart: absolute + relative * |expected|."""

    absolute: float = 0.0
    relative: float = 0.0


class Relation(_Declared, frozen=True, kw_only=True):
    """A relation of a `kind` between `metrics` or `outputs` of the experiment and its `variant`.

    `factor` is that of `multiplicative`, `amount` that of `additive`, `same_as` what a `composition` must equal,
    `curve` and `window` what `monotonic_loss` looks at. Without a `tolerance` that of each metric holds.
    """

    kind: RelationKind
    name: str | None = None
    variant: Variant | None = None
    same_as: Variant | None = None
    metrics: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    curve: Curve | None = None
    window: int | None = None
    factor: float | None = None
    amount: float | None = None
    tolerance: Margin | None = None
    severity: Severity = "critical"
