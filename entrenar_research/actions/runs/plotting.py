"""Choosing runs and reading their curves for a plot, and writing it where nothing of somebody else's is lost."""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrenar_research.actions.runs import comparison
from entrenar_research.core import recipe
from entrenar_research.core.sweeps import suggest
from entrenar_research.core.tracking import curves
from entrenar_research.core.tracking.curves import Curve, Panel
from entrenar_research.errors import IntegrityError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, output_files
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.logged import points
from entrenar_research.store.run_files import RunFiles

MARK = "entrenar-research runs plot"
"""What stands near the beginning of every file that a plot was written to."""
_SEEN = 4096
_PARAMETERS = 3
_UNITS = ((7200.0, 3600.0, "hours"), (120.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
_RUNS = (
    "SELECT DISTINCT metrics.run FROM metrics JOIN entries ON entries.id = metrics.run "
    "WHERE metrics.points > 0 AND metrics.key IN (SELECT value FROM json_each(?)) AND (? IS NULL OR experiment = ?) "
    "ORDER BY metrics.run DESC"
)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The runs to draw, oldest first, and in words what is not drawn."""

    runs: tuple[RunRecord, ...]
    notes: tuple[str, ...] = ()


def choose(root: Path, words: Sequence[str], metrics: Sequence[str], last: int) -> Choice:
    """The runs that are meant: by id or part of it, or those of an experiment that have one of these metrics.

    Without words, those of the whole study. Of an experiment or the study only the `last` ones (0: all).

    Raises:
        UsageError: if a word or metric is unknown.
    """
    with contextlib.closing(Catalogue(root)) as catalogue:
        catalogue.refresh()
        _check_metrics(catalogue, metrics)
        experiments = catalogue.experiments()
        ids: list[str] = []
        notes = []
        for word in words or (None,):
            if word is not None and word not in experiments:
                ids.append(RunFiles(root).resolve(word).id)
                continue
            wanted = msgspec.json.encode(list(metrics)).decode()
            found = [row[0] for row in catalogue.connection.execute(_RUNS, (wanted, word, word))]
            if last and len(found) > last:
                notes.append(f"drawing the last {last} of {len(found)} runs: `--last 0` draws all")
            ids += reversed(found[:last] if last else found)
    store = RunFiles(root)
    runs = [comparison.with_logged(root, store.load(run_id)) for run_id in dict.fromkeys(ids)]
    return Choice(runs=tuple(runs), notes=tuple(notes))


def _check_metrics(catalogue: Catalogue, metrics: Sequence[str]) -> None:
    query = "SELECT DISTINCT key FROM metrics WHERE points > 0 ORDER BY key"
    known = [row[0] for row in catalogue.connection.execute(query)]
    if not metrics:
        hint = f"there is: {suggest.listed(known)}" if known else "no run has logged one yet"
        raise UsageError("which metric is to be drawn? give --metric", hint=hint)
    for name in metrics:
        if name not in known:
            raise suggest.unknown("logged metric", name, known, remedy="no run has logged one yet")


def panels(
    root: Path, runs: Sequence[RunRecord], metrics: Sequence[str], *, across: str, smooth: float, log: bool = False
) -> tuple[tuple[Panel, ...], tuple[str, ...]]:
    """The curves of these metrics, one panel each, and in words what could not be drawn of them.

    `across` is `step` or `time`; `smooth` is the weight of the moving average, 0 for none. With `log` only
    values above zero can be drawn.

    Raises:
        UsageError: if there is no point that can be drawn.
        MissingToolError: if runs are sealed as Parquet and pyarrow is not installed.
    """
    names, notes, found = labels(runs), list[str](), []
    for metric in metrics:
        drawn = [curve for run in runs if (curve := _curve(root, run, metric, across, notes)) is not None]
        if drawn:
            found.append(drawn)
            notes += _gaps(metric, drawn)
    if not found:
        raise UsageError(f"there is nothing to draw: none of these runs has a point of {' or '.join(metrics)}")
    lowest = 0.0 if log else -math.inf
    if not any(lowest < y < math.inf for drawn in found for curve in drawn for y in curve.ys):
        words = "finite and above zero, as --log needs it" if log else "a finite number"
        raise UsageError(f"there is nothing to draw: no value of {' or '.join(metrics)} is {words}")
    unit = _unit(found) if across == "time" else None
    made = []
    for drawn in found:
        scaled = [_scaled(curve, unit[1]) for curve in drawn] if unit else drawn
        averages = [msgspec.structs.replace(curve, ys=curves.smoothed(curve.ys, smooth)) for curve in scaled]
        panel = Panel(
            metric=drawn[0].metric,
            names=tuple(names[curve.run] for curve in drawn),
            curves=tuple(scaled),
            smooth=tuple(averages) if smooth else (),
            across=f"time in {unit[2]}" if unit else "step",
        )
        made.append(panel)
    return tuple(made), tuple(notes)


def _curve(root: Path, run: RunRecord, metric: str, across: str, notes: list[str]) -> Curve | None:
    """One curve; None, with a note, where there is none that could be drawn."""
    try:
        read = points.points(RunFiles(root).directory(run.id), metric)
    except IntegrityError as error:
        notes.append(error.message)
        return None
    steps, values, times = (comparison.listed(column) for column in (read.steps, read.values, read.times))
    if not steps:
        notes.append(f"{run.id} has no point of {metric}")
        return None
    began = _nanoseconds(run.started)
    xs = [(time - began) / 1e9 for time in times] if across == "time" else steps
    xs, values = curves.ordered(xs, values)
    return Curve(run=run.id, metric=metric, xs=xs, ys=values)


def _gaps(metric: str, drawn: Sequence[Curve]) -> list[str]:
    """In words, how many points of a metric are gaps."""
    counts = [(curve.gaps, len(curve.ys)) for curve in drawn if curve.gaps]
    if not counts:
        return []
    runs = "1 run" if len(counts) == 1 else f"{len(counts)} runs"
    gone, points_of_them = map(sum, zip(*counts, strict=True))
    return [f"{gone} of {points_of_them} points of {metric} in {runs} are NaN or infinite: gaps"]


def _nanoseconds(moment: str) -> int:
    found = datetime.datetime.fromisoformat(moment)
    return round(found.replace(tzinfo=found.tzinfo or datetime.UTC).timestamp() * 1e9)


def _unit(found: Sequence[Sequence[Curve]]) -> tuple[float, float, str]:
    longest = max(curve.xs[-1] for drawn in found for curve in drawn)
    return next((unit for unit in _UNITS if longest >= unit[0]), _UNITS[-1])


def _scaled(curve: Curve, seconds: float) -> Curve:
    return msgspec.structs.replace(curve, xs=[x / seconds for x in curve.xs])


def labels(runs: Sequence[RunRecord]) -> dict[str, str]:
    """What each run is called in a legend: the end of its id, and the parameters that tell these runs apart."""
    params = [recipe.dotted(run.params) for run in runs]
    chosen = curves.differing(params)
    names = curves.shortest([run.id for run in runs])
    return {
        run.id: ", ".join([names[run.id], *(f"{key}={own[key]}" for key in chosen[:_PARAMETERS] if key in own)])
        for run, own in zip(runs, params, strict=True)
    }


def write(path: Path, data: bytes, *, force: bool) -> bool:
    """Writes a plot; a file that is there already only if a plot of ours is in it, or with `force`.

    True if a file was replaced.

    Raises:
        UsageError: if there is a file of somebody else, or a directory, or no directory to write it in.
        StorageError: if the file system refuses.
    """
    output_files.refuse(path)
    there = path.exists()
    if there and not force:
        with files.refusals(f"cannot read {path}"), path.open("rb") as stream:
            if MARK.encode() not in stream.read(_SEEN):
                raise UsageError(f"{path} is there, and no plot of this tool", hint="`--force` replaces it")
    with files.refusals(f"cannot write {path}"):
        output_files.write(path, data)
    return there
