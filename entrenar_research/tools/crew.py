"""Starting our own program as workers beside this process."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

_POLL_SECONDS = 0.05


class Member:
    """One worker: a process of its own that hears nothing from the terminal; what it says on stderr is kept."""

    def __init__(self, words: Sequence[str], directory: Path) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the member; closed by `release`
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "entrenar_research", *words],
            cwd=directory, process_group=0,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said,
        )  # fmt: skip

    @property
    def status(self) -> int | None:
        """Its exit status, negative if a signal killed it; None while it lives."""
        return self._process.poll()

    def said(self) -> str:
        """What it wrote to stderr."""
        self._said.seek(0)
        return self._said.read().decode("utf-8", "replace").strip()

    def stop(self) -> None:
        """Asks it to stop; the second time it stops what it runs by force."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Stops it by force."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def release(self) -> None:
        """Gives up what is kept of one that has ended."""
        self._said.close()


def wait(members: Sequence[Member], seconds: float) -> bool:
    """Whether all of them ended within so many seconds."""
    deadline = time.monotonic() + seconds
    while any(member.status is None for member in members):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
