"""What a runner is. To add one, write `runners/<name>.py` that ends in `RUNNER: Runner = ...`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from entrenar_research.models.run import Usage


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One command to execute: `stdout` and `stderr` are files; with `echo` both also reach the caller's.

    `halt` is asked now and then while the command runs: once it says why, the command is stopped, first gently. A
    runner that hands jobs to a queue asks it while it waits for the job to end, and then takes the job back.
    """

    argv: Sequence[str]
    directory: Path
    environment: Mapping[str, str]
    stdout: Path
    stderr: Path
    echo: bool = False
    halt: Callable[[], str | None] | None = None


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a job ended: its exit status, or the name of the signal that killed it (then status is 128 + n).

    `interrupted` says that the person, not the machine, stopped it. `processes` are the ids of those of its processes
    that were seen: what the kernel says about them is about this job. `halted` is what the job's `halt` said.
    """

    exit_status: int
    signal: str | None
    usage: Usage
    seconds: float
    interrupted: bool = False
    processes: frozenset[int] = frozenset()
    halted: str | None = None


class Runner(Protocol):
    """Executes jobs in one kind of world."""

    name: str

    def execute(self, job: Job) -> Ended:
        """Runs the job to its end; a job that fails is a value, not an exception.

        Raises:
            UsageError: if the program cannot be started (absent, not executable).
        """
        ...
