"""Run directories: making, closing, listing and reading them."""

from __future__ import annotations

import contextlib
import datetime
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from entrenar_research.core import digests
from entrenar_research.core.sweeps import suggest
from entrenar_research.errors import InvalidFileError, StorageError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, sums
from entrenar_research.store.yaml_text import Document, dump

RECORD = "run.yaml"
INPUTS = "inputs.sha256"
OUTPUTS = "outputs.sha256"
SCHEMA = 1
"""The schema of the records that this version reads and writes."""
_TELLING = re.compile(rb"^(?:status: [a-z]+$|result:|trial:)", re.MULTILINE)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(experiment: str, now: datetime.datetime) -> str:
    """`<UTC time to the millisecond>-<experiment>-<random>`: sorts by time, never given out twice."""
    stamp = now.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")[:-3]
    return f"{stamp}Z-{experiment}-{''.join(secrets.choice(_ALPHABET) for _ in range(4))}"


class NewerRecord(InvalidFileError):
    """A record that a newer version wrote: nobody is to change it here."""


def read_record(directory: Path) -> RunRecord:
    """The record in a run directory.

    Raises:
        UsageError: if there is none, or it cannot be read.
        NewerRecord: if a newer version wrote it.
        InvalidFileError: if it does not hold what it should.
    """
    shown = f"runs/{directory.name}/{RECORD}"
    document = Document(files.read_text(directory / RECORD, shown=shown), shown)
    schema = document.value.get("schema") if isinstance(document.value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
        raise NewerRecord(
            f"{shown}: written by a newer version (schema {schema}; this version knows {SCHEMA})",
            hint="use that version, or a later one, to read the run; this one leaves it as it is",
        )
    return document.convert(RunRecord)


def is_good(record: RunRecord) -> bool:
    """Whether the run made a result for its experiment; that of a trial is its sweep's, a script by itself has none."""
    return record.status == "completed" and record.result is not None and record.trial is None


class RunFiles:
    """The run directories of the study at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, run_id: str) -> Path:
        """`runs/<run-id>`."""
        return self.root / "runs" / run_id

    def ids(self) -> tuple[str, ...]:
        """Every recorded run, oldest first."""
        return tuple(name for name in self._names() if self._recorded(name))

    def _names(self) -> list[str]:
        """The names of everything in `runs/`, sorted: oldest first."""
        try:
            return sorted(os.listdir(self.root / "runs"))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def _recorded(self, run_id: str) -> bool:
        return os.path.isfile(f"{self.root}/runs/{run_id}/{RECORD}")  # noqa: PTH113 - thousands of runs

    def load(self, run_id: str) -> RunRecord:
        """The record of a run.

        Raises:
            UsageError: if there is no such run.
            InvalidFileError: if its record does not hold what it should.
        """
        path = self.directory(run_id) / RECORD
        if not path.is_file():
            raise suggest.unknown("run", run_id, self.ids(), remedy="make one with `entrenar-research run NAME`")
        return read_record(path.parent)

    def resolve(self, text: str) -> RunRecord:
        """A run by its id, the unique beginning or end of one, or an experiment's name.

        That is the experiment's last good run; if it has none, as with those of scripts, its last completed one.

        Raises:
            UsageError: if nothing or more than one thing fits.
        """
        if (self.directory(text) / RECORD).is_file():
            return self.load(text)
        last = self.latest(text) or self._newest(text, lambda record: True)
        if last is not None:
            return last
        fitting = [run_id for run_id in self.ids() if run_id.startswith(text) or run_id.endswith(f"-{text}")]
        if len(fitting) == 1:
            return self.load(fitting[0])
        if fitting:
            raise UsageError(
                f"{text!r} fits {len(fitting)} runs", hint=f"give more of the id: {', '.join(fitting[:5])}"
            )
        raise suggest.unknown("run", text, self.ids(), remedy="make one with `entrenar-research run NAME`")

    def records(self, experiment: str | None = None) -> tuple[RunRecord, ...]:
        """Every readable record, oldest first; only those of `experiment` if given."""
        found = []
        for run_id in self.ids():
            if experiment is None or f"-{experiment}-" in run_id:
                try:
                    record = self.load(run_id)
                except (InvalidFileError, UsageError):
                    continue
                if experiment is None or record.experiment == experiment:
                    found.append(record)
        return tuple(found)

    def latest(self, experiment: str) -> RunRecord | None:
        """The last good run of an experiment, or None."""
        return self._newest(experiment, is_good, needed=(b"result:",), ruled_out=(b"trial:",))

    def _newest(
        self, experiment: str, fits: Callable[[RunRecord], bool], *,
        needed: tuple[bytes, ...] = (), ruled_out: tuple[bytes, ...] = (),
    ) -> RunRecord | None:  # fmt: skip
        """The newest completed run that `fits`. A record that we wrote and whose lines say no is not parsed for it."""
        for run_id in reversed(self._names()):
            if f"-{experiment}-" not in run_id:
                continue
            said = self._said(run_id)
            ours = sum(words.startswith(b"status: ") for words in said) == 1
            wanted = (b"status: completed", *needed)
            if ours and (any(words not in said for words in wanted) or any(words in said for words in ruled_out)):
                continue
            with contextlib.suppress(InvalidFileError, UsageError):
                record = self.load(run_id)
                if record.experiment == experiment and record.status == "completed" and fits(record):
                    return record
        return None

    def _said(self, run_id: str) -> list[bytes]:
        """What the telling lines of a record say."""
        try:
            with open(self.root / "runs" / run_id / RECORD, "rb") as stream:
                return _TELLING.findall(stream.read())
        except OSError:
            return []

    def pair(self, one: str, other: str | None) -> tuple[RunRecord, RunRecord]:
        """Two runs to compare; without `other`, the last good run of `one`'s experiment and the one before it.

        Raises:
            UsageError: if a run is unknown or there is none before.
        """
        first = self.resolve(one)
        if other is not None:
            return first, self.resolve(other)
        earlier = [run for run in self.records(first.experiment) if run.status == "completed" and run.id < first.id]
        if not earlier:
            raise UsageError(
                f"{first.id} is the first completed run of {first.experiment}: there is none to compare with"
            )
        return earlier[-1], first

    def open(self, record: RunRecord) -> Path:
        """Makes the directory of a run that begins, with its record.

        Raises:
            StorageError: if the file system refuses, or the id is taken.
        """
        directory = self.directory(record.id)
        with files.refusals(f"cannot make runs/{record.id}"):
            directory.parent.mkdir(parents=True, exist_ok=True)
            directory.mkdir()
        self.write(record)
        return directory

    def write(self, record: RunRecord) -> None:
        """Writes the record as it is now.

        Raises:
            StorageError: if the file system refuses.
        """
        files.write_atomically(self.directory(record.id) / RECORD, dump(record))

    def close(self, record: RunRecord) -> None:
        """Writes the final record and closes the directory with `SHA256SUMS`.

        Raises:
            StorageError: if the file system refuses.
        """
        self.write(record)
        directory = self.directory(record.id)
        with files.refusals(f"cannot tidy runs/{record.id}"):
            for part in directory.glob(".*.part"):
                if not part.is_dir():
                    part.unlink(missing_ok=True)
        sums.close(directory)

    def closed(self, run_id: str) -> bool:
        """Whether the directory of a run was closed: nothing is written in it any more."""
        return (self.directory(run_id) / sums.NAME).is_file()

    def manifest(self, run_id: str, name: str) -> dict[str, str]:
        """One of a run's manifests: study paths with `sha256:<hex>`; empty if it was not written.

        Raises:
            IntegrityError: if it is malformed.
        """
        path = self.directory(run_id) / name
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"runs/{run_id}/{name}: cannot be read: {error}") from error
        return digests.parse_manifest(text, f"runs/{run_id}/{name}")
