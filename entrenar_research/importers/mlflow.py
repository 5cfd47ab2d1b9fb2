"""MLflow: the file store (`mlruns/`) and the SQLite store (`mlflow.db`), each or both in one directory.

Runs that were deleted in MLflow are passed over and said so; `mlflow runs restore` brings them back there.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

from entrenar_research.core.foreign import mlflow_facts as facts
from entrenar_research.core.foreign.mlflow_facts import STATUS
from entrenar_research.errors import InvalidFileError, ResearchError, StorageError
from entrenar_research.importers.port import (
    Curve,
    ForeignFile,
    ForeignRun,
    Importer,
    Omission,
    Progress,
    Source,
    Survey,
)
from entrenar_research.models.run import GitState
from entrenar_research.store import files
from entrenar_research.store.foreign import foreign_files
from entrenar_research.store.foreign.foreign_files import Walk
from entrenar_research.store.foreign.mlflow_database import Database, Row
from entrenar_research.store.yaml_text import Document

_META: Final = "meta.yaml"
_TRASH: Final = ".trash"
_STORES: Final = ("", "mlruns")
_DATABASES: Final = ("mlflow.db", "mlruns.db")
_ARTIFACT_ROOTS: Final = ("mlruns", "mlartifacts", "")
_HUGE: Final = "1.7976931348623157e308, which MLflow's database writes for an infinity: kept as it is stored"


class Mlflow:
    """Reads MLflow's stores of all versions since 0.5."""

    name = "mlflow"
    looks_for = "`mlruns/<experiment>/<run>/meta.yaml`, or the database `mlflow.db`"

    def survey(self, place: Path) -> Survey:
        """See the port."""
        found = _Finding(place)
        if place.is_file():
            found.database(place)
        else:
            for store in _STORES:
                found.store(place / store)
            for name in _DATABASES:
                if (place / name).is_file():
                    found.database(place / name)
        return Survey(tuple(found.sources.values()), tuple(found.passed_over), (*found.problems, *found.walk.problems))

    def read(self, source: Source, progress: Progress) -> ForeignRun:
        """See the port."""
        if len(source.paths) == 1:
            return _DirectoryRun(source.paths[0]).read(source, progress)
        return _read_row(source, progress)


