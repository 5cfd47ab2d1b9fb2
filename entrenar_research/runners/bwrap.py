"""The runner bwrap: the programs of this machine in a world without network, of which only the result can be written.

It is no hermetic run - what is installed here is what is used - but nothing undeclared is fetched and nothing else is
changed. A tracer that the command is wrapped in runs inside.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping

from entrenar_research.errors import MissingToolError, UsageError
from entrenar_research.runners.port import Ended, Job, Runner
from entrenar_research.tools import bubblewrap, execution


class Bwrap:
    """Executes a job with the rest of the file system read-only and no network but its own loopback."""

    name = "bwrap"
    seals = False

    def unavailable(self, environment: Mapping[str, str]) -> str | None:
        """Why bubblewrap cannot be used here, or None."""
        return bubblewrap.unavailable()

    def execute(self, job: Job) -> Ended:
        """Runs the job to its end.

        Raises:
            UsageError: if the program cannot be started.
            MissingToolError: if bubblewrap is absent or may not make namespaces.
        """
        reason = bubblewrap.unavailable()
        if reason is not None:
            raise MissingToolError(reason, hint="install bubblewrap, or use `--runner host`")
        outcome = execution.execute(
            bubblewrap.sealed(job.argv, directory=job.directory, writable=job.writable),
            cwd=job.directory,
            env=job.environment,
            stdout=job.stdout,
            stderr=job.stderr,
            echo=job.echo,
            halt=job.halt,
        )
        if outcome.exit_status == 1 and (said := bubblewrap.refusal(job.stderr)):
            raise UsageError(f"cannot execute {said}")
        return Ended(
            exit_status=outcome.exit_status,
            signal=outcome.signal or _signal(outcome.exit_status),
            usage=outcome.usage,
            seconds=outcome.seconds,
            interrupted=outcome.interrupted,
            processes=outcome.processes,
            halted=outcome.halted,
        )


def _signal(status: int) -> str | None:
    """The signal that killed the command: of that bubblewrap only tells by 128 + n, as a shell does."""
    try:
        return signal.Signals(status - 128).name if status > 128 else None
    except ValueError:
        return None


RUNNER: Runner = Bwrap()
