"""Importing: foreign runs become run directories of the study, each whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.actions import model_bypass
from entrenar_research.actions.running import sealing
from entrenar_research.actions.running.conclusion import utc
from entrenar_research.client import layout
from entrenar_research.core.foreign import import_naming
from entrenar_research.errors import ResearchError, StorageError, UsageError
from entrenar_research.importers.port import Curve, ForeignFile, ForeignRun, Importer, Omission, Source, Survey
from entrenar_research.models.run import RunRecord
from entrenar_research.store import files, hashing
from entrenar_research.store.foreign import import_files
from entrenar_research.store.logged import bulk_log
from entrenar_research.store.meter import Meter, Progress
from entrenar_research.store.run_files import RunFiles, new_id
from entrenar_research.store.study_files import StudyFiles, check_name

RUNNER = "import"
LOG = f"import{layout.SUFFIX}"
_ARTIFACTS = "artifacts"
_NANOSECONDS = 1_000_000_000
_LAST_NANOSECOND = (1 << 63) - 1
_NAMED = 100  # more damage than this is counted
_DEPTH = 50
_LAST_SECOND = 253_402_300_799  # 9999-12-31
_NONSENSE = (ValueError, TypeError, OverflowError, RecursionError, MemoryError)
"""What files that say anything at all may lead to; it is a problem of one run alone."""
_PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".cloudpickle", ".pt", ".pth", ".ckpt"})


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be imported: the directory, the experiment all runs go to (None: as theirs is called)."""

    place: Path
    experiment: str | None = None
    dry_run: bool = False
    artifacts: bool = True


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """One run that was imported (`run` is its id here), or would be (None)."""

    origin: str
    label: str
    run: str | None
    experiment: str
    status: str
    series: int
    points: int
    artifacts: int
    omissions: tuple[Omission, ...] = ()
    damaged: tuple[str, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What became of everything that was found.

    `known` were imported before (origin and id here), `changed` too, but have gone on since. `problems` could not be
    imported at all.
    """

    importer: str
    dry_run: bool
    imported: tuple[Imported, ...] = ()
    known: dict[str, str] = {}
    changed: dict[str, str] = {}
    passed_over: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything that was found is in the study now, undamaged."""
        return not self.problems and not self.changed and not any(run.damaged for run in self.imported)


def bring_in(
    study: StudyFiles, importer: Importer, request: Request, *, tool: str, others: Sequence[Importer] = (),
    progress: Progress | None = None,
) -> Report:  # fmt: skip
    """Imports every run that is not in the study yet. `others` are asked if `importer` finds nothing.

    Raises:
        UsageError: if there is nothing to import in the directory, or the experiment cannot be called so.
        StorageError: if the study cannot be written to; what was imported before stays.
    """
    if request.experiment is not None:
        check_name(request.experiment, "experiment")
    survey = _surveyed(importer, request.place)
    if not (survey.sources or survey.problems or survey.passed_over):
        raise _nothing(importer, request.place, others)
    if not survey.sources and request.place.is_file():
        raise UsageError(f"{request.place}: no runs of {importer.name}: {survey.problems[0]}")
    with contextlib.nullcontext() if request.dry_run or not survey.sources else import_files.area(study) as area:
        work = _Work(study, importer, request, tool, area)
        meter = Meter(progress, sum(source.size for source in survey.sources))
        for source in survey.sources:
            work.take(source, meter)
        meter.finish()
    return Report(
        importer=importer.name,
        dry_run=request.dry_run,
        imported=tuple(work.imported),
        known=work.known,
        changed=work.changed,
        passed_over=tuple(_text(words) for words in survey.passed_over),
        problems=tuple(_text(words) for words in (*survey.problems, *work.problems)),
    )


def _surveyed(importer: Importer, place: Path) -> Survey:
    if not place.exists():
        raise UsageError(f"{place}: no such directory")
    try:
        return importer.survey(place)
    except OSError as error:
        raise UsageError(f"{place}: cannot be read: {error.strerror}") from error


def _nothing(importer: Importer, place: Path, others: Sequence[Importer]) -> UsageError:
    fitting = []
    for other in others:
        with contextlib.suppress(OSError, ResearchError):
            if other.survey(place).sources:
                fitting.append(other.name)
    hint = f"it holds runs of {fitting[0]}: `entrenar-research import {fitting[0]} {place}`" if fitting else None
    if place.is_file():
        found = "a file that is none"
    else:
        names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in place.iterdir())
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        found = ", ".join(names[:5]) + more if names else "an empty directory"
    return UsageError(f"{place}: no runs of {importer.name}: looked for {importer.looks_for}; found {found}", hint=hint)


