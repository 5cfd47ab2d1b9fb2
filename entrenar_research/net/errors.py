"""What can go wrong with others."""

from __future__ import annotations

from entrenar_research.errors import EXIT_REMOTE, ResearchError


class RemoteError(ResearchError):
    """Somebody else's service was not reached, or did not do what was asked."""

    exit_code = EXIT_REMOTE


class OfflineError(RemoteError):
    """`ENTRENAR_OFFLINE` forbids every connection."""
