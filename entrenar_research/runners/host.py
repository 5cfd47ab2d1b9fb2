"""The host runner: the machine as it is, not hermetic, with the pins that make numerics repeatable."""

from __future__ import annotations

from collections.abc import Mapping

from entrenar_research.runners.port import Ended, Job, Runner
from entrenar_research.tools import execution


class Host:
    """Executes a job in the environment of the caller."""

    name = "host"
    seals = False

    def unavailable(self, environment: Mapping[str, str]) -> str | None:
        """Always here."""
        return None

    def execute(self, job: Job) -> Ended:
        """Runs the job to its end.

        Raises:
            UsageError: if the program cannot be started.
        """
        outcome = execution.execute(
            job.argv,
            cwd=job.directory,
            env=job.environment,
            stdout=job.stdout,
            stderr=job.stderr,
            echo=job.echo,
            halt=job.halt,
        )
        return Ended(
            exit_status=outcome.exit_status,
            signal=outcome.signal,
            usage=outcome.usage,
            seconds=outcome.seconds,
            interrupted=outcome.interrupted,
            processes=outcome.processes,
            halted=outcome.halted,
        )


RUNNER: Runner = Host()