class _Work:
    """Takes one run after the other."""

    def __init__(self, study: StudyFiles, importer: Importer, request: Request, tool: str, area: Path | None) -> None:
        self.imported: list[Imported] = []
        self.known: dict[str, str] = {}
        self.changed: dict[str, str] = {}
        self.problems: list[str] = []
        self._study, self._importer, self._request, self._tool, self._area = study, importer, request, tool, area
        self._here = import_files.known(study)

    def take(self, source: Source, meter: Meter) -> None:
        """Imports a run unless it is known; what is wrong with it is a problem, of it alone."""
        run_id = self._here.get(source.origin)
        if run_id is not None:
            then = import_files.state(RunFiles(self._study.root).directory(run_id))
            same = then is None or then == source.state
            (self.known if same else self.changed)[source.origin] = run_id
            meter.advance(source.size)
            return
        try:
            run = self._importer.read(source, meter.advance)
        except (OSError, ResearchError, *_NONSENSE) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            self.problems.append(_text(f"{source.label}: {reason}"))
            return
        self.imported.append(self._keep(source, run))

    def _keep(self, source: Source, run: ForeignRun) -> Imported:
        theirs = run.experiment or self._request.place.resolve().name
        experiment = self._request.experiment or import_naming.experiment_name(theirs, self._importer.name)
        curves, counted = _with_steps(run.curves)
        omissions = [*run.omissions, *_about(run.curves, counted, curves)]
        damaged = [_text(words) for words in run.damaged[:_NAMED]]
        if len(run.damaged) > _NAMED:
            damaged.append(f"and {len(run.damaged) - _NAMED} more places")
        started = _started(run)
        if self._area is None:
            _, refused = _sorted(run.files, artifacts=self._request.artifacts, damaged=damaged)
            run_id, kept = None, len(run.files) - sum(item.count for item in refused)
        else:
            build = _Build(self._area, new_id(experiment, _moment(started)))
            refused = build.artifacts(run.files, damaged, wanted=self._request.artifacts)
            build.log(started, curves)
            report = {
                "importer": self._importer.name, "origin": run.origin, "state": source.state, "damaged": damaged,
                "omissions": [msgspec.to_builtins(item) for item in [*omissions, *refused]], "steps": counted,
            }  # fmt: skip
            import_files.write_report(build.directory, report)
            record = _record(run, build.run_id, experiment, started, self._tool, damaged)
            run_id, kept = build.finish(record, self._study), len(build.kept)
            self._here[run.origin] = run_id
        return Imported(
            origin=run.origin, label=_text(source.label), run=run_id, experiment=experiment, status=run.status,
            series=len(curves), points=sum(map(len, curves.values())), artifacts=kept,
            omissions=(*omissions, *refused), damaged=tuple(damaged),
        )  # fmt: skip


class _Build:
    """One run directory, made and sealed where nobody looks, then put in place in one step."""

    def __init__(self, area: Path, run_id: str) -> None:
        self.run_id = run_id
        self.kept: list[dict[str, Any]] = []
        self._study = StudyFiles(area / "study")
        self.directory = RunFiles(self._study.root).directory(run_id)
        with files.refusals("cannot make a place to import in"):
            self.directory.mkdir(parents=True)

    def artifacts(self, found: Sequence[ForeignFile], damaged: list[str], *, wanted: bool) -> list[Omission]:
        """Copies what may be copied; says what was not."""
        taken, refused = _sorted(found, artifacts=wanted, damaged=damaged)
        for item in taken:
            path = f"{_ARTIFACTS}/{item.name}"
            try:
                import_files.copy(item.place, self.directory / path)
            except OSError as error:
                damaged.append(f"{path}: {error.strerror}")
                continue
            hashed = hashing.hash_file(self.directory / path, md5=False)
            kind = "model" if item.name.endswith(".safetensors") else "file"
            digest = f"sha256:{hashed.sha256}"
            self.kept.append(
                {"kind": "artifact", "path": path, "digest": digest, "size": hashed.size, "artifact_kind": kind}
            )
        return refused

    def log(self, started: int, curves: dict[str, Curve]) -> None:
        """Writes all points and what is to be noted."""
        if curves or self.kept:
            bulk_log.write(self.directory / layout.DIRECTORY / LOG, started, curves, self.kept)

    def finish(self, record: RunRecord, study: StudyFiles) -> str:
        """Seals the directory and puts it into the study; the id it has there."""
        RunFiles(self._study.root).write(record)
        sealing.seal_run(self._study, record)
        target = RunFiles(study.root).directory(self.run_id)
        if not import_files.put_in_place(self.directory, target):
            raise StorageError(f"runs/{self.run_id} is there already: run the same command again")
        return self.run_id


