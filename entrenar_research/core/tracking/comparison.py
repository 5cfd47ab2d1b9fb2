"""Runs side by side: what went in, what was measured, where it ran, what came out."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from entrenar_research.core import recipe
from entrenar_research.models.experiment import Goal
from entrenar_research.models.run import FileDigest, RunRecord

Outcome = Literal["better", "worse", "same", ""]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One thing of all runs: its value in each, None where a run does not have it."""

    name: str
    values: tuple[Any, ...]
    same: bool


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of all runs. `of` is what is shown: the value it came to, or the lowest or highest one logged.

    `difference` is the last run's value minus the first one's. `outcome` says what that means for the goal, and
    `best` which runs (by position) have the best value; both only where the metric has a goal.
    """

    name: str
    of: Literal["value", "lowest", "highest"]
    goal: Goal
    values: tuple[float | None, ...]
    difference: float | None
    outcome: Outcome
    best: tuple[int, ...]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs side by side, section by section. `recipe` has in words what differs between the first and the last.

    `identical` says whether all have the same result; None where any has none. `diffstat` has the lines of Git's
    summary of what changed in the code between the commits of the first and the last, where it knows them.
    """

    runs: tuple[str, ...]
    about: tuple[Row, ...]
    parameters: tuple[Row, ...]
    metrics: tuple[MetricRow, ...]
    environment: tuple[Row, ...]
    code: tuple[Row, ...]
    inputs: tuple[Row, ...]
    outputs: tuple[Row, ...]
    recipe: tuple[str, ...]
    identical: bool | None
    diffstat: tuple[str, ...] = ()


def compare(runs: Sequence[RunRecord], goals: Mapping[str, Goal]) -> Comparison:
    """Two runs or more side by side; `goals` says of metrics whether they are to be low or high."""
    results = [run.result for run in runs]
    return Comparison(
        runs=tuple(run.id for run in runs),
        about=_about(runs),
        parameters=_rows([recipe.dotted(run.params) for run in runs]),
        metrics=tuple(row for name in _names(runs) for row in _metric(runs, name, goals.get(name, "none"))),
        environment=_environment(runs),
        code=_digests(runs, lambda run: run.code),
        inputs=_digests(runs, lambda run: run.inputs),
        outputs=_digests(runs, lambda run: run.outputs),
        recipe=recipe.differences(runs[0], runs[-1]),
        identical=None if None in results else len(set(results)) == 1,
    )


def value(run: RunRecord, name: str) -> float | None:
    """What a metric came to: the declared value, else the one logged last."""
    if name in run.metrics:
        return run.metrics[name]
    return run.series[name].last if name in run.series else None


def _about(runs: Sequence[RunRecord]) -> tuple[Row, ...]:
    facts: dict[str, list[Any]] = {
        "experiment": [run.experiment for run in runs],
        "status": [run.status for run in runs],
        "started": [run.started for run in runs],
        "duration": [run.duration for run in runs],
        "peak memory": [run.usage.peak_memory if run.usage else None for run in runs],
        "command": [run.command or None for run in runs],
        "seed": [run.seed for run in runs],
        "runner": [run.runner for run in runs],
        "commit": [run.git.commit for run in runs],
        "uncommitted changes": [run.git.dirty for run in runs],
    }
    return tuple(_row(name, values) for name, values in facts.items())


def _rows(mappings: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
    names = sorted({name for mapping in mappings for name in mapping})
    return tuple(_row(name, [mapping.get(name) for mapping in mappings]) for name in names)


def _row(name: str, values: Sequence[Any]) -> Row:
    return Row(name=name, values=tuple(values), same=len({_identity(item) for item in values}) == 1)


def _identity(item: Any) -> Any:
    """What two values have in common that are the same: 1 and 1.0 are, 1 and true are not."""
    if isinstance(item, float) and math.isnan(item):
        return "NaN", "number"
    if isinstance(item, bool) or not isinstance(item, int | float):
        return repr(item) if isinstance(item, float | dict | list | tuple) else item, type(item).__name__
    return item, "number"


def _names(runs: Sequence[RunRecord]) -> list[str]:
    return sorted({name for run in runs for name in (*run.metrics, *run.series)})


def _metric(runs: Sequence[RunRecord], name: str, goal: Goal) -> list[MetricRow]:
    """What it came to; of a logged one also the extremes that count for its goal, where they say more."""
    came_to = _metric_row(name, "value", goal, [value(run, name) for run in runs])
    series = [run.series.get(name) for run in runs]
    rows = [came_to]
    if goal != "maximize":
        rows.append(_metric_row(name, "lowest", goal, [item.lowest if item else None for item in series]))
    if goal != "minimize":
        rows.append(_metric_row(name, "highest", goal, [item.highest if item else None for item in series]))
    return [row for row in rows if row is came_to or (any(series) and row.values != came_to.values)]


def _metric_row(
    name: str, of: Literal["value", "lowest", "highest"], goal: Goal, values: Sequence[float | None]
) -> MetricRow:
    first, last = values[0], values[-1]
    difference = None if first is None or last is None else 0.0 if _equal(first, last) else last - first
    numbers = [item for item in values if item is not None and not math.isnan(item)]
    target = (min if goal == "minimize" else max)(numbers, default=None) if goal != "none" else None
    best = tuple(index for index, item in enumerate(values) if target is not None and item == target)
    return MetricRow(
        name=name, of=of, goal=goal, values=tuple(values), difference=difference,
        outcome=_outcome(difference, goal), best=best if 0 < len(best) < len(numbers) else (),
    )  # fmt: skip


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _outcome(difference: float | None, goal: Goal) -> Outcome:
    if difference is None or math.isnan(difference):
        return ""
    if difference == 0:
        return "same"
    if goal == "none":
        return ""
    return "better" if (difference > 0) == (goal == "maximize") else "worse"


def _environment(runs: Sequence[RunRecord]) -> tuple[Row, ...]:
    return _rows([_surroundings(run) for run in runs])


def _surroundings(run: RunRecord) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if run.environment is not None:
        found["python"] = run.environment.python
        found.update({f"package {name}": version for name, version in run.environment.packages.items()})
        found.update({f"variable {name}": text for name, text in run.environment.variables.items()})
    if run.hardware is not None:
        hardware = run.hardware
        found.update({"architecture": hardware.architecture, "system": hardware.system, "cpu": hardware.cpu})
        found.update({"cores": hardware.cores, "memory": hardware.memory})
        found["gpus"] = ", ".join(hardware.gpus) or None
    return found


def _digests(runs: Sequence[RunRecord], files: Callable[[RunRecord], Sequence[FileDigest]]) -> tuple[Row, ...]:
    return _rows([{item.path: item.digest for item in files(run)} for run in runs])