class _Finding:
    """Looks for runs in stores and databases; a run that is in both counts once."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.walk = Walk(place if place.is_dir() else place.parent, depth=32)
        self.sources: dict[str, Source] = {}
        self.passed_over: list[str] = []
        self.problems: list[str] = []

    def store(self, store: Path) -> None:
        """A directory of experiments, or one experiment."""
        if store.is_symlink() and store != self.place:
            self.problems.append(f"{self.walk.shown(store)}: a symbolic link: not followed")
            return
        experiments = [store] if _is_experiment(store) else self._children(store)
        for experiment in experiments:
            if _is_experiment(experiment):
                self._experiment(experiment)
        trash = store / _TRASH
        if trash.is_dir() and not trash.is_symlink():
            for experiment in self._children(trash):
                runs = sum((run / _META).is_file() for run in self._children(experiment))
                self.passed_over.append(f"{_TRASH}/{experiment.name}: a deleted experiment (runs: {runs})")

    def _children(self, directory: Path) -> list[Path]:
        """The directories in a directory; links are told of by the walk."""
        try:
            entries = sorted(directory.iterdir()) if directory.is_dir() else []
        except OSError as error:
            if directory == self.place:
                raise
            self.problems.append(f"{self.walk.shown(directory)}: cannot be read: {error.strerror}")
            return []
        links = [entry for entry in entries if entry.is_symlink()]
        self.problems += [f"{self.walk.shown(link)}: a symbolic link: not followed" for link in links]
        return [entry for entry in entries if entry.is_dir() and entry not in links and entry.name != _TRASH]

    def _experiment(self, directory: Path) -> None:
        for run in self._children(directory):
            meta = run / _META
            try:
                if not meta.is_file():
                    continue
                text = files.read_text(meta)
                if re.search(r"^run_(?:id|uuid):", text, re.MULTILINE):  # else a data set, a model, a trace
                    self._run(run, text)
            except (OSError, ResearchError) as error:
                reason = getattr(error, "strerror", None) or getattr(error, "message", error)
                self.problems.append(f"{self.walk.shown(run)}: {reason}")

    def _run(self, run: Path, text: str) -> None:
        if re.search(r"^lifecycle_stage: *deleted", text, re.MULTILINE):
            self.passed_over.append(f"{self.walk.shown(run)}: a deleted run")
            return
        name = re.search(r"^run_name: *['\"]?(.*?)['\"]? *$", text, re.MULTILINE)
        size = len(text)
        count = 0
        for part in ("metrics", "params", "tags"):
            if (run / part).is_dir():
                for folder, names in self.walk.directories(run / part):
                    size += sum((folder / item).stat().st_size for item in names)
                    count += len(names)
        origin = f"mlflow:{run.name}"
        self.sources.setdefault(
            origin, Source(origin, name[1] if name and name[1] else run.name, size, f"{size} {count}", (run,))
        )

    def database(self, path: Path) -> None:
        """An SQLite store."""
        try:
            with Database(path) as database:
                for row in database.runs():
                    if row.deleted:
                        self.passed_over.append(f"{path.name}: {row.run_id}: a deleted run")
                        continue
                    origin = f"mlflow:{row.run_id}"
                    state = f"{row.points} {row.params} {row.status} {row.ended}"
                    source = Source(origin, row.name or row.run_id, 64 * row.points, state, (path, self.walk.top))
                    self.sources.setdefault(origin, source)
        except StorageError as error:
            self.problems.append(error.message)


def _is_experiment(directory: Path) -> bool:
    try:
        if not (directory / _META).is_file():
            return False
        text = (directory / _META).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return directory.name.isdigit()
    return "experiment_id:" in text and not re.search(r"^run_(?:id|uuid):", text, re.MULTILINE)


class _Facts:
    """What both stores have of a run, and how it becomes one of ours."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self.tags: dict[str, str] = {}
        self.curves: dict[str, Curve] = {}
        self.others: Counter[str] = Counter()
        self.kept_otherwise: Counter[str] = Counter()
        self.damaged: list[str] = []
        self.files: list[ForeignFile] = []
        self.source_version = ""
        self.user = False

    def run(self, source: Source, *, experiment: str, status: Any, start: Any, end: Any) -> ForeignRun:
        """All of it together; times in milliseconds."""
        tags = facts.sort_tags(self.tags)
        personal = tags.personal | ({"user name"} if self.user else set())
        self.others.update(f"tag {name}" for name in tags.unmapped)
        omissions = [Omission("unmapped", what, count=count) for what, count in sorted(self.others.items())]
        omissions += [Omission("personal", what) for what in sorted(personal)]
        omissions += [Omission("kept otherwise", w, count=count) for w, count in sorted(self.kept_otherwise.items())]
        known = STATUS.get(status)
        warnings = ["MLflow had it as running"] if known == "lost" else []
        if known is None:
            warnings.append(f"MLflow has the status {status!r} for it, which is none of its own: taken as lost")
        return ForeignRun(
            source.origin,
            experiment=experiment,
            status=known or "lost",
            curves=self.curves,
            params=self.params,
            tags=tuple(tags.kept),
            warnings=tuple(warnings),
            parent=f"mlflow:{tags.parent}" if tags.parent else None,
            started=_nanoseconds(start),
            ended=_nanoseconds(end),
            command=tags.program,
            git=GitState(commit=tags.commit or self.source_version or None),
            files=tuple(self.files),
            omissions=tuple(omissions),
            damaged=tuple(self.damaged),
        )


