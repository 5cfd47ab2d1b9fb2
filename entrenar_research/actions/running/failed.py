"""How a run that went wrong is told of: to the person at once, to the record as the context of its failure."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Final

from entrenar_research.models.run import RunRecord, RunStatus
from entrenar_research.models.tracking import Failure
from entrenar_research.runners.port import Ended

CANCELLED: Final = "run {} was interrupted; it is recorded as cancelled, the last good result is untouched"
_HARDLY_ANY: Final = 64 << 10


class Failed(Exception):
    """A run that went wrong."""

    def __init__(self, message: str, hint: str | None, context: Failure, status: RunStatus = "failed") -> None:
        super().__init__(message)
        self.message, self.hint, self.context, self.status = message, hint, context, status


def of_command(record: RunRecord, ended: Ended, directory: os.PathLike[str], context: Failure) -> Failed:
    """What to say of a command that failed, was stopped or was killed."""
    if ended.interrupted:
        return Failed(CANCELLED.format(record.id), None, context, "cancelled")
    if ended.halted is not None:
        return Failed(ended.halted, None, context, "cancelled")
    how = f"was killed by {ended.signal}" if ended.signal else f"ended with exit status {ended.exit_status}"
    return Failed(
        f"the command of {record.experiment} {how}; the last good result is untouched{_last_words(directory)}",
        _no_space(directory) or f"its output is in runs/{record.id}/",
        context,
    )


def _no_space(directory: os.PathLike[str]) -> str | None:
    """What to do where a full disk is the likely reason; a program may not even be able to say so itself."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(directory).free < _HARDLY_ANY:
            return "there is no space left on the disk: free some, then run the same command again"
    return None


def _last_words(directory: os.PathLike[str]) -> str:
    try:
        with open(os.path.join(directory, "stderr.txt"), encoding="utf-8", errors="replace") as stream:
            lines = [line.rstrip() for line in stream.readlines()[-3:] if line.strip()]
    except OSError:
        return ""
    return "".join(f"\n  {line}" for line in lines)
