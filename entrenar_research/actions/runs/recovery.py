"""Sealing what nobody sealed: runs whose process was killed, and runs of scripts that ended by themselves.

A run that lives is never touched. Killed at any instant, or called twice at once, it ends in the same state: each
sealing is safe by itself (`actions/running/sealing.py`), and one process at a time goes through the runs.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from entrenar_research.actions.running import conclusion, sealing
from entrenar_research.client import layout, liveness
from entrenar_research.errors import InvalidFileError, ResearchError
from entrenar_research.models.run import RunRecord
from entrenar_research.models.tracking import Telemetry
from entrenar_research.store import files, locks
from entrenar_research.store.logged import log
from entrenar_research.store.logged.notes import EndStatus
from entrenar_research.store.run_files import RECORD, RunFiles
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles

Was = Literal["lost", "not sealed", "half sealed", "alive", "elsewhere", "unreadable", "sealed"]
_OPEN = ("pending", "running")
_UNWRITTEN = re.compile(rf"\.{re.escape(RECORD)}\.\d+\.part")
_BEGINNING_SECONDS = 60  # a script makes its run in milliseconds
_NANOSECONDS = 1_000_000_000


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run.

    `was` is how it was found, `now` its status since (or what it would be, on a dry run); None if it was left alone,
    `reason` then says why. `points` were logged, `damaged` says what of that could not be read.
    """

    run: str
    was: Was
    now: str | None = None
    points: int = 0
    damaged: tuple[str, ...] = ()
    reason: str | None = None


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """Every run that was open, and in words what runs of the tool were finished or dropped."""

    runs: tuple[Recovered, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Recovered, ...]:
        """The runs that should have been sealed and could not be."""
        return tuple(item for item in self.runs if item.was == "unreadable")


def recover(study: StudyFiles, named: Sequence[str], *, now: datetime.datetime, dry: bool = False) -> Recovery:
    """Seals what a crash left open and what was finished without the tool; only the runs `named`, if any are.

    Those named are sealed also if another machine began them, unless a process here still writes them. With `dry`
    nothing is written.

    Raises:
        UsageError: if a named run is unknown.
        StorageError: if the file system refuses; the next call goes on from there.
    """
    runs = RunFiles(study.root)
    wanted = tuple(runs.resolve(name).id for name in named)
    if dry:
        return Recovery(runs=tuple(_looked_at(study, wanted)))
    with locks.recovery(study.state):
        found = tuple(_looked_at(study, wanted))
        notes = conclusion.recover(study, now)
        if not wanted:
            _drop_unbegun(study, now)
        return Recovery(runs=tuple(_sealed(study, item, now) for item in found), notes=notes)


def _looked_at(study: StudyFiles, wanted: Collection[str]) -> Iterator[Recovered]:
    """Every run that is open, or just those wanted, with what would become of it."""
    runs = RunFiles(study.root)
    for run_id in sorted(wanted) if wanted else runs.ids():
        half = (runs.directory(run_id) / log.SET_ASIDE).is_dir()
        if half or not runs.closed(run_id):
            found = _found(study, run_id, named=bool(wanted))
            yield msgspec.structs.replace(found, was="half sealed") if half and found.reason is None else found
        elif wanted:
            yield Recovered(run=run_id, was="sealed", reason="it is sealed")


def _found(study: StudyFiles, run_id: str, *, named: bool) -> Recovered:
    """How a run that is open was found, what would become of it, or why it is left alone."""
    directory = RunFiles(study.root).directory(run_id)
    try:
        record = RunFiles(study.root).load(run_id)
        said = log.logged(directory)
    except ResearchError as error:
        return Recovered(run=run_id, was="unreadable", reason=error.message)
    found = Recovered(run=run_id, was="not sealed", points=said.telemetry.points, damaged=said.telemetry.damaged)
    if liveness.alive(directory):
        return msgspec.structs.replace(found, was="alive", reason="a process still writes it")
    if record.status not in _OPEN:
        return msgspec.structs.replace(found, now=record.status)
    holder = record.holder
    if holder is not None and holder.machine != liveness.machine() and not named:
        reason = "another machine began it, and it may live there: name it to seal it all the same"
        return msgspec.structs.replace(found, was="elsewhere", reason=reason)
    promised = Staging(study.state, run_id).promised()
    if promised is not None:
        return msgspec.structs.replace(found, was="lost", now=promised.status)
    word = _last_word(directory, record)
    return msgspec.structs.replace(found, was="lost", now=word[0] if word is not None else "lost")


def _last_word(directory: Path, record: RunRecord) -> tuple[EndStatus, int] | None:
    """How a script ended, and when, that was killed between noting its end and writing it into the record."""
    if record.runner != sealing.SCRIPT or record.holder is None:
        return None
    return log.last_word(directory, record.holder.process)


def _sealed(study: StudyFiles, item: Recovered, now: datetime.datetime) -> Recovered:
    """Seals one run, unless there is a reason not to. It was looked at before the lock was ours, or is ours since."""
    if item.reason is not None:
        return item
    runs = RunFiles(study.root)
    try:
        record = runs.load(item.run)
        if not runs.closed(item.run):
            if liveness.alive(runs.directory(item.run)):
                return msgspec.structs.replace(item, was="alive", now=None, reason="a process still writes it")
            if Staging(study.state, item.run).promised() is not None:
                return msgspec.structs.replace(item, now=None, reason="its result could not be put in place")
            record = _ended(study, record, conclusion.utc(now))
    except InvalidFileError as error:
        return msgspec.structs.replace(item, was="unreadable", now=None, reason=error.message)
    record = sealing.seal_run(study, record)
    told = record.telemetry or Telemetry()
    return msgspec.structs.replace(item, now=record.status, points=told.points, damaged=told.damaged)


def _ended(study: StudyFiles, record: RunRecord, now: str) -> RunRecord:
    """The record of a run nobody writes any more: as it ended, as its script said last, or as cut off."""
    if record.status not in _OPEN:
        return record
    word = _last_word(RunFiles(study.root).directory(record.id), record)
    if word is None:
        return conclusion.cut_off(study, msgspec.structs.replace(record, status="running"), now)
    ended = datetime.datetime.fromtimestamp(word[1] / _NANOSECONDS, datetime.UTC)
    return msgspec.structs.replace(record, status=word[0], ended=conclusion.utc(ended))


def _drop_unbegun(study: StudyFiles, now: datetime.datetime) -> None:
    """Deletes what scripts left that were killed while they made their run: a log without a point, and no record."""
    for directory in sorted((study.root / "runs").glob("*/")):
        began = now.timestamp() - directory.stat().st_mtime > _BEGINNING_SECONDS
        if began and not (directory / RECORD).exists() and not log.is_written(directory):
            names = {path.name for path in directory.iterdir() if not _UNWRITTEN.fullmatch(path.name)}
            said = log.gather(log.event_logs(directory)) if names <= {layout.DIRECTORY} else None
            if said is not None and not said.telemetry.points and not said.telemetry.damaged:
                files.remove_tree(directory)
