"""What golden traces are repeated with here: the host runner, a tracer, the caller's environment."""

from __future__ import annotations

import os
from collections.abc import Callable

from entrenar_research import workspace
from entrenar_research.actions.golden import Means


def here(progress: Callable[[int, int], None], tracer: str | None = None) -> Means:
    """The means, with what is told how far the work has come, and the tracer that was named.

    Raises:
        UsageError: if there is no such tracer.
    """
    return Means(
        runner=workspace.runner("host"),
        tracers=workspace.tracers(tracer),
        environment=dict(os.environ),
        now=workspace.now,
        tool=workspace.TOOL,
        progress=progress,
    )
