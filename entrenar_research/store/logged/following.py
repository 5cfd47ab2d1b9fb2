"""Following a run while it is under way: what its event logs have that they had not before. Nobody waits for us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.errors import ResearchError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import run_files
from entrenar_research.store.catalogue import reading
from entrenar_research.store.catalogue.catalogue import Catalogue
from entrenar_research.store.logged import log as logged
from entrenar_research.store.logged import points
from entrenar_research.store.run_files import RunFiles

_OPEN = ("pending", "running")


class Point(msgspec.Struct, frozen=True, order=True):
    """One point of a metric; `time` is in ns since 1970."""

    time: int
    key: str
    step: int
    value: float


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What was found: the record as it is now, its status as it really is, new points by time, new notes."""

    record: RunRecord
    status: str
    points: tuple[Point, ...] = ()
    notes: tuple[dict[str, Any], ...] = ()

    @property
    def over(self) -> bool:
        """Whether the run has ended, one way or another."""
        return self.status not in _OPEN


class Follower:
    """Follows the run `run_id` of the study at `root`."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._root = root
        self._directory = root / "runs" / run_id
        self._counts: dict[str, tuple[int, int]] = {}
        self._latest = 0

    def look(self) -> News:
        """What is new since the last look; the first one has everything that was logged so far.

        Raises:
            ResearchError: if the run is gone, or its record cannot be read.
        """
        # The status before the logs: what was logged before it became final is in them then.
        record, status = reading.status_of(self._root, self._directory.name)
        found, notes = self._logged()
        if logged.is_sealed(self._directory):  # maybe only just now
            record = run_files.read_record(self._directory)
            found += self._sealed(record)
        self._latest = max([self._latest, *(point.time for point in found)])
        return News(record=record, status=status, points=tuple(sorted(found)), notes=tuple(notes))

    def _logged(self) -> tuple[list[Point], list[dict[str, Any]]]:
        found: list[Point] = []
        notes: list[dict[str, Any]] = []
        for item in logged.event_logs(self._directory):
            if item.log is not None:
                had, noted = self._counts.get(item.path.name, (0, 0))
                log = item.log
                rows = zip(log.times[had:], log.refs[had:], log.steps[had:], log.values[had:], strict=True)
                found += [Point(time, log.keys[ref], step, value) for time, ref, step, value in rows]
                notes += log.notes[noted:]
                self._counts[item.path.name] = (len(log.times), len(log.notes))
        return found, notes

    def _sealed(self, record: RunRecord) -> list[Point]:
        """What had been logged between our last look and the sealing, as far as it can be read here."""
        if not self._latest and not record.series:
            return []
        found: list[Point] = []
        try:
            for key in record.series:
                had = points.points(self._directory, key)
                rows = zip(had.times, had.steps, had.values, strict=True)
                found += [Point(int(at), key, int(step), float(value)) for at, step, value in rows if at > self._latest]
        except ResearchError:
            return []
        return found


def chosen(root: Path, text: str | None) -> str:
    """The run to follow: by id, unique part of one, or experiment; of an experiment, or of all, the newest under way.

    If none is under way, the newest.

    Raises:
        UsageError: if there is none, or `text` fits several.
    """
    runs = RunFiles(root)
    if text is not None and (runs.directory(text) / run_files.RECORD).is_file():
        return text
    catalogue = Catalogue(root)
    try:
        catalogue.refresh()
        query = (
            "SELECT id FROM entries WHERE ?1 IS NULL OR experiment = ?1 "
            "ORDER BY status IN ('pending', 'running') DESC, id DESC LIMIT 1"
        )
        newest = catalogue.connection.execute(query, (text,)).fetchone()
    finally:
        catalogue.close()
    if newest is not None:
        return str(newest[0])
    if text is None:
        raise UsageError("there are no runs yet", hint="make one with `entrenar-research run NAME`")
    return runs.resolve(text).id
