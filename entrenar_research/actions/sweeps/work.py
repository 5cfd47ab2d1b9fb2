"""One worker of a sweep: takes trials and carries them out until there is nothing left to do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import msgspec

from entrenar_research.actions.running import run as run_action
from entrenar_research.actions.running.attempt import Means, Options
from entrenar_research.actions.sweeps import trial as sweep_trial
from entrenar_research.actions.sweeps.claims import Claims, limit_of
from entrenar_research.actions.sweeps.pruning import Watch
from entrenar_research.errors import (
    InterruptedRunError,
    MissingToolError,
    ResearchError,
    StorageError,
    UsageError,
)
from entrenar_research.models.sweep import Sweep, TrialRecord
from entrenar_research.store.run_files import RunFiles
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.store.sweeps.journal import Outcome

_POLL_SECONDS = 0.3
_GROWTH = 1.3
_LONGEST_POLL = 3.0
_LEFT = "the process that led the sweep ended"
_UNTOUCHED = "; the last good result is untouched"


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is to do: up to how many trials, for how many seconds new ones, from which number on it counts.

    `leader` is the process that started it: when that ends, the worker does.
    """

    trials: int | None = None
    seconds: float | None = None
    since: int | None = None
    leader: int | None = None


def work(study: StudyFiles, name: str, share: Share, means: Means, ended: Callable[[TrialRecord], None]) -> None:
    """Carries out trials of the sweep `name` until it is over; `ended` is told of each.

    Raises:
        UsageError: if there is no such sweep, or it is the sweep of a script.
        RunFailedError: if the first trials all fail.
        InterruptedRunError: if the person, or the end of the leader, stopped it.
    """
    sweep = runnable(study, SweepFiles(study).load(name), means)
    claims = Claims(study, sweep, means.now)
    claims.begin(means.runner.name)
    since = len(claims.journal.trials()) if share.since is None else share.since
    limit = limit_of(sweep, share.trials)
    seconds = share.seconds if share.seconds is not None else sweep.seconds
    deadline = None if seconds is None else time.monotonic() + seconds
    poll = _POLL_SECONDS
    with SweepFiles(study).at_work(name) as worker:
        try:
            while True:
                _refuse_orphan(share)
                more = deadline is None or time.monotonic() < deadline
                claim = claims.take(worker, limit=limit, since=since, more=more)
                if claim.trial is not None:
                    ended(_carry_out(study, claims, claim.trial, share, means))
                    poll = _POLL_SECONDS
                elif claim.over:
                    return
                else:  # others are at work: what they are killed in the middle of is ours
                    time.sleep(poll)
                    poll = min(poll * _GROWTH, _LONGEST_POLL)
        finally:
            claims.cancel(worker)


def runnable(study: StudyFiles, sweep: Sweep, means: Means) -> Sweep:
    """The sweep, if it has an experiment to run, and runner and tracer can do what it asks for.

    Raises:
        UsageError: if a script carries out its trials, the tracer that was named does not see enough, or trials are to
            be stopped by what they log in a sealed world.
        MissingToolError: if the tracer that was named, or the runner, does not work here.
    """
    if sweep.declaration.experiment is None:
        raise UsageError(
            f"{sweep.file} names no experiment: its trials are runs of a script that uses er.Sweep",
            hint="run that script again to go on with it, or name an experiment",
        )
    run_action.refuse_runner(Options(), means)
    if means.runner.seals and sweep.declaration.pruning is not None:
        raise UsageError(
            f"{sweep.file} asks for pruning, and what a trial logs does not leave the sandbox of the runner "
            f"{means.runner.name} before its end: no trial could be stopped early",
            hint="take `pruning` out, or use --runner host or bwrap",
        )
    experiment = study.experiment(sweep.declaration.experiment)
    run_action.ready(experiment.name, sweep_trial.level_of(sweep, experiment), Options(), means)
    return sweep


def _in_short(message: str) -> str:
    """Why a trial failed, on one line: how its command ended, and the last that it said."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    first = lines[0].removesuffix(_UNTOUCHED)
    return first if len(lines) < 2 else f"{first}: {lines[-1]}"


def _refuse_orphan(share: Share) -> None:
    if share.leader is not None and os.getppid() != share.leader:
        raise InterruptedRunError(_LEFT)


def _carry_out(study: StudyFiles, claims: Claims, trial: TrialRecord, share: Share, means: Means) -> TrialRecord:
    """Carries out one trial and writes down how it ended."""
    watch = Watch(claims.journal, trial, RunFiles(study.root).directory(trial.run))

    def halt() -> str | None:
        if share.leader is not None and os.getppid() != share.leader:
            return _LEFT
        try:
            return watch.look()
        except StorageError:  # it is said when the end of the trial cannot be written either
            return None

    began = time.monotonic()
    try:
        record = sweep_trial.carry_out(study, claims.sweep, trial, means, halt)
    except InterruptedRunError as error:
        seconds = round(time.monotonic() - began, 6)
        claims.conclude(trial, Outcome(status="cancelled", reason=error.message, seconds=seconds))
        if error.message != watch.reason:
            raise
    except (UsageError, MissingToolError, StorageError) as error:
        claims.conclude(trial, Outcome(status="cancelled", reason=error.message))
        raise
    except ResearchError as error:
        seconds = round(time.monotonic() - began, 6)
        claims.conclude(trial, Outcome(status="failed", reason=_in_short(error.message), seconds=seconds))
    else:
        claims.conclude(trial, claims.judged(trial, record))
    return claims.journal.trial(trial.number)
