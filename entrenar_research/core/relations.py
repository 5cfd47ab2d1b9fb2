"""Metamorphic relations: whether a declared one makes sense, and whether it holds between outcomes.

T. Y. Chen et al., "Metamorphic Testing: A Review of Challenges and Opportunities", ACM Computing Surveys 51 (2018).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from entrenar_research.models.equivalence import Violation
from entrenar_research.models.experiment import Declaration
from entrenar_research.models.relations import Curve, InputChange, Margin, Relation, Variant

Place = list[str | int]
Fault = tuple[Place, str]
_ALWAYS: Final = frozenset({"kind", "name", "severity", "tolerance", "metrics"})
TABLES: Final = (".csv", ".txt")
"""Outputs with rows."""
# What each kind must have, and may have besides.
_KEYS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "identity": (frozenset(), frozenset({"outputs", "variant"})),
    "additive": (frozenset({"variant", "amount", "metrics"}), frozenset()),
    "multiplicative": (frozenset({"variant", "factor", "metrics"}), frozenset()),
    "negation": (frozenset({"variant", "metrics"}), frozenset()),
    "permutation": (frozenset({"variant"}), frozenset({"outputs"})),
    "permutation_invariance": (frozenset({"variant"}), frozenset({"outputs"})),
    "composition": (frozenset({"variant", "same_as"}), frozenset({"outputs"})),
    "inclusion": (frozenset({"variant"}), frozenset({"outputs"})),
    "monotonic_loss": (frozenset(), frozenset({"variant", "curve", "window"})),
}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the experiment or of a variant: metrics, output tables as rows, curves, digests of outputs."""

    metrics: Mapping[str, float]
    tables: Mapping[str, Sequence[Sequence[str]]]
    digests: Mapping[str, str]
    curve: Sequence[float] = ()


def check(relation: Relation, declaration: Declaration) -> Fault | None:
    """Where a declared relation is wrong (keys from the relation on), and why; None if it can be tested."""
    if relation.kind == "custom":
        known = ", ".join(_KEYS)
        return ["kind"], f"a `custom` relation has no meaning that could be tested; expected one of: {known}"
    needed, permitted = _KEYS[relation.kind]
    default = Relation(kind=relation.kind)
    given = {key for key in relation.__struct_fields__ if getattr(relation, key) != getattr(default, key)}
    for key in sorted(needed - given):
        return [], f"a relation of the kind `{relation.kind}` needs `{key}`"
    for key in sorted(given - needed - permitted - _ALWAYS):
        return [key], f"`{key}` says nothing in a relation of the kind `{relation.kind}`"
    faults = (*_of_kind(relation), *_of_names(relation, declaration), *_of_numbers(relation))
    return next(iter(faults), None)


def _of_kind(relation: Relation) -> Iterator[Fault]:
    if relation.kind == "monotonic_loss":
        if relation.curve is None and not (relation.variant and relation.metrics):
            yield [], "a relation of the kind `monotonic_loss` needs a `curve`, or a `variant` and `metrics`"
        if bool(relation.variant) != bool(relation.metrics):
            yield [], "`monotonic_loss` compares `metrics` with those of a `variant`: give both or none"
        if relation.window is not None and relation.curve is None:
            yield ["window"], "`window` says nothing without a `curve`"
    elif not relation.metrics and not relation.outputs:
        yield [], "nothing to compare: expected `metrics` or `outputs`"
    changes = relation.variant.inputs if relation.variant else ()
    if relation.kind.startswith("permutation") and not any(change.permute is not None for change in changes):
        yield ["variant"], f"the variant of a `{relation.kind}` must `permute` an input"
    if relation.kind == "composition" and relation.variant and relation.variant.changes < 2:
        yield ["variant"], "the variant of a `composition` must make two changes or more"


