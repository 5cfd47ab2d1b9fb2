"""Commands in a network namespace without interfaces: what works there needs no network (network_namespaces(7))."""

from __future__ import annotations

import functools
import sys

from entrenar_research.errors import MissingToolError, ToolError
from entrenar_research.tools import process

_SECONDS = 20.0
_NETWORK = "unshare"
_WAYS = ((_NETWORK, "--net"), (_NETWORK, "--map-current-user", "--net"))
"""As root; as anybody else, in a user namespace in which one is who one was."""


@functools.cache
def words() -> tuple[str, ...] | None:
    """What to put before a command so that it has no network, or None where the system lets nobody do that."""
    for way in _WAYS:
        try:
            if process.run([*way, "--", "true"], check=False, timeout=_SECONDS).status == 0:
                return (*way, "--")
        except (MissingToolError, ToolError):
            return None
    return None


def ourselves(*arguments: str) -> list[str]:
    """The command line that starts this very program."""
    return [sys.executable, "-P", "-m", "entrenar_research", *arguments]
