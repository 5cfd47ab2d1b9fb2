"""Weights & Biases: the logs `run-<id>.wandb` of offline (and online) runs.

A run that was resumed has several, each in a directory of its own; they are read in the order of those directories.
What a record means is in `core.wandb_records`, how it lies in the file in `core.record_logs`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final

from entrenar_research.core.foreign import wandb_records as records
from entrenar_research.core.foreign.protobuf_wire import Message, WireError
from entrenar_research.core.foreign.record_logs import is_wandb, wandb_records
from entrenar_research.core.foreign.wandb_facts import Facts
from entrenar_research.errors import InvalidFileError, StorageError
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
from entrenar_research.models.run import Environment, GitState, Hardware, RunStatus
from entrenar_research.store import files
from entrenar_research.store.foreign import foreign_files
from entrenar_research.store.foreign.foreign_files import Walk
from entrenar_research.store.yaml_text import Document

_LOG = re.compile(r"run-(.+)\.wandb")
_PLACES: Final = ("", "*run-*", "wandb", "wandb/*run-*", ".wandb", ".wandb/*run-*")
_OWN_FILES: Final = frozenset(
    {"config.yaml", "wandb-metadata.json", "wandb-summary.json", "requirements.txt", "conda-environment.yaml",
     "output.log", "diff.patch", "wandb-history.jsonl", "wandb-events.jsonl"}
)  # fmt: skip
_ROW: Final = frozenset({"_step", "_timestamp", "_runtime"})
_UNCOUNTED: Final = {records.ALERT: "alert", records.ARTIFACT: "artifact of W&B", records.USE_ARTIFACT: "used artifact"}


class Wandb:
    """Reads what `wandb sync` would have sent."""

    name = "wandb"
    looks_for = "files `offline-run-*/run-*.wandb`"

    def survey(self, place: Path) -> Survey:
        """See the port. Runs are known again by project and run id; the first records of each log are read."""
        given = [place] * bool(_LOG.fullmatch(place.name)) if place.is_file() else None
        place = place.parent if place.is_file() else place
        walk = Walk(place)
        groups: dict[str, list[Path]] = {}
        names: dict[str, str] = {}
        problems = []
        for path in given if given is not None else _logs(place):
            shown = walk.shown(path)
            try:
                if path.parent.is_symlink() and path.parent.resolve().is_relative_to(place.resolve()):
                    continue  # latest-run
                if not path.resolve().is_relative_to(place.resolve()):
                    problems.append(f"{shown}: a symbolic link leads out of the directory: not followed")
                    continue
                facts = _begin(path)
            except (OSError, StorageError) as error:
                problems.append(f"{shown}: {getattr(error, 'strerror', None) or error}")
                continue
            if facts is None:
                problems.append(f"{shown}: no log of W&B: it does not begin with `:W&B`")
                continue
            run_id = facts.run_id or _LOG.fullmatch(path.name)[1]  # type: ignore[index]
            origin = f"wandb:{facts.project or 'uncategorized'}/{run_id}"
            groups.setdefault(origin, []).append(path)
            names.setdefault(origin, facts.name or run_id)
        sources = []
        for origin, paths in groups.items():
            sizes = [path.stat().st_size for path in paths]
            sources.append(Source(origin, names[origin], sum(sizes), " ".join(map(str, sizes)), tuple(paths)))
        empty = [] if given is not None else [f"{found.name}: holds no run-*.wandb" for found in _empty(place)]
        return Survey(tuple(sources), (), (*problems, *empty))

    def read(self, source: Source, progress: Progress) -> ForeignRun:
        """See the port."""
        reading = _Reading()
        for path in source.paths:
            reading.log(path, progress)
            reading.beside(path.parent / "files")
        return reading.run(source)


def _logs(place: Path) -> list[Path]:
    """Every log at the places where W&B puts them, in the order of their directories."""
    found = {path for where in _PLACES for path in place.glob(f"{where}/run-*.wandb" if where else "run-*.wandb")}
    return sorted((path for path in found if _LOG.fullmatch(path.name)), key=str)


def _empty(place: Path) -> list[Path]:
    found = {path for pattern in ("offline-run-*", "wandb/offline-run-*") for path in place.glob(pattern)}
    return sorted(path for path in found if path.is_dir() and not any(path.glob("run-*.wandb")))


def _begin(path: Path) -> Facts | None:
    """What the first records of a log say about its run; None if it is no log."""
    facts = Facts()
    with foreign_files.opened(path) as data:
        if not is_wandb(data):
            return None
        for number, (_, record) in enumerate(wandb_records(data, lambda where, what: None)):
            try:
                found = records.content(record)
                if found is not None and found[0] == records.RUN:
                    facts.run(Message(found[1]))
                    break
            except WireError:
                continue
            if number == 100:
                break
    return facts


class _Reading:
    """What was found so far in the logs of one run."""

    def __init__(self) -> None:
        self.curves: dict[str, Curve] = {}
        self.facts = Facts()
        self.others: Counter[str] = Counter()
        self.rounded = 0
        self.untimed = 0
        self.damaged: list[str] = []
        self.files: dict[str, ForeignFile] = {}
        self.packages: dict[str, str] = {}
        self._seen: set[str] = set()
        self._steps = 0
        self._last = 0

    def log(self, path: Path, progress: Progress) -> None:
        """Reads one log."""

        def damage(place: int, what: str) -> None:
            self.damaged.append(f"{path.name}, byte {place}: {what}")

        with foreign_files.opened(path) as data:
            told = 0
            for place, record in wandb_records(data, damage):
                try:
                    found = records.content(record)
                    if found is not None:
                        self._record(*found)
                except (ValueError, OverflowError, RecursionError) as error:
                    damage(place, f"a record is none of W&B's: {error}")
                if place - told > foreign_files.STRIDE:
                    progress(place - told)
                    told = place
            progress(len(data) - told)

    def _record(self, kind: int, data: bytes) -> None:
        if kind == records.HISTORY:
            self._history(records.row(data))
        elif kind == records.STATS:
            self._stats(Message(data))
        elif kind in (records.OUTPUT, records.OUTPUT_RAW):
            self.others["line of the console"] += bool(Message(data).text(3).strip())
        elif kind == records.SUMMARY:
            self.facts.summarise(data)
        elif kind in _UNCOUNTED:
            self.others[_UNCOUNTED[kind]] += 1
        else:
            self.facts.take(kind, data)

    def _history(self, row: records.Row) -> None:
        meta = {item.path[0]: item.text for item in row.items if len(item.path) == 1 and item.path[0] in _ROW}
        step = row.step
        if step is None:
            step = int(float(meta["_step"])) if "_step" in meta else self._steps
        time = _nanoseconds(meta.get("_timestamp"))
        if time is None:
            self.untimed += 1
            time = self._last or self.facts.started or 0
        self._steps, self._last = step + 1, time
        typed = {item.path[:-1]: item.text.strip('"') for item in row.items if item.path[-1] == records.TYPE}
        for kind in typed.values():
            self.others[kind] += 1
        for item in row.items:
            if item.path[0] in _ROW and len(item.path) == 1:
                continue
            if typed and any(item.path[: len(prefix)] == prefix for prefix in typed):
                continue
            self._point(item, step, time)

    def _point(self, item: records.Item, step: int, time: int) -> None:
        value = records.scalar(item.text)
        if value is None:
            self._other(item, step, time)
            return
        self.rounded += abs(value) >= 2**53 and item.text.lstrip("-").isdigit() and int(item.text) != value
        name = item.name
        curve = self.curves.get(name)
        if curve is None:
            curve = self.curves[name] = Curve()
        curve.add(step, value, time)

    def _other(self, item: records.Item, step: int, time: int) -> None:
        """Something that is no number: counted by its kind, or taken apart if it is a mapping of numbers."""
        try:
            value = item.value()
        except ValueError:
            self.damaged.append(f"history {item.name}: no JSON")
            return
        self._seen.add(item.name)
        if isinstance(value, dict) and records.TYPE not in value:
            for key, inner in value.items():
                self._point(records.Item((*item.path, key), json.dumps(inner)), step, time)
        elif isinstance(value, dict):
            self.others[str(value[records.TYPE])] += 1
        else:
            self.others["text" if isinstance(value, str) else "list" if isinstance(value, list) else "null"] += 1

    def _stats(self, message: Message) -> None:
        time = records.timestamp(message.message(2)) or self._last
        for raw in message.every(3):
            inner = Message(raw)
            name = f"system/{inner.text(1)}"
            value = records.scalar(inner.text(16))
            if value is None:
                self.others["system measurement that is no number"] += 1
                continue
            curve = self.curves.setdefault(name, Curve())
            curve.add(len(curve), value, time)

    def beside(self, directory: Path) -> None:
        """What lies beside a log: files that the run kept, and W&B's own where the log does not say the same."""
        if not directory.is_dir() or directory.is_symlink():
            return
        walk = Walk(directory)
        for folder, names in walk.directories():
            for name in names:
                relative = (folder / name).relative_to(directory).as_posix()
                if relative in _OWN_FILES or relative.startswith("code/"):
                    continue
                self.files[relative] = ForeignFile(folder / name, relative)
        self.damaged += [f"files/{problem}" for problem in walk.problems]
        for name, take in (("config.yaml", self.facts.config_file), ("wandb-metadata.json", self.facts.metadata_file)):
            path = directory / name
            if path.is_file() and not path.is_symlink():
                try:
                    take(Document(files.read_text(path), name).value)
                except InvalidFileError as error:
                    self.damaged.append(error.message)
        self._requirements(directory / "requirements.txt")
        if (directory / "diff.patch").is_file():
            self.others["patch of the code"] += 1

    def _requirements(self, path: Path) -> None:
        if path.is_file() and not path.is_symlink():
            lines = files.read_text(path).splitlines()
            self.packages.update(line.split("==", 1) for line in lines if "==" in line)  # type: ignore[misc]

    def run(self, source: Source) -> ForeignRun:
        """All of it together."""
        facts = self.facts
        metrics, texts = facts.final(set(self.curves) | self._seen)
        self.others["entry of the summary that is no number"] += texts
        omissions = [
            Omission("unmapped", kind, "no number", count) for kind, count in sorted(self.others.items()) if count
        ]
        omissions += [Omission("personal", what) for what in sorted(facts.personal)]
        if facts.internal:
            omissions.append(Omission("unmapped", "configuration of W&B itself", "`_wandb`"))
        if self.rounded:
            omissions.append(Omission("kept otherwise", "whole number beyond 2^53", "the nearest double", self.rounded))
        if self.untimed:
            why = "the time of the row before"
            omissions.append(Omission("kept otherwise", "row without a time", why, self.untimed))
        ends = [time for curve in self.curves.values() for time in curve.times[-1:]]
        status: RunStatus = "lost" if facts.exit_status is None else "failed" if facts.exit_status else "completed"
        ended = facts.ended if facts.ended is not None else max(ends, default=None)
        return ForeignRun(
            source.origin,
            experiment=facts.project,
            status=status,
            curves=self.curves,
            params=facts.config,
            metrics=metrics,
            tags=tuple(facts.tags()),
            warnings=() if facts.exit_status is not None else ("no end of the run is in its log",),
            started=facts.started,
            ended=ended,
            command=facts.program,
            exit_status=facts.exit_status,
            git=GitState(commit=facts.commit),
            environment=self._environment(),
            hardware=self._hardware(),
            files=tuple(self.files[name] for name in sorted(self.files)),
            omissions=tuple(omissions),
            damaged=tuple(self.damaged),
        )

    def _environment(self) -> Environment | None:
        if not self.facts.python and not self.packages:
            return None
        scope: Any = "installed" if self.packages else "none"
        return Environment(
            program=self.facts.program,
            python=self.facts.python,
            packages=dict(sorted(self.packages.items())),
            packages_scope=scope,
        )

    def _hardware(self) -> Hardware | None:
        facts = self.facts
        if not facts.system:
            return None
        known = re.search(r"x86_64|aarch64|arm64|ppc64le|AMD64", facts.system)
        return Hardware(
            architecture=known[0] if known else "unknown",
            system=facts.system,
            cpu=facts.cpu or None,
            cores=facts.cores or None,
            memory=facts.memory or None,
            gpus=tuple(facts.gpus),
        )


def _nanoseconds(text: str | None) -> int | None:
    """A time in seconds as JSON text, to the nearest nanosecond."""
    value = records.scalar(text) if text is not None else None
    if value is None or not 0 < value < 9.2e9:
        return None
    whole = int(value)
    return whole * 1_000_000_000 + round((value - whole) * 1e9)


IMPORTER: Importer = Wandb()