def _sorted(
    found: Sequence[ForeignFile], *, artifacts: bool, damaged: list[str]
) -> tuple[list[ForeignFile], list[Omission]]:
    """The files that are to be copied, and why the others are not."""
    if not artifacts:
        return [], [Omission("unmapped", "artifact", "--no-artifacts", len(found))] if found else []
    taken, refused = [], []
    for item in found:
        try:
            inspected = model_bypass.inspect(item.place)
        except ResearchError as error:
            damaged.append(f"{_ARTIFACTS}/{item.name}: {error.message}")
            continue
        if not inspected.safe and (inspected.kind == "pickle" or item.place.suffix.lower() in _PICKLES):
            refused.append(Omission("unmapped", f"artifact {item.name}", "a format that can run code: not copied"))
        else:
            taken.append(item)
    return taken, refused


def _with_steps(curves: dict[str, Curve]) -> tuple[dict[str, Curve], dict[str, list[int | str]]]:
    """The curves as a run can hold them, and the steps that counted series had.

    A series with a step that is negative or no whole number is counted: its steps become 0, 1, 2, ... in the order
    in which they were written.
    """
    fit: dict[str, Curve] = {}
    had: dict[str, list[int | str]] = {}
    for name in sorted(name for name, curve in curves.items() if len(curve)):
        curve = curves[name]
        if curve.odd or min(curve.steps) < 0:
            had[name] = [curve.odd.get(index, step) for index, step in enumerate(curve.steps)]
            curve = _changed(curve, steps=array("q", range(len(curve))))
        if min(curve.times) < 0:
            curve = _changed(curve, times=array("q", (max(time, 0) for time in curve.times)))
        fit[name] = curve
    return fit, had


def _changed(curve: Curve, *, steps: array[int] | None = None, times: array[int] | None = None) -> Curve:
    changed = Curve()
    changed.extend(curve.steps if steps is None else steps, curve.values, curve.times if times is None else times)
    return changed


def _about(given: dict[str, Curve], had: dict[str, list[int | str]], fit: dict[str, Curve]) -> Iterator[Omission]:
    for name in had:
        why = "it has a step that is negative or no whole number: steps are counted, import.json has those it had"
        yield Omission("kept otherwise", f"steps of {name}", why, len(fit[name]))
    early = sum(sum(time < 0 for time in curve.times) for curve in given.values() if min(curve.times, default=0) < 0)
    if early:
        yield Omission("kept otherwise", "time that is not between 1970 and 2262", "the point has the time 0", early)


def _started(run: ForeignRun) -> int:
    """When a run began, ns since 1970: as its tracker has it, else its first point; 0 if nothing says so."""
    times = [curve.times[0] for curve in run.curves.values() if len(curve)]
    found = run.started if run.started is not None else min((time for time in times if time > 0), default=0)
    return min(max(found, 0), _LAST_NANOSECOND)


def _moment(nanoseconds: int) -> datetime.datetime:
    second, rest = divmod(nanoseconds, _NANOSECONDS)
    base = datetime.datetime.fromtimestamp(min(second, _LAST_SECOND), datetime.UTC)
    return base + datetime.timedelta(microseconds=rest // 1000)


def _record(
    run: ForeignRun, run_id: str, experiment: str, started: int, tool: str, damaged: Sequence[str]
) -> RunRecord:
    ended = None if run.ended is None or run.ended < started else run.ended
    tags = [f"experiment={run.experiment}"] if run.experiment and run.experiment != experiment else []
    tags += [f"parent={run.parent}"] if run.parent else []
    warnings = [*run.warnings, *(f"import: {words}" for words in damaged)]
    return RunRecord(
        id=run_id,
        experiment=experiment,
        status=run.status,
        tool=tool,
        runner=RUNNER,
        started=utc(_moment(started)),
        ended=utc(_moment(ended)) if ended is not None else None,
        duration=(ended - started) / _NANOSECONDS if ended is not None else None,
        exit_status=run.exit_status,
        command=run.command,
        params=_plain(run.params, _DEPTH),
        metrics={_text(name): value for name, value in run.metrics.items()},
        git=run.git,
        environment=run.environment,
        hardware=run.hardware,
        tags=tuple(_text(tag) for tag in (*run.tags, *tags)),
        warnings=tuple(warnings),
        imported=run.origin,
    )


def _text(words: str) -> str:
    """Text that UTF-8 can hold: half a surrogate pair and bytes of a file name that are none become escapes."""
    return words.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any, depth: int) -> Any:
    """A parameter as a record can hold it. What is nested too deeply for that is kept as JSON text."""
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return _text(json.dumps(value, default=str))
    if isinstance(value, list):
        return [_plain(item, depth - 1) for item in value]
    return {_text(str(key)): _plain(item, depth - 1) for key, item in value.items()}
