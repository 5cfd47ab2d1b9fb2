"""Concluding a run: the result put in place, DVC's files and the record brought up to date, each step repeatable."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import msgspec

from entrenar_research.actions.running import diagnosis, sealing
from entrenar_research.core import metrics as metric_rules
from entrenar_research.core import recipe
from entrenar_research.errors import IntegrityError, InvalidFileError, RunFailedError, UsageError
from entrenar_research.models.experiment import Experiment
from entrenar_research.models.run import FileDigest, RunRecord
from entrenar_research.store import files, locks, run_files, staging
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.hashing import FileHash, Hasher
from entrenar_research.store.logged import log
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.store.yaml_text import Document
from entrenar_research.tools import dvc


class Outputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a command wrote: each top-level output, the whole, and every file (paths below `result/`)."""

    entries: tuple[FileDigest, ...]
    whole: FileDigest
    files: dict[str, FileHash]


def utc(moment: datetime.datetime) -> str:
    """A moment as ISO 8601 in UTC to the millisecond."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def collect(study: StudyFiles, experiment: Experiment, area: Staging, before: dict[str, tuple[int, int]]) -> None:
    """Moves outputs that the command writes at fixed places into the staging area.

    `before` has size and modification time of those that existed when the run began.

    Raises:
        RunFailedError: if one was not written by this run.
    """
    for item in experiment.declaration.outputs:
        if isinstance(item, str):
            continue
        source = files.contained(study.root, item.source, what="output")
        if not source.exists() or stamp(source) == before.get(item.source):
            raise RunFailedError(
                f"the command ended well but did not write {item.source} (declared in {experiment.file})",
                hint="correct `outputs` there, or the command",
            )
        target = area.result / item.path
        with files.refusals(f"cannot collect {item.source}"):
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)


def fixed_places(root: Path, experiment: Experiment) -> tuple[Path, ...]:
    """The directories of outputs that the command writes at fixed places of the study at `root`, made if need be."""
    sources = [item.source for item in experiment.declaration.outputs if not isinstance(item, str)]
    places = sorted({(root / path).parent for path in sources})
    for place in places:
        with files.refusals(f"cannot make a place for an output of {experiment.name}"):
            place.mkdir(parents=True, exist_ok=True)
    return tuple(places)


def stamp(path: Path) -> tuple[int, int]:
    """Size and modification time of a file, to see whether it was written again."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def inspect_outputs(experiment: Experiment, area: Staging) -> Outputs:
    """Describes what lies in the staging area.

    Raises:
        RunFailedError: if a declared output is missing there.
    """
    missing = [path for path in experiment.declaration.output_paths if not (area.result / path).exists()]
    if missing:
        raise RunFailedError(
            f"the command ended well but did not write: {', '.join(missing)} (declared in {experiment.file})",
            hint="outputs are written below ${result}; correct `outputs`, or the command",
        )
    hasher = Hasher(area.directory)
    whole, every = hasher.describe("result")
    entries = []
    for path in sorted(entry.name for entry in area.result.iterdir()):
        digest, _ = hasher.describe(f"result/{path}")
        entries.append(msgspec.structs.replace(digest, path=f"{experiment.directory}/{digest.path}"))
    return Outputs(
        entries=tuple(entries),
        whole=msgspec.structs.replace(whole, path=experiment.result),
        files={path.removeprefix("result/"): item for path, item in every.items()},
    )


def read_metrics(experiment: Experiment, result: Path) -> dict[str, float]:
    """The declared metrics, read from the outputs below `result`.

    Raises:
        InvalidFileError: naming file and key of a metric that is not there or no number.
    """
    documents: dict[str, Any] = {}
    found: dict[str, float] = {}
    for name, metric in experiment.declaration.metrics.items():
        shown = f"result/{metric.file}"
        if metric.file not in documents:
            if not (result / metric.file).is_file():
                raise InvalidFileError(f"{shown}: no such output; the metric `{name}` is read from it")
            documents[metric.file] = Document(files.read_text(result / metric.file, shown=shown), shown).value
        found[name] = metric_rules.pick(documents[metric.file], metric.key or name, shown)
    return found


def conclude(study: StudyFiles, experiment: Experiment, record: RunRecord, area: Staging, *, lock: bool) -> RunRecord:
    """Puts the staged result in place and seals the run. Called again after a crash it ends in the same state.

    Returns the final record, with what the command logged.

    With `lock`, DVC's cache and `dvc.lock` are brought up to date as well (not when DVC itself runs us). The result of
    a sweep's trial is kept with the sweep: the experiment's own result and `dvc.lock` stay as they are.

    Raises:
        IntegrityError: if the result is neither staged nor in place.
        StorageError: if the file system refuses; the next command tries again.
    """
    try:
        with locks.exclusive(study.state):
            if record.trial is not None:
                SweepFiles(study).keep(record.trial.sweep, record.trial.number, area.result)
            else:
                _put_in_place(study, experiment, record, area, lock=lock)
                if lock:
                    update_lock(study, experiment, record)
            record = sealing.seal_run(study, record)
    except BaseException:
        area.release()
        raise
    area.close()
    return record


