"""Sealing a run: what was logged goes into its record and into Parquet, then the directory is closed.

The order makes every instant safe. Parquet is written, then the record, both in one step each; only then `events/`
is set aside, in one step too; the directory is closed by `SHA256SUMS`, and what was set aside is deleted. Whoever
finds a sealing half done begins again, or goes on from where `events/` is set aside. Nothing is read from an event
log that is not written elsewhere before it goes; a damaged one stays.
"""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.actions.running import diagnosis
from entrenar_research.actions.runs import lineage as family
from entrenar_research.client import layout, liveness
from entrenar_research.core import recipe
from entrenar_research.core.tracking import etas
from entrenar_research.errors import StorageError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Artifact, Eta, Lineage, Parent
from entrenar_research.store import files, hashing
from entrenar_research.store.logged import log, series_files
from entrenar_research.store.logged.log import EventLog, Logged
from entrenar_research.store.logged.notes import LoggedEta
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles

SCRIPT = "script"
"""The runner of a run that a script began by itself."""
_BLANK = b"\0"
_FROM_LOGS = (
    "params", "logged_params", "tags", "warnings", "series", "telemetry", "artifacts", "lineage", "eta",
)  # fmt: skip
_NANOSECONDS = 1_000_000_000


def seal_run(study: StudyFiles, record: RunRecord) -> RunRecord:
    """Seals a run that has ended as `record` says; the record as it was written. Nobody else may be at it.

    Without pyarrow the event logs stay, cut to their length. A run that is closed already stays as it is.

    Raises:
        StorageError: if the file system refuses; whoever calls again goes on from there.
        UsageError: if the run has no record by now.
    """
    runs = RunFiles(study.root)
    directory = runs.directory(record.id)
    aside = directory / log.SET_ASIDE
    if runs.closed(record.id):
        files.remove_tree(aside)
        return runs.load(record.id)
    record = msgspec.structs.replace(record, holder=None)
    half_done = aside.is_dir()
    record = _as_written(record, runs.load(record.id)) if half_done else _from_event_logs(study, record)
    with files.refusals(f"cannot seal runs/{record.id}"):
        if aside.is_dir():
            _keep_damaged(directory, record)
        _sync(directory)
    runs.close(record)
    files.remove_tree(aside)
    return record


def _as_written(record: RunRecord, written: RunRecord) -> RunRecord:
    """`record` with all that an earlier sealing, which set the event logs aside, took from them."""
    found: dict[str, Any] = {name: getattr(written, name) for name in _FROM_LOGS}
    return msgspec.structs.replace(record, **found)


def _from_event_logs(study: StudyFiles, record: RunRecord) -> RunRecord:
    """The record with what the event logs say; they are set aside once it and Parquet are written."""
    runs = RunFiles(study.root)
    directory = runs.directory(record.id)
    place = directory / layout.DIRECTORY
    if not place.is_dir():
        return msgspec.structs.replace(record, lineage=_lineage(study, record, ()))
    logs = tuple(_still_held(item) for item in log.event_logs(directory))
    record = fold(study, record, log.gather(logs))
    parquet = series_files.available()
    if parquet:
        series_files.write(directory, logs, record.trace_id)
    else:
        _trim(logs)
    runs.write(record)
    if parquet:
        with files.refusals(f"cannot seal runs/{record.id}"):
            _sync(directory)
            place.rename(directory / log.SET_ASIDE)
    return record


def _still_held(item: EventLog) -> EventLog:
    if not liveness.held(item.path):
        return item
    words = f"{layout.DIRECTORY}/{item.path.name}: a process still held it when the run was sealed"
    return msgspec.structs.replace(item, damaged=(*item.damaged, words))


def _keep_damaged(directory: Path, record: RunRecord) -> None:
    """Puts event logs that could not be read to their end, as the record says, back into `events/`."""
    told = record.telemetry.damaged if record.telemetry is not None else ()
    for words in told:
        name = words.partition(": ")[0]
        if name.startswith(f"{layout.DIRECTORY}/") and (directory / log.SET_ASIDE / Path(name).name).is_file():
            (directory / layout.DIRECTORY).mkdir(exist_ok=True)
            (directory / log.SET_ASIDE / Path(name).name).rename(directory / name)


