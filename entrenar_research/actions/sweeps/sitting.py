"""A sitting of a sweep: so many workers, led by this process, until the sweep is over.

The workers are processes of their own; all they share with this one is the journal. Any number of sittings, on any
number of hosts, can be held over one sweep at the same time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator

import msgspec

from entrenar_research.actions.running.attempt import Means
from entrenar_research.actions.sweeps.claims import Claims, limit_of, refuse_failures
from entrenar_research.actions.sweeps.work import runnable
from entrenar_research.core.sweeps.standing import Standing, best
from entrenar_research.errors import InterruptedRunError, ResearchError, RunFailedError, UsageError
from entrenar_research.models.sweep import Sweep, TrialRecord
from entrenar_research.store.study_files import StudyFiles
from entrenar_research.store.sweeps.declared import SweepFiles
from entrenar_research.tools import crew

MOST_WORKERS = 256
_POLL_SECONDS = 0.25
_GRACE_SECONDS = 8.0
_FRUITLESS = 3


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """How to hold a sitting: `trials` in place of the budget's; `retry_failed` also tries again what has failed."""

    workers: int = 1
    resume: bool = False
    retry_failed: bool = False
    trials: int | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep and how it stands: `limit` is how many trials it is to have, `workers` are those at work."""

    sweep: Sweep
    standing: Standing
    limit: int | None
    workers: int

    @property
    def best(self) -> TrialRecord | None:
        """The best trial."""
        return best(self.sweep, self.standing.trials)

    @property
    def over(self) -> bool:
        """Whether there is nothing left to be done."""
        return self.standing.done(self.limit)


Watcher = Callable[[Overview], None]


def hold(study: StudyFiles, name: str, request: Request, means: Means, watcher: Watcher) -> Overview:
    """Holds a sitting; `watcher` is told how the sweep stands, a few times a second.

    Raises:
        UsageError: if there is no such sweep, or it has begun and nobody said to go on.
        RunFailedError: if the first three trials fail, or none at all completes.
        InterruptedRunError: if the person stopped it; what ran is recorded as cancelled.
    """
    if not 1 <= request.workers <= MOST_WORKERS:
        raise UsageError(f"--workers {request.workers}: expected a number from 1 to {MOST_WORKERS}")
    if request.trials is not None and request.trials < 1:
        raise UsageError(f"--trials {request.trials}: expected 1 or more")
    sitting = _Sitting(study, name, request, means, watcher)
    if sitting.overview().over and not request.retry_failed:
        return sitting.overview()
    sitting.refuse_unsaid()
    return sitting.hold()


class _Sitting:
    """The workers of this process and what became of them."""

    def __init__(self, study: StudyFiles, name: str, request: Request, means: Means, watcher: Watcher) -> None:
        self._study, self._request, self._means, self._watcher = study, request, means, watcher
        self._places = SweepFiles(study)
        self.sweep = runnable(study, self._places.load(name), means)
        self._claims = Claims(study, self.sweep, means.now)
        self._claims.begin(means.runner.name)
        self._limit = limit_of(self.sweep, request.trials)
        self._members: list[crew.Member] = []
        self._began = time.monotonic()
        self._since = len(self._claims.journal.trials())

    def overview(self) -> Overview:
        """How the sweep stands now."""
        workers = len(self._places.workers(self.sweep.name))
        return Overview(sweep=self.sweep, standing=self._claims.standing(), limit=self._limit, workers=workers)

    @property
    def _on(self) -> str:
        """The command that goes on with it, by the same runner."""
        runner = self._means.runner.name
        by = "" if runner == "host" else f" --runner {runner}"
        return f"entrenar-research sweep run {self.sweep.name} --resume{by}"

    def refuse_unsaid(self) -> None:
        """Refuses to go on with a sweep that nobody works on, unless it was said, or is plain from a larger budget."""
        now = self.overview()
        begun = now.standing.begun
        said = self._request.resume or self._request.retry_failed
        if not begun or said or now.workers or self._claims.journal.complete == begun:
            return
        of = "" if self._limit is None else f" of {self._limit}"
        raise UsageError(
            f"{self.sweep.name} was begun before: {len(now.standing.concluded)}{of} trials are done",
            hint=f"go on with `{self._on}`, or delete {self.sweep.directory}/journal.log to begin anew",
        )

    def hold(self) -> Overview:
        """Starts the workers and waits for their end."""
        if self._request.retry_failed:
            with self._places.alone(self.sweep.name):
                self._claims.journal.retry_failed()
        with self._ended_with_us():
            for _ in range(self._request.workers):
                self._start()
            fruitless, known = 0, self._since
            while self._members:
                killed = self._reap()
                now = self.overview()
                self._watcher(now)
                if killed:
                    fruitless = 0 if len(now.standing.trials) > known else fruitless + 1
                    known = len(now.standing.trials)
                    if fruitless > _FRUITLESS:
                        raise ResearchError(f"the workers of {self.sweep.name} are killed as soon as they are started")
                    for _ in range(killed):
                        self._start()
                time.sleep(_POLL_SECONDS)
        now = self.overview()
        self._watcher(now)
        if not any(trial.status in ("completed", "pruned") for trial in now.standing.trials):
            self._refuse_barren(now)
        return now

    def _refuse_barren(self, now: Overview) -> None:
        failed = [trial for trial in now.standing.concluded if trial.status == "failed"]
        if failed:
            raise RunFailedError(
                f"no trial of {self.sweep.name} went well. Trial {failed[-1].number}: {failed[-1].reason}",
                hint=f"see runs/{failed[-1].run}/",
            )

    def _start(self) -> None:
        words = ["sweep", "work", self.sweep.name, "--leader", str(os.getpid()), "--since", str(self._since)]
        words += ["--runner", self._means.runner.name]
        if self._request.trials is not None:
            words += ["--trials", str(self._request.trials)]
        if (tracer := self._means.tracers.named) is not None:
            words += ["--tracer", tracer.name]
        if self.sweep.seconds is not None:
            left = max(0.0, self.sweep.seconds - (time.monotonic() - self._began))
            words += ["--seconds", f"{left:.3f}"]
        self._members.append(crew.Member(words, self._study.root))

    def _reap(self) -> int:
        """Looks who has ended; how many were killed.

        Raises:
            ResearchError: what a worker says that it failed of.
        """
        killed = 0
        for member in list(self._members):
            status = member.status
            if status is None:
                continue
            said = member.said()
            member.release()
            self._members.remove(member)
            if status < 0:
                killed += 1
            elif status != 0:
                refuse_failures(self.sweep, self._claims.standing(), self._since)
                raise _relayed(self.sweep.name, said, status)
        return killed

    @contextlib.contextmanager
    def _ended_with_us(self) -> Iterator[None]:
        """Stops the workers when the block is left early, gently at first."""
        try:
            yield
        except KeyboardInterrupt:
            self._stop()
            done = len(self._claims.standing().concluded)
            of = "" if self._limit is None else f" of {self._limit}"
            raise InterruptedRunError(
                f"{self.sweep.name} was interrupted: {done}{of} trials are done, what ran is recorded as cancelled",
                hint=f"go on with `{self._on}`",
            ) from None
        except BaseException:
            self._stop()
            raise
        finally:
            for member in self._members:
                member.kill()
                member.release()

    def _stop(self) -> None:
        """Asks all workers to stop, and again for every further interrupt; at last by force (in the end)."""
        for _ in range(3):
            for member in self._members:
                member.stop()
            try:
                if crew.wait(self._members, _GRACE_SECONDS):
                    return
            except KeyboardInterrupt:
                continue


def _relayed(name: str, said: str, status: int) -> ResearchError:
    """What a worker complained of, as our own complaint."""
    message, _, hint = said.partition("\nhint: ")
    words = message.removeprefix("error: ") or f"a worker of {name} ended with exit status {status}"
    return ResearchError(words, hint=hint or None, exit_code=status)
