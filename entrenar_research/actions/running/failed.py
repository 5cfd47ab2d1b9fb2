"""How a run that went wrong is told of: to the person at once, to the record as the context of its failure."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import Final

from entrenar_research.models.run import RunRecord, RunStatus
from entrenar_research.models.tracking import Failure
from entrenar_research.runners.port import Ended

CANCELLED: Final = "run {} was interrupted; it is recorded as cancelled, the last good result is untouched"
_HARDLY_ANY: Final = 64 << 10
_SEALED: Final = (
    (
        re.compile(r"Connection refused|Network is unreachable|name resolution|Name or service not known|getaddrinfo"),
        "a sealed world has no network: declare what is fetched as input, or use --runner host",
    ),
    (
        re.compile(r"libcuda|libnvidia|nvidia-smi|\bCUDA\b|no CUDA|/dev/dri|libamdhip|\bROCm\b", re.IGNORECASE),
        "a sealed world has no graphics card: use --runner host or bwrap",
    ),
    (
        re.compile(r"No such file or directory|ModuleNotFoundError|command not found"),
        "a sealed world has what `code` and `inputs` name and the programs of the lock, and nothing else",
    ),
    (
        re.compile(r"Permission denied|Read-only file system"),
        "in a sealed world inputs and programs cannot be written to: write below ${result}",
    ),
)
"""What the last words of a command say that it was looking for, and why that is not there."""


class Failed(Exception):
    """A run that went wrong."""

    def __init__(self, message: str, hint: str | None, context: Failure, status: RunStatus = "failed") -> None:
        super().__init__(message)
        self.message, self.hint, self.context, self.status = message, hint, context, status


def of_command(
    record: RunRecord, ended: Ended, directory: os.PathLike[str], context: Failure, *, sealed: bool = False
) -> Failed:
    """What to say of a command that failed, was stopped or was killed; `sealed` if it saw only what is declared."""
    if ended.interrupted:
        return Failed(CANCELLED.format(record.id), None, context, "cancelled")
    if ended.halted is not None:
        return Failed(ended.halted, None, context, "cancelled")
    how = f"was killed by {ended.signal}" if ended.signal else f"ended with exit status {ended.exit_status}"
    words = _last_words(directory)
    output = f"its output is in runs/{record.id}/"
    lacked = next((f"{output}; {told}" for form, told in _SEALED if form.search(words)), None) if sealed else None
    return Failed(
        f"the command of {record.experiment} {how}; the last good result is untouched{words}",
        _no_space(directory) or lacked or output,
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
