"""What golden traces are repeated with here: runners, a tracer, the caller's environment."""

from __future__ import annotations

import os
from collections.abc import Callable

from entrenar_research import workspace
from entrenar_research.actions.golden import Means


def here(progress: Callable[[int, int], None], tracer: str | None = None, runner: str | None = None) -> Means:
    """The means, with what is told how far the work has come, the tracer and the runner that were named.

    Raises:
        UsageError: if there is no such tracer or runner.
    """
    named = runner or os.environ.get("ENTRENAR_RUNNER") or None
    return Means(
        runners=workspace.runner,
        named=workspace.runner(named).name if named else None,
        tracers=workspace.tracers(tracer),
        environment=dict(os.environ),
        now=workspace.now,
        tool=workspace.TOOL,
        progress=progress,
    )