def _put_in_place(study: StudyFiles, experiment: Experiment, record: RunRecord, area: Staging, *, lock: bool) -> None:
    place = study.root / experiment.result
    if place.is_dir() and Hasher(study.root).describe(experiment.result)[0].digest == record.result:
        return
    staged, entries = Hasher(area.directory).describe("result") if area.result.is_dir() else (None, {})
    if staged is None or staged.digest != record.result:
        raise IntegrityError(f"the result of run {record.id} is gone: it is neither staged nor in place")
    dvc_files = DvcFiles(study.root)
    if lock and dvc_files.ordinary_cache():
        dvc_files.store(area.result, {path.removeprefix("result/"): item for path, item in entries.items()})
    files.exchange(area.result, place)


def update_lock(study: StudyFiles, experiment: Experiment, record: RunRecord) -> None:
    """Makes `dvc.lock` say what the run used and made, and has its result in DVC's cache.

    It is the record that counts: a file that was edited while the command ran has changed for DVC too.

    Raises:
        StorageError: if the file system refuses, or DVC is at work for long.
        ToolError: if DVC has an unusual cache and `dvc commit` fails.
    """
    dvc_files = DvcFiles(study.root)
    if not dvc_files.present():
        return
    if not dvc_files.ordinary_cache():
        dvc.commit(study.root, experiment.name)
        return
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    whole, entries = hasher.describe(experiment.result)
    hasher.save()
    prefix = f"{experiment.result}/"
    dvc_files.store(study.root / experiment.result, {path.removeprefix(prefix): item for path, item in entries.items()})
    ran = msgspec.structs.replace(experiment.declaration, command=record.command, seed=record.seed)
    with locks.without_dvc(study.root), files.refusals("cannot bring dvc.lock up to date"):
        dvc_files.write_lock(
            msgspec.structs.replace(experiment, declaration=ran),
            dependencies={item.path: item for item in (*record.code, *record.inputs)}.values(),
            result=whole,
            params=recipe.declared_params(record),
        )


def recover(study: StudyFiles, now: datetime.datetime | None = None) -> tuple[str, ...]:
    """Finishes or drops what processes that died have left; in words, what was done.

    `now` is what is recorded as the time of it (the present). A run whose command lives on is left alone.

    Raises:
        StorageError: if the file system refuses; what is left is tried again next time.
    """
    areas = staging.abandoned(study.state)
    try:
        moment = utc(now or datetime.datetime.now(datetime.UTC))
        return tuple(words for area in areas for words in _recovered(study, area, moment))
    finally:
        for area in areas:
            area.release()


def _recovered(study: StudyFiles, area: Staging, now: str) -> tuple[str, ...]:
    runs = RunFiles(study.root)
    if log.is_written(runs.directory(area.run_id)):
        return (f"run {area.run_id}: the process that started it died, its command still runs; it is left alone",)
    record = area.promised()
    if record is not None and not runs.closed(area.run_id):
        had = f"run {area.run_id} had succeeded when its process died"
        try:
            conclude(study, study.experiment(record.experiment), record, area, lock=True)
            return (f"{had}: its result is now in place",)
        except InvalidFileError as error:
            return (f"{had}: its result is kept until this is mended: {error.message}",)
        except (IntegrityError, UsageError):
            pass
    try:
        lost = _mark_lost(study, area.run_id, now)
    except InvalidFileError as error:
        return (f"run {area.run_id} was cut off and cannot be closed: {error.message}",)
    area.close()
    return (f"run {area.run_id} was cut off: recorded as lost, the last good result is untouched",) if lost else ()


def _mark_lost(study: StudyFiles, run_id: str, now: str) -> bool:
    """Seals what a run has left; whether it now counts as lost."""
    runs = RunFiles(study.root)
    if not (runs.directory(run_id) / run_files.RECORD).is_file():
        files.remove_tree(runs.directory(run_id))
        return False
    if runs.closed(run_id):
        return False
    return sealing.seal_run(study, cut_off(study, runs.load(run_id), now)).status == "lost"


def cut_off(study: StudyFiles, record: RunRecord, now: str) -> RunRecord:
    """The record of a run whose process died before it could say how the run ended; `now` is when that was found."""
    if record.status not in ("running", "completed"):
        return record
    return msgspec.structs.replace(
        record,
        status="lost",
        failure="its process died before the end of the run was recorded",
        failure_context=diagnosis.lost(study.root, record),
        recovered=now,
    )
