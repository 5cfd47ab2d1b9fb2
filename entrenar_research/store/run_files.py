"""Run directories: making, closing, listing and reading them."""

from __future__ import annotations

import datetime
import secrets
from pathlib import Path

from entrenar_research.core import digests, suggest
from entrenar_research.errors import InvalidFileError, StorageError, UsageError
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, sums
from entrenar_research.store.yaml_text import Document, dump

RECORD = "run.yaml"
INPUTS = "inputs.sha256"
OUTPUTS = "outputs.sha256"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(experiment: str, now: datetime.datetime) -> str:
    """`<UTC time to the millisecond>-<experiment>-<random>`: sorts by time, never given out twice."""
    stamp = now.astimezone(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")[:-3]
    return f"{stamp}Z-{experiment}-{''.join(secrets.choice(_ALPHABET) for _ in range(4))}"


class RunFiles:
    """The run directories of the study at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def directory(self, run_id: str) -> Path:
        """`runs/<run-id>`."""
        return self.root / "runs" / run_id

    def ids(self) -> tuple[str, ...]:
        """Every recorded run, oldest first."""
        return tuple(sorted(path.parent.name for path in self.root.glob(f"runs/*/{RECORD}")))

    def load(self, run_id: str) -> RunRecord:
        """The record of a run.

        Raises:
            UsageError: if there is no such run.
            InvalidFileError: if its record does not hold what it should.
        """
        path = self.directory(run_id) / RECORD
        if not path.is_file():
            raise suggest.unknown("run", run_id, self.ids(), remedy="make one with `entrenar-research run NAME`")
        shown = f"runs/{run_id}/{RECORD}"
        return Document(files.read_text(path, shown=shown), shown).convert(RunRecord)

    def resolve(self, text: str) -> RunRecord:
        """A run by its id, the unique beginning or end of one, or an experiment's name (its last good run).

        Raises:
            UsageError: if nothing or more than one thing fits.
        """
        if (self.directory(text) / RECORD).is_file():
            return self.load(text)
        last = self.latest(text)
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
        """The last completed run of an experiment, or None."""
        for run_id in reversed(self.ids()):
            if f"-{experiment}-" not in run_id:
                continue
            try:
                record = self.load(run_id)
            except (InvalidFileError, UsageError):
                continue
            if record.experiment == experiment and record.status == "completed":
                return record
        return None

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
