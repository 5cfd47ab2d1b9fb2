r"""What an importer is. To add one, write `importers/<name>.py` that ends in `IMPORTER: Importer = ...`.

class Csv:
    name = "csv"
    looks_for = "files *.csv with the columns step, value and time"

    def survey(self, place):
        found = [(path, path.stat().st_size) for path in sorted(place.glob("*.csv"))]
        return Survey(tuple(Source(f"csv:{path.stem}", path.name, size, str(size), (path,)) for path, size in found))

    def read(self, source, progress):
        curve = Curve()
        for line in source.paths[0].read_text().splitlines()[1:]:
            step, value, time = line.split(",")
            curve.add(int(step), float(value), int(time))
        return ForeignRun(source.origin, experiment="csv", status="completed", curves={"value": curve})

IMPORTER: Importer = Csv()
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal, Protocol

from entrenar_research.models.run import Environment, GitState, Hardware, RunStatus

Progress = Callable[[int], None]
"""Is called with the number of bytes that were read since the last call."""

OmissionKind = Literal["unmapped", "personal", "kept otherwise"]
STEPS = range(1 << 63)
"""Steps that a run can hold; a series with any other is counted, see `Curve`."""


@dataclasses.dataclass(frozen=True)
class Omission:
    """Something of a run that is not in what was imported, or not as it was.

    `unmapped`: there is no place for it here. `personal`: names of people, accounts, machines and their
    directories. `kept otherwise`: nothing is lost, but it reads differently. `count` says how many there are.
    """

    kind: OmissionKind
    what: str
    why: str = ""
    count: int = 1


class Curve:
    """The points of one metric in the order they were written: steps, values, times in ns since 1970.

    `odd` has the steps that are no integer of 64 bits, as they are written, by the index of their point.
    """

    def __init__(self) -> None:
        self.steps = array("q")
        self.values = array("d")
        self.times = array("q")
        self.odd: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.values)

    def add(self, step: int, value: float, time: int) -> None:
        """Adds a point. A time that 64 bits cannot hold becomes -1, as if it were before 1970."""
        if not -(1 << 63) <= time < 1 << 63:
            time = -1
        if not -(1 << 63) <= step < 1 << 63:
            self.odd[len(self.steps)] = str(step)
            step = 0
        self.steps.append(step)
        self.values.append(value)
        self.times.append(time)

    def extend(self, steps: Iterable[int], values: Iterable[float], times: Iterable[int]) -> None:
        """Adds many points, whose steps fit into 64 bits."""
        self.steps.extend(steps)
        self.values.extend(values)
        self.times.extend(times)

    def add_odd(self, step: str, value: float, time: int) -> None:
        """Adds a point whose step is no integer."""
        self.odd[len(self.steps)] = step
        self.add(0, value, time)


@dataclasses.dataclass(frozen=True)
class ForeignFile:
    """A file that a run kept: where it lies, and its path among the artifacts (`/` between its parts)."""

    place: Path
    name: str


@dataclasses.dataclass(frozen=True)
class Source:
    """A run that was found.

    `origin` names it wherever its files lie (`mlflow:<run id>`), `label` is what a person calls it, `size` are the
    bytes to be read, `state` changes when the run goes on (and is free of times and places), `paths` is for `read`.
    """

    origin: str
    label: str
    size: int
    state: str
    paths: tuple[Path, ...]


@dataclasses.dataclass(frozen=True)
class Survey:
    """The runs below a directory, what was passed over on purpose, and what could not be looked at."""

    sources: tuple[Source, ...] = ()
    passed_over: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ForeignRun:
    """Everything that was read of a run. Times are ns since 1970.

    `experiment` is their name for it, `tags` have the form `key=value` where they had a key, `metrics` are single
    final values, `parent` is the origin of the run that this one was nested in. `damaged` says what could not be
    read, with its place.
    """

    origin: str
    experiment: str
    status: RunStatus
    curves: dict[str, Curve] = dataclasses.field(default_factory=dict)
    params: dict[str, Any] = dataclasses.field(default_factory=dict)
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    parent: str | None = None
    started: int | None = None
    ended: int | None = None
    command: str = ""
    exit_status: int | None = None
    git: GitState = GitState()  # noqa: RUF009 - frozen
    environment: Environment | None = None
    hardware: Hardware | None = None
    files: tuple[ForeignFile, ...] = ()
    omissions: tuple[Omission, ...] = ()
    damaged: tuple[str, ...] = ()


class Importer(Protocol):
    """Reads the files of one tracker; writes nothing, follows no symbolic link out of the directory it is given."""

    name: str
    looks_for: str

    def survey(self, place: Path) -> Survey:
        """The runs at or below `place`, without reading their points; empty if there are none.

        Raises:
            OSError: if `place` itself cannot be read.
        """
        ...

    def read(self, source: Source, progress: Progress) -> ForeignRun:
        """One run in full. What is damaged within it is named in the answer; the rest is read.

        Raises:
            ResearchError: if nothing of it can be read.
            OSError: if a file cannot be read.
        """
        ...
