"""Running an experiment, unless its last good run used the same recipe and its result is still there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from entrenar_research.actions.hermetic import inside
from entrenar_research.actions.running import conclusion, recipes, surroundings
from entrenar_research.actions.running.attempt import Attempt, Means, Options
from entrenar_research.core import pins, recipe
from entrenar_research.errors import MissingToolError, UsageError
from entrenar_research.models.experiment import Experiment, TraceLevel
from entrenar_research.models.run import RunRecord, TraceSummary
from entrenar_research.store import locks, params_file, run_files
from entrenar_research.store.dvc_files import DvcFiles
from entrenar_research.store.hashing import Hasher
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.staging import Staging
from entrenar_research.store.study_files import StudyFiles


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What a run came to. `reasons` is empty if nothing had to be done; `previous` is the last good run."""

    record: RunRecord
    previous: RunRecord | None
    reasons: tuple[str, ...]
    set: dict[str, tuple[Any, Any]]
    drift: tuple[str, ...]
    recovered: tuple[str, ...]
    fixed: tuple[str, ...] = ()


def run(study: StudyFiles, name: str, options: Options, means: Means) -> Ran:
    """Runs the experiment `name`, unless its last good run used the same recipe and its result is still there.

    Raises:
        UsageError: if the experiment, a parameter, an input or the program is not there, or the tracer that was named
            cannot do it; nothing was run.
        MissingToolError: if the tracer that was named does not work here; nothing was run.
        RunFailedError: if the command failed; the run is recorded and the last good result untouched.
        InterruptedRunError: if the person stopped it; recorded as cancelled.
    """
    refuse_runner(options, means)
    ready(name, options.trace or study.experiment(name).declaration.trace, options, means)
    waiting = "another run of it is under way, this one waits for its end"
    with locks.turn(study.state, name, lambda: means.announce(waiting)):
        return _in_turn(study, name, options, means)


def _in_turn(study: StudyFiles, name: str, options: Options, means: Means) -> Ran:
    experiment = study.experiment(name)
    if not options.under_dvc:
        DvcFiles(study.root).locked()  # what cannot be read now could not be brought up to date after the run
    recovered = conclusion.recover(study)
    changes = _assign(study, experiment, options.assignments)
    hasher = Hasher(study.root, cache=study.state / "stat-cache.json")
    ingredients = recipes.gather(study, experiment, hasher)
    previous = RunFiles(study.root).latest(name)
    level = options.trace or experiment.declaration.trace
    drafted, argv = draft(study, experiment, ingredients, previous, level, means)
    drift = DvcFiles(study.root).drift(experiment) if DvcFiles(study.root).present() else ()
    reasons = _reasons(study, experiment, previous, drafted, hasher, options)
    hasher.save()
    ran = Ran(record=drafted, previous=previous, reasons=reasons, set=changes, drift=drift, recovered=recovered)
    if not reasons and previous is not None:
        _refresh_lock(study, experiment, previous, options)
        return msgspec.structs.replace(ran, record=previous)
    for reason in reasons:
        means.announce(reason)
    attempt = Attempt(study, experiment, options, means, ingredients)
    record = attempt.carry_out(msgspec.structs.replace(drafted, reasons=reasons), argv)
    return msgspec.structs.replace(ran, record=record, fixed=attempt.fixed)


def refuse_runner(options: Options, means: Means) -> None:
    """Refuses a runner that does not work here, or cannot do what is asked for besides.

    Raises:
        MissingToolError: if what it works with is not here.
        UsageError: if something is asked for that a sealed world cannot have.
    """
    reason = means.runner.unavailable(means.environment)
    if reason is not None:
        raise MissingToolError(f"--runner {means.runner.name}: {reason}", hint="`entrenar-research doctor` tells more")
    if means.runner.seals:
        inside.refuse(source=options.source, tracer=means.tracers.named)


def ready(name: str, level: TraceLevel, options: Options, means: Means) -> None:
    """Refuses a tracer that the person named, but that cannot give what is wanted of it; and to go by no trace.

    Raises:
        UsageError: if nothing is to be traced, or the tracer does not see enough.
        MissingToolError: if it does not work here, or none does and a trace is needed.
    """
    tracers = means.tracers
    if level == "none":
        hint = "give --trace observe or full"
        if tracers.named is not None:
            raise UsageError(f"--tracer {tracers.named.name}: {name} is not traced", hint=hint)
        if options.strict or options.fix:
            asked = "--strict" if options.strict else "--fix"
            raise UsageError(f"{asked} goes by what is observed of the run, and {name} is not traced", hint=hint)
        return
    tracers.refuse("the trace of a run", "nothing")
    if options.strict or options.fix:
        tracers.refuse("what --strict and --fix go by", "some")
        if not means.runner.seals:
            tracers.able(level)
    elif tracers.named is not None:
        tracers.find(level)


