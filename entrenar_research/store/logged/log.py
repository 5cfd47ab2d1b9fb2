"""Everything that the processes of a run have logged: their event logs, or what a sealing made of them.

The event logs in `events/` count until a sealing has put their points into Parquet, their notes into `run.yaml`,
and `events/` aside in one step (`SET_ASIDE`). From then on those two count.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import msgspec

from entrenar_research.client import layout, liveness, reading
from entrenar_research.client.reading import Log
from entrenar_research.models.tracking import Series, Telemetry
from entrenar_research.store import run_files, sums
from entrenar_research.store.logged.notes import EndStatus, Folding, Notes
from entrenar_research.store.logged.series_summary import Summary

METRICS = "metrics.parquet"
SPANS = "spans.parquet"
SET_ASIDE = ".events.part"
"""Where `events/` goes, in the run directory, once nothing of it is needed any more."""


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """What was logged in a run, over all its processes. Of a sealed run `notes` are empty: its record has them."""

    series: dict[str, Series] = {}
    telemetry: Telemetry = Telemetry()
    notes: Notes = Notes()


class EventLog(msgspec.Struct, frozen=True, kw_only=True):
    """One event log: None for `log` if the file system would not let it be read; `damaged` says what is lost."""

    path: Path
    log: Log | None
    damaged: tuple[str, ...]


def event_logs(directory: Path, *, within: str = layout.DIRECTORY) -> tuple[EventLog, ...]:
    """The event logs of a run, in the order in which their processes began; `within` is where in its directory."""
    found = []
    for path in sorted((directory / within).glob(f"*{layout.SUFFIX}")):
        where = f"{layout.DIRECTORY}/{path.name}"
        try:
            log = reading.read(path)
        except OSError as error:
            words = (f"{where}: cannot be read: {error.strerror or error}",)
            found.append(EventLog(path=path, log=None, damaged=words))
            continue
        found.append(EventLog(path=path, log=log, damaged=tuple(f"{where}: {words}" for words in log.damaged)))
    return tuple(sorted(found, key=lambda item: (item.log.started if item.log is not None else 0, item.path.name)))


def is_written(directory: Path) -> bool:
    """Whether a process logs to the run: one that lives holds its event log."""
    return any(liveness.held(path) for path in (directory / layout.DIRECTORY).glob(f"*{layout.SUFFIX}"))


def is_sealed(directory: Path) -> bool:
    """Whether the record and the Parquet files of a run hold what was logged, and `events/` is at most kept damage."""
    if (directory / SET_ASIDE).is_dir():
        return True
    if not (directory / sums.NAME).is_file():
        return False
    return (directory / METRICS).is_file() or not (directory / layout.DIRECTORY).is_dir()


def logged(directory: Path) -> Logged:
    """What was logged in the run whose directory this is, open or sealed.

    Raises:
        UsageError: if a sealed run has no record.
        InvalidFileError: if its record does not hold what it should.
    """
    if is_sealed(directory):
        record = run_files.read_record(directory)
        return Logged(series=record.series, telemetry=record.telemetry or Telemetry())
    return gather(event_logs(directory))


def gather(event_logs: tuple[EventLog, ...]) -> Logged:
    """What these event logs say together."""
    summary, folding = Summary(), Folding()
    for item in event_logs:
        if item.log is not None:
            log: Log = item.log
            summary.add(log.keys, log.refs, log.steps, log.values, log.times)
            for note in log.notes:
                folding.take(note, f"{layout.DIRECTORY}/{item.path.name}")
    notes = folding.notes()
    return Logged(series=summary.series(), telemetry=_telemetry(event_logs, notes), notes=notes)


def last_word(directory: Path, process: int) -> tuple[EndStatus, int] | None:
    """How the process with that number said that it ended, and when (ns since 1970); None if it did not say so."""
    for item in event_logs(directory):
        if item.log is not None and item.log.pid == process:
            for note in item.log.notes:
                if note["kind"] == "end" and note.get("status") in get_args(EndStatus):
                    ended = [span.ended for span in item.log.spans if span.ended]
                    return note["status"], max((item.log.started, *item.log.times[-1:], *ended))
    return None


def _telemetry(event_logs: tuple[EventLog, ...], notes: Notes) -> Telemetry:
    logs: list[Log] = [item.log for item in event_logs if item.log is not None]
    lost = sum(log.lost for log in logs)
    reasons = sorted({log.lost_errno for log in logs if log.lost})
    return Telemetry(
        points=sum(len(log.steps) for log in logs),
        spans=sum(len(log.spans) for log in logs),
        processes=len(event_logs),
        lost=lost,
        reason="; ".join(_reason(number) for number in reasons) if reasons else None,
        damaged=(*(words for item in event_logs for words in item.damaged), *notes.damaged),
    )


def _reason(number: int) -> str:
    return os.strerror(number) if number else "the reason was not recorded"