class _DirectoryRun(_Facts):
    """A run of the file store."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory

    def read(self, source: Source, progress: Progress) -> ForeignRun:
        """Reads all of its files."""
        meta = self._meta(self.directory / _META)
        self.params = {key: facts.param(text) for key, text in self._texts("params", progress)}
        self.tags = dict(self._texts("tags", progress))
        if meta.get("run_name"):
            self.tags.setdefault("mlflow.runName", str(meta["run_name"]))
        for key, path in self._files("metrics"):
            self._metric(key, path, progress)
        self.files = [ForeignFile(path, key) for key, path in self._files("artifacts")]
        for part, what in (("inputs", "data set"), ("outputs", "logged model")):
            count = sum(path.name == _META for _, path in self._files(part))
            if count:
                self.others[what] += count
        self.user = bool(meta.get("user_id"))
        self.source_version = str(meta.get("source_version") or "")
        uri = str(meta.get("artifact_uri") or "")
        if "://" in uri and not uri.startswith("file://") and not self.files:
            self.others[f"artifacts kept elsewhere ({uri.partition(':')[0]})"] += 1
        try:
            name = str(self._meta(self.directory.parent / _META).get("name") or "")
        except ResearchError as error:
            self.damaged.append(f"the name of the experiment: {error.message}")
            name = ""
        return self.run(
            source,
            experiment=name,
            status=meta.get("status"),
            start=meta.get("start_time"),
            end=meta.get("end_time"),
        )

    def _meta(self, path: Path) -> dict[str, Any]:
        shown = f"{path.parent.name}/{path.name}"
        value = Document(files.read_text(path, shown=shown), shown).value
        if not isinstance(value, dict):
            raise InvalidFileError(f"{shown}: expected a mapping")
        return value

    def _files(self, part: str) -> list[tuple[str, Path]]:
        """The files below one of the run's directories, each with its name there."""
        top = self.directory / part
        if not top.is_dir() or top.is_symlink():
            return []
        walk = Walk(top)
        found = [
            ((folder / name).relative_to(top).as_posix(), folder / name)
            for folder, names in walk.directories()
            for name in names
        ]
        self.damaged += [f"{part}/{problem}" for problem in walk.problems]
        return [
            (key.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"), path) for key, path in found
        ]

    def _texts(self, part: str, progress: Progress) -> list[tuple[str, str]]:
        found = []
        for key, path in self._files(part):
            try:
                data = path.read_bytes()
            except OSError as error:
                self.damaged.append(f"{part}/{key}: {error.strerror}")
                continue
            progress(len(data))
            try:
                found.append((key, data.decode()))
            except UnicodeDecodeError as error:
                self.damaged.append(f"{part}/{key}: not UTF-8 text (byte {error.start}); read with escapes")
                found.append((key, data.decode("utf-8", "backslashreplace")))
        return found

    def _metric(self, key: str, path: Path, progress: Progress) -> None:
        try:
            with foreign_files.opened(path) as view:
                data = bytes(view)
        except (OSError, StorageError) as error:
            self.damaged.append(f"metrics/{key}: {getattr(error, 'strerror', None) or error}")
            return
        progress(len(data))
        curve = self.curves[key] = Curve()
        whole = facts.columns(data)
        if whole is not None:
            curve.extend(*whole)
            return
        place = 0
        for raw in data.split(b"\n"):
            if raw.strip():
                self._line(curve, key, place, raw.decode("utf-8", "replace"))
            place += len(raw) + 1

    def _line(self, curve: Curve, key: str, place: int, text: str) -> None:
        try:
            found = facts.line(text)
        except ValueError as error:
            self.damaged.append(f"metrics/{key}, byte {place}: {error}; found {text[:60]!r}")
            return
        if found.more == 2:
            self.others["data set of a point"] += 1
        try:
            curve.add(int(found.step), found.value, found.time)
        except ValueError:
            curve.add_odd(found.step, found.value, found.time)


def _read_row(source: Source, progress: Progress) -> ForeignRun:
    """A run of a database; its artifacts are looked for beside the database."""
    path, top = source.paths
    run_id = source.origin.partition(":")[2]
    found = _Facts()
    with Database(path) as database:
        row = next((row for row in database.runs(run_id)), None)
        if row is None:
            raise StorageError(f"{path.name}: the run {run_id} is no longer there")
        found.params = {key: facts.param(text) for key, text in database.params(run_id)}
        found.tags = dict(database.tags(run_id))
        for key, step, value, time in database.points(run_id):
            found.curves.setdefault(key, Curve()).add(step, value, time)
            found.kept_otherwise[_HUGE] += abs(value) == 1.7976931348623157e308
        for what, count in database.others(run_id):
            found.others[what] += count
    found.kept_otherwise = +found.kept_otherwise
    progress(source.size)
    found.user, found.source_version = row.user, row.source_version
    if row.name:
        found.tags.setdefault("mlflow.runName", row.name)
    found.files, linked = _artifacts(top, row)
    found.damaged += linked
    if row.artifact_uri and not found.files and "://" in row.artifact_uri:
        found.others[f"artifacts kept elsewhere ({row.artifact_uri.partition(':')[0]})"] += 1
    return found.run(source, experiment=row.experiment, status=row.status, start=row.started, end=row.ended)


def _artifacts(top: Path, row: Row) -> tuple[list[ForeignFile], list[str]]:
    for root in _ARTIFACT_ROOTS:
        place = top / root / str(row.experiment_id) / row.run_id / "artifacts"
        if place.is_dir() and place.resolve() == (
            top.resolve() / root / str(row.experiment_id) / row.run_id / "artifacts"
        ):
            walk = Walk(place)
            found = [
                ForeignFile(folder / name, (folder / name).relative_to(place).as_posix())
                for folder, names in walk.directories()
                for name in names
            ]
            return found, [f"artifacts/{problem}" for problem in walk.problems]
    return [], []


def _nanoseconds(milliseconds: Any) -> int | None:
    return milliseconds * 1_000_000 if isinstance(milliseconds, int) and 0 < milliseconds < 9 * 10**12 else None


IMPORTER: Importer = Mlflow()
