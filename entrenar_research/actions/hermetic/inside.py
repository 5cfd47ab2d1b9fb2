"""What a run in a sealed world is made with: the toolchain of the lock instead of what is installed here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path

import msgspec

from entrenar_research.actions.hermetic import jobs
from entrenar_research.actions.running import recipes
from entrenar_research.actions.running.recipes import Ingredients
from entrenar_research.core import pins
from entrenar_research.core.tracking import handover
from entrenar_research.errors import UsageError
from entrenar_research.models.closure import Blob, Closure
from entrenar_research.models.experiment import Experiment, TraceLevel
from entrenar_research.models.run import Environment, RunRecord, TraceSummary
from entrenar_research.runners.port import Sealed
from entrenar_research.store import closure_file
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.tracers.port import Tracer


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where a replay puts things: the result, the trace's log at `level`, the run's directory, and the rest."""

    result: Path
    log: Path
    run: Path
    scratch: Path
    level: TraceLevel


TRACER = "strace"
"""The tracer of the toolchain: its logs are read as those of this machine's strace are."""


def environment(root: Path, program: str) -> Environment:
    """What a command finds in the sealed world.

    Raises:
        UsageError: if the study has no lock, or the lock no such program that is no file of the study.
        InvalidFileError: if the lock is malformed.
    """
    lock = closure_file.read(root)
    name = Path(program).name
    python = name.startswith("python")
    return Environment(
        program=name,
        python=_python(lock) if python else None,
        packages={wheel.name: wheel.version for wheel in lock.wheels} if python else {},
        packages_scope="installed" if python else "none",
        variables=pins.recorded(lock.pins),
    )


def trace(root: Path, level: TraceLevel) -> TraceSummary:
    """What is to be said of the trace of such a run.

    Raises:
        UsageError: if the study has no lock.
    """
    if level == "none":
        return TraceSummary(level=level, status="none")
    found = next((blob for blob in closure_file.read(root).debs if blob.name == TRACER), None)
    if found is None:
        return TraceSummary(level=level, status="unavailable", reason="the toolchain of the lock has no strace")
    return TraceSummary(level=level, status="recorded", tracer=f"{TRACER} {_whole(found)}")


def tracer_version(root: Path) -> str | None:
    """The version of the tracer in the lock; None if it has none.

    Raises:
        UsageError: if the study has no lock.
    """
    found = next((blob for blob in closure_file.read(root).debs if blob.name == TRACER), None)
    return _whole(found) if found is not None else None


def sealed(
    study: StudyFiles,
    experiment: Experiment,
    ingredients: Ingredients,
    record: RunRecord,
    area: Staging,
    run: Path,
) -> Sealed:
    """What the runner is to build, as the experiment is declared now; the study's file for Nix is brought up to date.

    A trial of a sweep has parameters of its own, and says nothing of the experiment.

    Raises:
        UsageError: if the command's placeholders are unknown.
    """
    made = jobs.job(study, experiment, ingredients, jobs.tracked_files(study))
    if record.trial is None:
        jobs.write(study, experiment.name, made)
    level = record.trace.level if record.trace.status != "unavailable" else "none"
    told = handover.variables(
        study="/",
        run=run.relative_to(study.root).as_posix(),
        result=experiment.result,
        trace_id=record.trace_id or "",
    )
    return Sealed(
        name=experiment.name,
        job=made,
        result=area.result,
        log=area.trace_log,
        level=level,
        run_id=record.id,
        run=run,
        parent=told[handover.TRACE],
        state=study.state,
        scratch=area.directory,
    )


def again(
    study: StudyFiles,
    scratch: StudyFiles,
    experiment: Experiment,
    record: RunRecord,
    command: Sequence[str],
    places: Places,
) -> Sealed:
    """What the runner is to build of a recorded run in a scratch copy of the study: `command` as it was recorded.

    The study says what Git tracks, which is what Nix takes from files, and not by digest. It is built, even if the very
    same was built before: its span is a new one.

    Raises:
        UsageError: if an input is missing.
    """
    ingredients = recipes.gather(scratch, experiment, Hasher(scratch.root, cache=None))
    tracked = jobs.tracked_files(study) if (study.root / ".git").exists() else frozenset[str]()
    made = jobs.job(scratch, experiment, ingredients, tracked)
    run = places.run.relative_to(scratch.root).as_posix()
    told = handover.variables(study="/", run=run, result=experiment.result, trace_id=secrets.token_hex(16))
    return Sealed(
        name=experiment.name,
        job=msgspec.structs.replace(made, command=tuple(command)),
        result=places.result,
        log=places.log,
        level=places.level,
        run_id=record.id,
        run=places.run,
        parent=told[handover.TRACE],
        state=scratch.state,
        scratch=places.scratch,
    )


def refuse(*, source: bool, tracer: Tracer | None) -> None:
    """Refuses what only a command can have that programs of this machine surround.

    Raises:
        UsageError: if it is asked for.
    """
    if source:
        raise UsageError("--source is not possible in a sealed world", hint="leave it out, or use --runner host")
    if tracer is not None and tracer.name != TRACER:
        raise UsageError(
            f"--tracer {tracer.name} is not possible in a sealed world: it has the strace of its toolchain",
            hint="leave it out, or use --runner host",
        )


def _python(lock: Closure) -> str:
    """The version of Python, such as `3.11.2`."""
    found = next((blob for blob in lock.debs if blob.name == f"python{lock.python}-minimal"), None)
    return _whole(found) if found else lock.python


def _whole(package: Blob) -> str:
    """The version of a Debian package without what Debian adds to it."""
    return package.version.partition("-")[0]