def _of_names(relation: Relation, declaration: Declaration) -> Iterator[Fault]:
    for index, name in enumerate(relation.metrics):
        if name not in declaration.metrics:
            yield ["metrics", index], f"{name!r} is no declared metric ({', '.join(declaration.metrics) or 'none is'})"
    for index, path in enumerate(relation.outputs):
        if path not in declaration.output_paths:
            yield ["outputs", index], f"{path!r} is not among the outputs ({', '.join(declaration.output_paths)})"
        elif relation.kind in ("permutation", "inclusion") and not path.endswith(TABLES):
            yield (
                ["outputs", index],
                f"{path!r} has no rows to compare: expected a name that ends in {' or '.join(TABLES)}",
            )
    yield from _of_curve(relation.curve, declaration)
    for key, variant in (("variant", relation.variant), ("same_as", relation.same_as)):
        if variant is not None:
            yield from (([key, *place], words) for place, words in _of_variant(variant, declaration))


def _of_curve(curve: Curve | None, declaration: Declaration) -> Iterator[Fault]:
    if curve is None:
        return
    if (curve.series is None) == (curve.file is None) or (curve.file is None) != (curve.column is None):
        yield ["curve"], "expected either `series`, or `file` and `column`"
    elif curve.file is not None and not (curve.file in declaration.output_paths and curve.file.endswith(TABLES)):
        tables = ", ".join(path for path in declaration.output_paths if path.endswith(TABLES)) or "none is"
        yield ["curve", "file"], f"{curve.file!r} is no table among the outputs ({tables})"


def _of_variant(variant: Variant, declaration: Declaration) -> Iterator[Fault]:
    if not variant.changes:
        yield [], "it changes nothing: expected `set`, `seed` or `inputs`"
    if variant.set and declaration.params is None:
        yield ["set"], "the experiment declares no params file in which something could be set"
    if variant.seed is not None and declaration.seed is None:
        yield ["seed"], "the experiment declares no seed"
    for index, change in enumerate(variant.inputs):
        if change.file not in declaration.inputs:
            inputs = ", ".join(declaration.inputs) or "none is"
            yield ["inputs", index, "file"], f"{change.file!r} is no declared input ({inputs})"
        yield from ((["inputs", index, *place], words) for place, words in _of_change(change))


def _of_change(change: InputChange) -> Iterator[Fault]:
    ways = [key for key in ("permute", "scale", "shift", "negate", "keep") if getattr(change, key) not in (None, False)]
    if len(ways) != 1:
        yield [], "expected exactly one of `permute`, `scale`, `shift`, `negate`, `keep`"
    elif change.columns and ways[0] in ("permute", "keep"):
        yield ["columns"], f"`columns` says nothing beside `{ways[0]}`: whole rows are meant"
    elif change.seed and ways[0] != "keep":
        yield ["seed"], f"`seed` says nothing beside `{ways[0]}`"
    if change.keep is not None and not 0 < change.keep <= 1:
        yield ["keep"], f"found {change.keep:g}, expected a share above 0 and up to 1"


def _of_numbers(relation: Relation) -> Iterator[Fault]:
    if relation.window is not None and relation.window < 1:
        yield ["window"], f"found {relation.window}, expected a whole number from 1"
    for key in ("absolute", "relative"):
        value = getattr(relation.tolerance, key) if relation.tolerance else 0.0
        if not 0 <= value < math.inf:
            yield ["tolerance", key], f"found {value:g}, expected a number that is zero or greater"
    for key in ("factor", "amount"):
        value = getattr(relation, key)
        if value is not None and not math.isfinite(value):
            yield [key], f"found {value:g}, expected a finite number"


def judge(
    relation: Relation, base: Outcome, variant: Outcome | None, margins: Mapping[str, Margin]
) -> tuple[Violation, ...]:
    """What does not hold between the outcomes; `margins` are those of the metrics.

    Of a `composition` `base` is the outcome of `same_as`. `variant` is None where the relation has none.
    """
    found = list(_curve(relation, base))
    if variant is not None:
        found += _metrics(relation, base, variant, margins)
        found += _outputs(relation, base, variant)
    told = relation.name or relation.kind
    return tuple(
        Violation(relation=told, expected=expected, actual=actual, severity=relation.severity)
        for expected, actual in found
    )


_EXPECTED: Final[dict[str, Callable[[Relation, float], float]]] = {
    "additive": lambda relation, value: value + (relation.amount or 0.0),
    "multiplicative": lambda relation, value: value * (1.0 if relation.factor is None else relation.factor),
    "negation": lambda relation, value: -value,
}


