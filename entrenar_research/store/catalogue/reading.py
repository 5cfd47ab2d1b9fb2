"""Reading one run directory into the rows of the catalogue."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.client import liveness
from entrenar_research.core import recipe
from entrenar_research.errors import InvalidFileError, ResearchError, UsageError
from entrenar_research.models.run import RunRecord, RunStatus
from entrenar_research.models.tracking import Lineage, Series
from entrenar_research.store import files, run_files
from entrenar_research.store.catalogue import looks
from entrenar_research.store.logged.log import logged
from entrenar_research.store.yaml_text import Document

_TRIES = 5
_OPEN = ("pending", "running")
_SUM = re.compile(rb"^([0-9a-f]{64}) [ *]run\.yaml$", re.MULTILINE)
_ID = re.compile(r"\d{8}T\d{9}Z-(.+)-[0-9a-z]{4}", re.ASCII)
_REQUIRED = {"id": "", "experiment": "", "status": "pending", "tool": "", "runner": "", "started": ""}
_FIELDS = {field.name: field.type for field in msgspec.structs.fields(RunRecord)}


class Reading(msgspec.Struct, frozen=True, array_like=True):
    """What the catalogue keeps of a run: its row of `entries`, its record as JSON, rows of `params` and `metrics`."""

    entry: dict[str, Any]
    document: str
    params: list[tuple[str, str, str, float | None]]
    metrics: list[tuple[Any, ...]]


class _Record(msgspec.Struct, frozen=True):
    """A record as far as it can be read; `damage` says why not all of it, `schema` what wrote it."""

    known: RunRecord
    plain: dict[str, Any]
    damage: str | None
    schema: int | None


class _Found(msgspec.Struct, frozen=True):
    """A run at one moment: what its files looked like, the bytes of its record and what they say, who writes it."""

    look: looks.Look
    raw: bytes
    record: _Record
    alive: bool


def read(root: str, run_id: str, now: int) -> Reading | None:
    """The run `run_id` as it is now; None if it has no record (any more). `now` is what time the file system has."""
    directory = f"{root}/runs/{run_id}"
    seen = looks.print_of(directory)
    found = _found(root, run_id)
    if found is None:
        return None
    look, record, alive = found.look, found.record, found.alive
    if not look.sealed and not record.damage:
        record = _with_what_was_logged(record, Path(directory))
    settled = look.sealed and _as_summed(directory, found.raw)
    ended = not (look.sealed or alive or record.damage) and record.known.status not in _OPEN
    state = {
        "place": seen, "looked": look.mark, "settled": settled, "sealed": look.sealed, "alive": alive,
        "resting": ended and looks.certain(seen, now),
    }  # fmt: skip
    return _reading(run_id, record, state)


def status_of(root: Path, run_id: str) -> tuple[RunRecord, str]:
    """The record of a run and its status as it really is: besides those of a record it may be `recovered`.

    Raises:
        UsageError: if there is no such run.
        InvalidFileError: if its record does not hold what it should.
    """
    found = _found(str(root), run_id)
    if found is None or found.record.damage:
        record = run_files.read_record(root / "runs" / run_id)
        return record, record.status
    record = found.record.known
    status, shown = _status(record, sealed=found.look.sealed, alive=found.alive)
    return msgspec.structs.replace(record, status=status), shown


def as_it_is(root: Path, run_id: str) -> tuple[RunRecord, str]:
    """As `status_of`, with what was logged so far where the run is open.

    Raises:
        As `status_of`.
    """
    record, shown = status_of(root, run_id)
    directory = root / "runs" / run_id
    look = looks.look(str(directory))
    if look is not None and not look.sealed:
        record = _with_what_was_logged(_Record(record, {}, None, None), directory).known
    return record, shown


def _found(root: str, run_id: str) -> _Found | None:
    """The run at one moment; None without a record.

    One that ends while it is looked at is looked at again, so that none is taken for lost that has just ended.
    """
    directory = f"{root}/runs/{run_id}"
    look = looks.look(directory)
    tries = 0
    while look is not None:
        raw, record = _record(directory, run_id)
        alive = not look.sealed and looks.alive(root, run_id)
        tries += 1
        if look.sealed or alive or tries == _TRIES:
            return _Found(look, raw, record, alive)
        again = looks.look(directory)
        if again is not None and again.mark == look.mark:
            return _Found(look, raw, record, alive)
        look = again
    return None


def _status(run: RunRecord, *, sealed: bool, alive: bool) -> tuple[RunStatus, str]:
    """The status as it really is, and as it is shown. A run of another machine may well be going on there."""
    ours = run.holder is None or run.holder.machine == liveness.machine()
    lost = run.status in _OPEN and not sealed and not alive and ours
    status: RunStatus = "lost" if lost else run.status
    return status, "recovered" if status == "lost" and run.recovered else status


def _record(directory: str, run_id: str) -> tuple[bytes, _Record]:
    shown = f"runs/{run_id}/{looks.RECORD}"
    raw = b""
    plain: Any = {}
    try:
        text = files.read_text(Path(directory, looks.RECORD), shown=shown)
        raw = text.encode()
        document = Document(text, shown)
        plain = document.value
        if isinstance(plain, dict) and isinstance(plain.get("schema"), int) and plain["schema"] > run_files.SCHEMA:
            schema = f"schema {plain['schema']}, known {run_files.SCHEMA}"
            newer = f"{shown}: written by a newer version ({schema}): some of it may not be shown"
            return raw, _salvaged(plain, run_id, newer)
        record = document.convert(RunRecord)
    except (InvalidFileError, UsageError) as error:
        return raw, _salvaged(plain, run_id, error.message)
    wrong = None if record.id == run_id else f"{shown}: `id`: it is the record of another run, {record.id}"
    return raw, _Record(known=record, plain=plain, damage=wrong, schema=run_files.SCHEMA)


def _salvaged(plain: Any, run_id: str, damage: str) -> _Record:
    """What can be read of a record that is not as it should be: each field that holds what such a field holds."""
    entries = plain if isinstance(plain, dict) else {}
    good: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        if name in entries:
            try:
                good[name] = msgspec.convert(entries[name], kind)
            except msgspec.ValidationError:
                continue
    schema = entries.get("schema")
    named = _ID.fullmatch(run_id)
    experiment = {"experiment": named[1]} if named else {}
    record = RunRecord(**{**_REQUIRED, **experiment, **good, "id": run_id})
    return _Record(known=record, plain=entries, damage=damage, schema=schema if isinstance(schema, int) else None)


def _with_what_was_logged(record: _Record, directory: Path) -> _Record:
    """The record of an open run with what its processes have logged so far."""
    known = record.known
    try:
        found = logged(directory)
    except ResearchError:
        return record
    notes = found.notes
    said = known.lineage.parents if known.lineage is not None else ()
    parents = {(item.run, item.relationship, item.role): item for item in (*said, *notes.parents)}
    lineage = Lineage(parents=tuple(parents.values())) if parents else known.lineage
    known = msgspec.structs.replace(
        known,
        params={**known.params, **notes.params},
        tags=tuple(dict.fromkeys((*known.tags, *notes.tags))),
        warnings=tuple(dict.fromkeys((*known.warnings, *notes.warnings))),
        artifacts=tuple({item.path: item for item in (*known.artifacts, *notes.artifacts)}.values()),
        lineage=lineage,
        series=found.series or known.series,
        telemetry=found.telemetry if found.telemetry.processes else known.telemetry,
    )
    return _Record(known=known, plain=msgspec.to_builtins(known), damage=record.damage, schema=record.schema)


def _as_summed(directory: str, raw: bytes) -> bool:
    """Whether the record is the one that the directory was closed with; not while a copy is under way."""
    try:
        listed = _SUM.search(Path(directory, looks.SUMS).read_bytes())
    except OSError:
        return False
    return listed is not None and listed[1].decode() == hashlib.sha256(raw).hexdigest()


def _reading(run_id: str, record: _Record, state: Mapping[str, Any]) -> Reading:
    run = record.known
    newer = record.schema is not None and record.schema > run_files.SCHEMA
    status, shown = _status(run, sealed=state["sealed"], alive=state["alive"])
    really: str = status
    if record.damage and not newer:
        really = shown = "damaged"
    telemetry = run.telemetry
    entry = {
        "id": run_id, **state, "experiment": run.experiment, "recorded": run.status, "status": really, "shown": shown,
        "started": run.started or None, "ended": run.ended, "duration": run.duration, "runner": run.runner or None,
        "exit_status": _small(run.exit_status),
        "failure": run.failure_context.code if run.failure_context else run.failure,
        "seed": _small(run.seed), "recipe": run.recipe, "result": run.result, "code_commit": run.git.commit,
        "trace_id": run.trace_id, "sweep": run.trial.sweep if run.trial else None,
        "trial": _small(run.trial.number) if run.trial else None, "tags": "".join(f"{tag}\n" for tag in run.tags),
        "warnings": len(run.warnings), "points": _small(telemetry.points if telemetry else 0),
        "lost_points": _small(telemetry.lost if telemetry else 0), "recovered": run.recovered, "imported": run.imported,
        "damage": record.damage, "written_by": _small(record.schema),
    }  # fmt: skip
    document = {**record.plain, "id": run_id, "status": status}
    params = [(run_id, key, *_value(value)) for key, value in recipe.dotted(run.params).items()]
    reading = Reading(entry=entry, document=_json(document), params=params, metrics=list(_metrics(run_id, run)))
    return _encodable(reading)


def _encodable(reading: Reading) -> Reading:
    """Halves of surrogate pairs, which a script may have logged, are written as escapes: SQLite keeps UTF-8."""
    try:
        f"{reading.document}{reading.entry}{reading.params}{reading.metrics}".encode()
    except UnicodeEncodeError:
        return Reading(
            entry={name: _escaped(value) for name, value in reading.entry.items()},
            document=_escaped(reading.document),
            params=[(run, _escaped(key), _escaped(value), number) for run, key, value, number in reading.params],
            metrics=[(run, _escaped(key), *rest) for run, key, *rest in reading.metrics],
        )
    return reading


def _escaped(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _value(value: Any) -> tuple[str, float | None]:
    """A parameter as text, and as a number if it is one."""
    if isinstance(value, bool) or value is None or isinstance(value, list | dict):
        return _json(value), None
    number: float | None = None
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf if value > 0 else -math.inf
    return str(value), number


def _metrics(run_id: str, run: RunRecord) -> Iterable[tuple[Any, ...]]:
    """Of a metric that was logged and is declared as well, the declared value counts: it is what must reproduce."""
    for key in {**run.series, **run.metrics}:
        series: Series | None = run.series.get(key)
        last = run.metrics.get(key, series.last if series else math.nan)
        if series is None:
            only = None if math.isnan(last) else last
            yield run_id, key, 0, last, None, only, only
        else:
            yield run_id, key, _small(series.points), last, _small(series.last_step), series.lowest, series.highest


def _small(value: int | None) -> int | str | None:
    """A whole number as SQLite can hold it: one of more than 64 bits as text."""
    return value if value is None or -(1 << 63) <= value < 1 << 63 else str(value)


def _json(value: Any) -> str:
    """JSON as the standard has it: what it has no number for is text (NaN, Infinity, -Infinity)."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
