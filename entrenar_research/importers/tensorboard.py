"""TensorBoard's event files: a run is a directory that holds `*tfevents*` files, read in the order of their names.

Values are 32-bit floats in nearly all of them; they are imported as exactly the number that the file holds, so what
was logged as 0.1 reads 0.10000000149011612.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from entrenar_research.core.foreign import tensorboard_events as events
from entrenar_research.core.foreign.protobuf_wire import WireError
from entrenar_research.core.foreign.record_logs import tf_records
from entrenar_research.core.foreign.tensorboard_events import nanoseconds
from entrenar_research.importers.port import Curve, ForeignRun, Importer, Omission, Progress, Source, Survey
from entrenar_research.models.run import RunStatus
from entrenar_research.store.foreign import foreign_files
from entrenar_research.store.foreign.foreign_files import Walk

_MARK = "tfevents"
_SKIPPED = ".profile-empty"
_FIRST = 4096
_HOST = re.compile(r"tfevents\.\d+\.(.+?)(?:\.\d+\.\d+)?(?:\.v2)?$")


class Tensorboard:
    """Reads event files of any writer: TensorFlow, TensorBoard, tensorboardX, PyTorch."""

    name = "tensorboard"
    looks_for = "directories with files named `events.out.tfevents.*`"

    def survey(self, place: Path) -> Survey:
        """See the port. A run is known again by its first record and the name of its directory."""
        if place.is_file():
            return Survey((_source(place.parent, place.parent, (place,)),)) if _MARK in place.name else Survey()
        walk = Walk(place, mark=_MARK)
        sources: dict[str, Source] = {}
        passed_over = []
        problems = []
        for directory, names in walk.directories():
            found = sorted(name for name in names if _MARK in name and not name.endswith(_SKIPPED))
            if not found:
                continue
            paths = tuple(directory / name for name in found)
            try:
                source = _source(place, directory, paths)
            except OSError as error:
                problems.append(f"{walk.shown(Path(error.filename or paths[0]))}: {error.strerror}")
                continue
            same = sources.get(source.origin)
            if same is not None and same.state == source.state:
                passed_over.append(f"{source.label}: a copy of {same.label}")
            elif same is not None:
                problems.append(f"{source.label}: begins as {same.label} does but goes on differently: not imported")
            else:
                sources[source.origin] = source
        return Survey(tuple(sources.values()), tuple(passed_over), (*problems, *walk.problems))

    def read(self, source: Source, progress: Progress) -> ForeignRun:
        """See the port."""
        reading = _Reading()
        for path in source.paths:
            reading.file(path, progress)
        return reading.run(source)


def _source(place: Path, directory: Path, paths: tuple[Path, ...]) -> Source:
    with foreign_files.opened(paths[0]) as data:
        begin = bytes(data[:_FIRST])
    first = next(tf_records(begin, lambda where, what: None), begin)
    name = directory.resolve().name
    origin = hashlib.sha256(first + b"\0" + os.fsencode(name)).hexdigest()[:16]
    sizes = [path.stat().st_size for path in paths]
    label = name if directory == place else str(directory.relative_to(place))
    for host in {match[1] for path in paths if (match := _HOST.search(path.name))}:
        label = label.replace(f"_{host}", "")  # what SummaryWriter calls a directory by itself
    return Source(f"tensorboard:{origin}", label, sum(sizes), " ".join(map(str, sizes)), paths)


class _Reading:
    """What was found so far in the files of one run."""

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.others: Counter[tuple[str, str]] = Counter()
        self.damaged: list[str] = []
        self.params: dict[str, Any] = {}
        self.tags: list[str] = []
        self.status: str | None = None
        self.started: int | None = None
        self.ended: int | None = None
        self.wrong_times = 0
        self._plugins: dict[str, str] = {}

    def file(self, path: Path, progress: Progress) -> None:
        """Reads one event file."""

        def damage(place: int, what: str) -> None:
            self.damaged.append(f"{foreign_files.impersonal(path.name)}, byte {place}: {what}")

        with foreign_files.opened(path) as data:
            done = 0
            for record in tf_records(data, damage):
                point = events.plain_scalar(record)
                if point is not None:
                    self._scalar(point)
                else:
                    self._event(record, path.name)
                done += len(record) + 16
                if done > foreign_files.STRIDE:
                    progress(done)
                    done = 0
            progress(done)

    def _scalar(self, point: events.Scalar) -> None:
        curve = self.curves.get(point.tag)
        if curve is None:
            curve = self.curves[point.tag] = Curve()
        time = nanoseconds(point.wall_time)
        if time <= 0:
            self.wrong_times += 1
        curve.add(point.step, point.value, time)

    def _event(self, record: bytes, name: str) -> None:
        try:
            found = events.event(record, self._plugins)
        except (WireError, ValueError) as error:
            self.damaged.append(f"{foreign_files.impersonal(name)}: a record is no event: {error}")
            return
        if found.file_version and self.started is None:
            self.started = nanoseconds(found.wall_time)
        if found.stopped:
            self.status, self.ended = self.status or "completed", nanoseconds(found.wall_time)
        for point in found.scalars:
            self._scalar(point)
        for other in found.others:
            if other.plugin == events.HPARAMS and self._session(other):
                continue
            self.others[other.kind, other.tag] += 1

    def _session(self, other: events.Other) -> bool:
        """Takes over what the HParams plugin wrote; false if it says nothing about this run."""
        try:
            session = events.session(other.content)
        except WireError as error:
            self.damaged.append(f"the hyper-parameters in {other.tag!r}: {error}")
            return True
        self.params.update(session.params)
        if session.group:
            self.tags.append(f"group={session.group}")
        self.status = session.status or self.status
        if session.started:
            self.started = nanoseconds(session.started)
        if session.ended:
            self.ended = nanoseconds(session.ended)
        return bool(session.params or session.status or session.started)

    def run(self, source: Source) -> ForeignRun:
        """All of it together."""
        kinds: dict[str, list[int]] = {}
        for (kind, _), count in sorted(self.others.items()):
            kinds.setdefault(kind, []).append(count)
        omissions = [
            Omission("unmapped", kind, f"no scalars; {len(counts)} tags", sum(counts)) for kind, counts in kinds.items()
        ]
        if any(_HOST.search(path.name) for path in source.paths):
            omissions.append(Omission("personal", "host name", "in the names of the event files"))
        warnings = []
        if self.status is None:
            warnings.append("TensorBoard's files do not say how a run ended: taken as completed")
        elif self.status == "running":
            warnings.append("its last session is written down as running, and nobody wrote its end")
        if self.wrong_times:
            why = "it is not between 1970 and 2262, the point has the time 0"
            omissions.append(Omission("kept otherwise", "wall time", why, self.wrong_times))
        ends = [time for curve in self.curves.values() for time in curve.times[-1:]]
        status: RunStatus = "lost" if self.status == "running" else "failed" if self.status == "failed" else "completed"
        return ForeignRun(
            source.origin,
            experiment="",
            status=status,
            curves=self.curves,
            params=self.params,
            tags=(f"name={source.label}", *dict.fromkeys(self.tags)),
            warnings=tuple(warnings),
            started=self.started,
            ended=self.ended or max(ends, default=None),
            omissions=tuple(omissions),
            damaged=tuple(self.damaged),
        )


IMPORTER: Importer = Tensorboard()