def _metrics(
    relation: Relation, base: Outcome, variant: Outcome, margins: Mapping[str, Margin]
) -> Iterator[tuple[str, str]]:
    for name in relation.metrics:
        margin = relation.tolerance or margins.get(name, Margin())
        expect = _EXPECTED.get(relation.kind)
        wanted = expect(relation, base.metrics[name]) if expect else base.metrics[name]
        actual = variant.metrics[name]
        if relation.kind in ("inclusion", "monotonic_loss"):
            if not actual <= wanted + _allowed(wanted, margin):
                yield f"{name} at most {wanted:.9g}", f"{actual:.9g}"
        elif not _close(wanted, actual, margin):
            yield f"{name} = {wanted:.9g}", f"{actual:.9g}"


def _outputs(relation: Relation, base: Outcome, variant: Outcome) -> Iterator[tuple[str, str]]:
    for path in relation.outputs:
        if path not in base.digests or path not in variant.digests:
            yield f"{path} is written", "it was not"
        elif relation.kind in ("permutation", "inclusion"):
            yield from _rows(relation.kind, path, base, variant)
        elif base.digests[path] != variant.digests[path]:
            words = _unequal(base.tables.get(path), variant.tables.get(path), relation.tolerance or Margin())
            if words:
                yield f"{path} with the same content", words


def _rows(kind: str, path: str, base: Outcome, variant: Outcome) -> Iterator[tuple[str, str]]:
    """The rows of the variant among those of the base (`inclusion`), or all the same (`permutation`)."""
    before, now = Counter(map(tuple, base.tables[path])), Counter(map(tuple, variant.tables[path]))
    new = sorted(now - before)
    if new:
        yield (
            f"{path}: no row that was not there",
            f"{(now - before).total()} such rows, the first is {','.join(new[0])}",
        )
    gone = sorted(before - now)
    if gone and kind == "permutation":
        yield (
            f"{path}: every row that was there",
            f"{(before - now).total()} are gone, the first is {','.join(gone[0])}",
        )


def _unequal(before: Sequence[Sequence[str]] | None, now: Sequence[Sequence[str]] | None, margin: Margin) -> str:
    """In words, where two tables differ by more than the margin; empty if they do not."""
    if before is None or now is None:
        return "another content"
    if len(before) != len(now):
        return f"{len(now)} rows for {len(before)}"
    for number, (row, other) in enumerate(zip(before, now, strict=True), 1):
        if len(row) != len(other) or not all(_same_cell(*cells, margin) for cells in zip(row, other, strict=True)):
            return f"row {number} is {','.join(other)} for {','.join(row)}"
    return ""


def _same_cell(before: str, now: str, margin: Margin) -> bool:
    if before == now:
        return True
    try:
        return _close(float(before), float(now), margin)
    except ValueError:
        return False


def _curve(relation: Relation, base: Outcome) -> Iterator[tuple[str, str]]:
    """Windows of the curve, none of whose means may lie above the one before."""
    if relation.curve is None:
        return
    width = relation.window or 1
    values = base.curve
    told = relation.curve.series or f"{relation.curve.file}: {relation.curve.column}"
    bad = next((place for place, value in enumerate(values) if not math.isfinite(value)), None)
    if bad is not None:
        yield f"{told}: finite numbers", f"point {bad + 1} is {values[bad]:g}"
        return
    if len(values) < 2 * width:
        yield f"{told}: two windows of {width} points or more", f"{len(values)} points"
        return
    means = [math.fsum(values[at : at + width]) / width for at in range(0, len(values) - width + 1, width)]
    for index, (before, now) in enumerate(pairwise(means), 2):
        if now > before + _allowed(before, relation.tolerance or Margin()):
            yield f"{told}: window {index} at most {before:.9g}", f"{now:.9g}"
            return


def _close(wanted: float, actual: float, margin: Margin) -> bool:
    return wanted == actual or abs(actual - wanted) <= _allowed(wanted, margin)


def _allowed(wanted: float, margin: Margin) -> float:
    return margin.absolute + margin.relative * abs(wanted)
