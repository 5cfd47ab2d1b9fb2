"""From the records of runs (as JSON has them) to the rows of the views that SQL asks."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from entrenar_research.core import recipe

Row = tuple[Any, ...]
_SMALLEST, _LARGEST = -(1 << 63), (1 << 63) - 1
_SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def rows(view: str, run_id: str, record: Mapping[str, Any]) -> Iterable[Row]:
    """The rows that a run's record has in a view, in the order of its columns.

    What does not have the type that it should (a record may be of a later version) is left to `fitted`.
    """
    return ((run_id, *row) for row in _MAKERS[view](record))


def of_records(view: str) -> bool:
    """Whether the rows of a view come from records, rather than from logged points and spans."""
    return view in _MAKERS


def fitted(kind: str, value: Any) -> Any:
    """A value as a column of this DuckDB type takes it; None where it does not fit."""
    return None if value is None else _FITTERS[kind](value)


# --- values


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else str(value) if isinstance(value, int | float) else _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, allow_nan=True)


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return _SPECIAL.get(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _integer(value: Any) -> int | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and _SMALLEST <= value <= _LARGEST
    return value if fits else None


def _moment(value: Any) -> datetime.datetime | None:
    try:
        found = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found.astimezone(datetime.UTC).replace(tzinfo=None) if found.tzinfo else found


def _texts(value: Any) -> list[str] | None:
    return [str(item) for item in value] if isinstance(value, list) else None


def _numbers(value: Any) -> list[tuple[str, float | None]]:
    return [(str(key), _number(item)) for key, item in value.items()] if isinstance(value, dict) else []


_FITTERS: dict[str, Callable[[Any], Any]] = {
    "VARCHAR": _text,
    "DOUBLE": _number,
    "BIGINT": _integer,
    "BOOLEAN": lambda value: value if isinstance(value, bool) else None,
    "TIMESTAMP": _moment,
    "JSON": _json,
    "VARCHAR[]": _texts,
    "MAP(VARCHAR, DOUBLE)": _numbers,
}


def _mapping(record: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = record.get(key)
    return found if isinstance(found, dict) else {}


def _items(record: Mapping[str, Any], key: str) -> list[Any]:
    found = record.get(key)
    return found if isinstance(found, list) else []


def _entries(record: Mapping[str, Any], key: str) -> Iterator[dict[str, Any]]:
    return (item for item in _items(record, key) if isinstance(item, dict))


def _picked(entry: Mapping[str, Any], *keys: str) -> Row:
    return tuple(entry.get(key) for key in keys)


# --- views


def _runs(record: Mapping[str, Any]) -> Iterator[Row]:
    environment, usage = _mapping(record, "environment"), _mapping(record, "usage")
    git, telemetry = _mapping(record, "git"), _mapping(record, "telemetry")
    metrics = {row[0]: row[1] for row in _summaries(record)}
    yield (
        *_picked(record, "experiment", "status", "started", "ended", "duration"),
        _mapping(record, "params"),
        metrics,
        *_picked(record, "seed", "command", "runner", "exit_status", "signal", "failure", "recipe", "result"),
        git.get("commit"),
        git.get("dirty", False),
        environment.get("python"),
        *_picked(usage, "user_seconds", "system_seconds", "peak_memory"),
        telemetry.get("points", 0),
        telemetry.get("lost", 0),
        *_picked(record, "trace_id", "recovered", "imported"),
    )


def _params(record: Mapping[str, Any]) -> Iterator[Row]:
    for name, value in recipe.dotted(_mapping(record, "params")).items():
        number = None if isinstance(value, str) else _number(value)
        yield name, str(value) if isinstance(value, float | str) else _json(value), number


def _summaries(record: Mapping[str, Any]) -> Iterator[Row]:
    series, declared = _mapping(record, "series"), _mapping(record, "metrics")
    for name in sorted({*series, *declared}):
        logged = _mapping(series, name)
        last, low, high, step, points = _picked(logged, "last", "lowest", "highest", "last_step", "points")
        value = declared.get(name, last)
        yield name, value, declared.get(name), last, step, low, high, points or 0


def _failures(record: Mapping[str, Any]) -> Iterator[Row]:
    found = _mapping(record, "failure_context")
    if found:
        words = ("code", "category", "diagnostic", "remediation", "exception", "stack")
        yield *_picked(found, *words), _items(found, "evidence")


def _lineage(record: Mapping[str, Any]) -> Iterator[Row]:
    lineage = _mapping(record, "lineage")
    for parent in _entries(lineage, "parents"):
        run, relationship, role, lamport = _picked(parent, "run", "relationship", "role", "lamport")
        yield run, relationship, role, lineage.get("lamport", 0), lamport


def _artifacts(record: Mapping[str, Any]) -> Iterator[Row]:
    for item in _entries(record, "artifacts"):
        yield item.get("path"), item.get("kind", "file"), *_picked(item, "digest", "size", "bypass")


def _files(record: Mapping[str, Any]) -> Iterator[Row]:
    for role, key in (("code", "code"), ("input", "inputs"), ("output", "outputs")):
        for item in _entries(record, key):
            yield role, *_picked(item, "path", "digest", "size")


def _trials(record: Mapping[str, Any]) -> Iterator[Row]:
    trial = _mapping(record, "trial")
    if trial:
        yield _picked(trial, "sweep", "number", "retry_of")


def _plans(record: Mapping[str, Any]) -> Iterator[Row]:
    words = ("planned", "actual", "percent", "rating", "amber_above", "red_above")
    plan = _mapping(record, "plan")
    for quantity in plan:
        yield quantity, *_picked(_mapping(plan, quantity), *words)


def _etas(record: Mapping[str, Any]) -> Iterator[Row]:
    words = ("predicted", "actual", "error", "percent", "gain", "uncertainty")
    for position, item in enumerate(_entries(record, "eta"), 1):
        yield position, *_picked(item, *words)


def _hardware(record: Mapping[str, Any]) -> Iterator[Row]:
    found = _mapping(record, "hardware")
    if found:
        yield *_picked(found, "architecture", "system", "cpu", "cores", "memory"), _items(found, "gpus")


def _code_quality(record: Mapping[str, Any]) -> Iterator[Row]:
    found = _mapping(record, "code_quality")
    if found:
        yield _picked(found, "grade", "mutation_score", "coverage")


_MAKERS: dict[str, Callable[[Mapping[str, Any]], Iterable[Row]]] = {
    "runs": _runs,
    "params": _params,
    "summaries": _summaries,
    "failures": _failures,
    "failure_context": _failures,
    "lineage": _lineage,
    "artifacts": _artifacts,
    "files": _files,
    "packages": lambda record: _mapping(_mapping(record, "environment"), "packages").items(),
    "tags": lambda record: ((tag,) for tag in _items(record, "tags")),
    "warnings": lambda record: enumerate(_items(record, "warnings"), 1),
    "trials": _trials,
    "plans": _plans,
    "etas": _etas,
    "hardware": _hardware,
    "code_quality": _code_quality,
}