def _trim(logs: Iterable[EventLog]) -> None:
    """Cuts off what was laid out and never used. Each log is replaced: whoever still has it open keeps the old one."""
    for item in logs:
        if item.log is not None and not item.damaged:
            with files.refusals(f"cannot read {item.path.name}"):
                data = item.path.read_bytes()
            used = max(len(data.rstrip(_BLANK)) - layout.HEADER_SIZE, 0)
            kept = layout.HEADER_SIZE + -(-used // layout.SLOT) * layout.SLOT
            if kept < len(data):
                files.write_atomically(item.path, data[:kept])


def _sync(directory: Path) -> None:
    """Waits until the disk has the names in a directory."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system that has nothing of the kind
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fold(study: StudyFiles, record: RunRecord, found: Logged) -> RunRecord:
    """The record with what was logged. Done twice it gives the same.

    A parameter that the params file has too keeps the value it has there; `logged_params` names the others. A
    run that a script began by itself, or that was imported, has no params file.
    """
    notes = found.notes
    free = record.runner == SCRIPT or record.imported is not None
    declared = {} if free else recipe.declared_params(record)
    logged_params = {name: value for name, value in notes.params.items() if name not in declared}
    warnings = [*record.warnings, *notes.warnings]
    warnings += [
        f"the script logged the parameter {name} as {value!r}; the params file has {declared[name]!r}, which counts"
        for name, value in notes.params.items()
        if name in declared and declared[name] != value
    ]
    failure = record.failure_context
    if failure is None and record.status == "failed":
        failure = diagnosis.of_script(study.root, notes.failure, record.failure or "")
    elif failure is None and record.status == "cancelled":
        failure = diagnosis.cancelled()
    artifacts, damaged = _checked(RunFiles(study.root).directory(record.id), notes.artifacts)
    known = record.telemetry.damaged if record.telemetry is not None else ()
    told = tuple(dict.fromkeys((*known, *found.telemetry.damaged, *damaged)))
    telemetry = msgspec.structs.replace(found.telemetry, damaged=told)
    return msgspec.structs.replace(
        record,
        params={**record.params, **logged_params},
        logged_params=() if free else tuple(logged_params),
        tags=tuple(dict.fromkeys((*record.tags, *notes.tags))),
        warnings=tuple(dict.fromkeys(warnings)),
        series=found.series,
        telemetry=telemetry,
        artifacts=artifacts,
        lineage=_lineage(study, record, notes.parents),
        failure_context=failure,
        eta=tuple(_etas(notes.etas, record.ended)) or record.eta,
    )


def _checked(directory: Path, artifacts: Iterable[Artifact]) -> tuple[tuple[Artifact, ...], tuple[str, ...]]:
    """The artifacts as they are, and in words what is not as it was logged."""
    kept, damaged = [], []
    for item in artifacts:
        try:
            if (directory / item.path).is_symlink():
                raise StorageError("it is a symbolic link")
            now = hashing.hash_file(directory / item.path, md5=False)
        except StorageError as error:
            damaged.append(f"{item.path}: logged, and cannot be read: {error.message}")
            continue
        digest = f"sha256:{now.sha256}"
        if digest != item.digest:
            damaged.append(f"{item.path}: logged as {item.digest[:19]}..., found {digest[:19]}...")
        kept.append(msgspec.structs.replace(item, digest=digest, size=now.size))
    return tuple(kept), tuple(damaged)


def _lineage(study: StudyFiles, record: RunRecord, noted: Iterable[Parent]) -> Lineage | None:
    """Parents with their Lamport times, open ones included; the run's own is 1 + the greatest that is known."""
    known = record.lineage.parents if record.lineage is not None else ()
    parents = {(item.run, item.relationship, item.role): item for item in (*known, *noted) if item.run != record.id}
    if not parents:
        return record.lineage
    dag = family.load(study).dag
    times = {run: time for run, time in dag.times.items() if run not in dag.unknown}
    timed = tuple(msgspec.structs.replace(item, lamport=times.get(item.run)) for item in parents.values())
    return Lineage(parents=timed, lamport=1 + max(item.lamport or 0 for item in timed))


def _etas(noted: Iterable[LoggedEta], ended: str | None) -> Iterator[Eta]:
    """Predictions against what it took: until the end of the run, where the script did not say."""
    end = datetime.datetime.fromisoformat(ended).timestamp() if ended is not None else None
    for item in noted:
        actual = item.actual
        if actual is None and item.time and end is not None:
            actual = max(round(end - item.time / _NANOSECONDS, 3), 0.0)
        if actual is not None:
            yield etas.measured(item.predicted, actual, gain=item.gain, uncertainty=item.uncertainty)
