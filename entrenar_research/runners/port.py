"""What a runner is. To add one, write `runners/<name>.py` that ends in `RUNNER: Runner = ...`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from entrenar_research.models.experiment import TraceLevel
from entrenar_research.models.hermetic import HermeticJob
from entrenar_research.models.proof import Hermetic
from entrenar_research.models.run import Usage


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """What a runner needs that lets a command see only what is declared: `job`, as the experiment `name` declares it.

    `result` is the directory for the outputs, `log` the file for the trace at `level`, `run` the directory of the run
    `run_id`, for what the command logs, `parent` its span (W3C Trace Context). `state` is a place of the tool's own in
    the study, `scratch` one that goes when the run has ended.
    """

    name: str
    job: HermeticJob
    result: Path
    log: Path
    level: TraceLevel
    run_id: str
    run: Path
    parent: str | None
    state: Path
    scratch: Path


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One command to execute: `stdout` and `stderr` are files; with `echo` both also reach the caller's.

    `halt` is asked now and then while the command runs: once it says why, the command is stopped, first gently. A
    runner that hands jobs to a queue asks it while it waits for the job to end, and then takes the job back.

    `writable` are the directories that the command is to write to, `sealed` is there for runners that ask for it
    (`Runner.seals`).
    """

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    stdout: Path
    stderr: Path
    echo: bool = False
    halt: Callable[[], str | None] | None = None
    writable: tuple[Path, ...] = ()
    sealed: Sealed | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended: its exit status, or the name of the signal that killed it (then status is 128 + n).

    `interrupted` says that the person, not the machine, stopped it. `processes` are the ids of those of its processes
    that were seen: what the kernel says about them is about this job. `halted` is what the job's `halt` said.
    `hermetic` is what it was built from, where the runner knows all of that.
    """

    exit_status: int
    signal: str | None
    usage: Usage
    seconds: float
    interrupted: bool = False
    processes: frozenset[int] = frozenset()
    halted: str | None = None
    hermetic: Hermetic | None = None


class Runner(Protocol):
    """Executes jobs in one kind of world.

    A runner that `seals` builds its world from what is declared alone: it has programs, variables and a tracer of its
    own, and needs `Job.sealed`.
    """

    name: str
    seals: bool

    def unavailable(self, environment: Mapping[str, str]) -> str | None:
        """Why it cannot execute anything here, or None."""
        ...

    def execute(self, job: Job) -> Ended:
        """Runs the job to its end; a job that fails is a value, not an exception.

        Raises:
            UsageError: if the program cannot be started (absent, not executable), or what it is to be run in is not
                described.
            MissingToolError: if what the runner works with is not here.
        """
        ...