def _assign(study: StudyFiles, experiment: Experiment, assignments: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    if not assignments:
        return {}
    file = experiment.declaration.params
    if file is None:
        raise UsageError(
            f"{experiment.name} has no params file, so nothing can be set",
            hint=f"name one as `params` in {experiment.file}",
        )
    study.params(experiment)
    return params_file.assign(study.root / file, file, dict(assignments))


def draft(
    study: StudyFiles,
    experiment: Experiment,
    ingredients: recipes.Ingredients,
    previous: RunRecord | None,
    level: TraceLevel,
    means: Means,
    run_id: str | None = None,
) -> tuple[RunRecord, list[str]]:
    """The record as far as it is known before the run, and the words of the command (first: the program's path)."""
    declaration = experiment.declaration
    now = means.now()
    run_id = run_id or run_files.new_id(experiment.name, now)
    argv = recipe.expand(
        declaration.command,
        result=Staging(study.state, run_id).result.relative_to(study.root).as_posix(),
        params_file=declaration.params,
        seed=declaration.seed,
        params=recipe.dotted(ingredients.params),
    )
    variables = {**means.environment, **pins.pinned(declaration.plan.cpus)}
    known = previous.environment if previous else None
    wanted = known.packages if known is not None and known.packages_scope == "loaded" else None
    if means.runner.seals:
        path, environment = argv[0], inside.environment(study.root, argv[0])
    else:
        path, environment = surroundings.environment(argv[0], variables, directory=study.root, wanted=wanted)
    shown = tuple(word.replace(f".entrenar/staging/{run_id}/result", experiment.result) for word in argv)
    record = RunRecord(
        id=run_id,
        experiment=experiment.name,
        status="running",
        tool=means.tool,
        runner=means.runner.name,
        started=conclusion.utc(now),
        command=declaration.command,
        argv=shown,
        seed=declaration.seed,
        params=ingredients.params,
        code=ingredients.code,
        inputs=ingredients.inputs,
        environment=environment,
        trace=TraceSummary(level=level, status="none"),
    )
    return record, [path, *argv[1:]]


def _reasons(
    study: StudyFiles,
    experiment: Experiment,
    previous: RunRecord | None,
    draft: RunRecord,
    hasher: Hasher,
    options: Options,
) -> tuple[str, ...]:
    """Why the experiment has to run; empty if it has not."""
    if previous is None:
        return ("it has no completed run yet",)
    words = list(recipe.differences(previous, draft))
    if not (study.root / experiment.result).is_dir():
        words.append("its result is missing")
    elif hasher.describe(experiment.result)[0].digest != previous.result:
        words.append(f"its result is not that of run {previous.id}")
    words += recipe.undelivered(experiment, previous)
    seen = previous.observed
    if options.strict or options.fix:
        if seen is None:
            words.append(f"nothing was observed of run {previous.id}")
        elif seen.undeclared_reads or seen.network:
            words.append(f"run {previous.id} read what is not declared, or used the network")
    if not words and options.force:
        words.append("it was asked for (--force)")
    if not words and options.under_dvc:
        words.append("DVC asked for it")
    return tuple(words)


def _refresh_lock(study: StudyFiles, experiment: Experiment, record: RunRecord, options: Options) -> None:
    """Brings `dvc.lock` up to date where it lags behind an up-to-date result."""
    dvc_files = DvcFiles(study.root)
    if options.under_dvc or not dvc_files.present():
        return
    with locks.exclusive(study.state):
        locked = dvc_files.locked().get(experiment.name) or {}
        listed = {item.get("path"): item.get("md5") for key in ("deps", "outs") for item in locked.get(key) or []}
        wanted = {item.path: item.md5 for item in (*record.code, *record.inputs)}
        wanted[experiment.result] = record.result_md5 or ""
        params = (locked.get("params") or {}).get(experiment.declaration.params, {})
        if listed != wanted or params != recipe.declared_params(record):
            conclusion.update_lock(study, experiment, record)
