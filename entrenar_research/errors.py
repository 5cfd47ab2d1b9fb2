"""The one error tree: every error that leaves the library is a `ResearchError`.

An error says what it is about, what was found, what was expected and what to do next. The command line
catches `ResearchError` alone, prints `message` and `hint`, and leaves with `exit_code`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final  # not at run time: a training script that imports us should not pay for it

EXIT_DONE: Final = 0
EXIT_WANTING: Final = 1
EXIT_USAGE: Final = 2
EXIT_MISSING_TOOL: Final = 3
EXIT_REMOTE: Final = 4
EXIT_INTERRUPTED: Final = 130


class ResearchError(Exception):
    """Something went wrong that a person can act on.

    `message` names the thing, what was found and what was expected; `hint` is the next step.
    """

    exit_code: int = EXIT_WANTING

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if exit_code is not None:
            self.exit_code = exit_code


class UsageError(ResearchError):
    """The request itself is wrong: an unknown name, a bad value, a place where it makes no sense."""

    exit_code = EXIT_USAGE


class NotAStudyError(UsageError):
    """The command needs a study and there is none here."""


class InvalidFileError(UsageError):
    """A file that a person wrote does not hold what it should; the message names file, line and key."""


class MissingToolError(ResearchError):
    """An outside program is absent or too old."""

    exit_code = EXIT_MISSING_TOOL


class ToolError(ResearchError):
    """An outside program was run and failed."""


class StorageError(ResearchError):
    """The file system refused: no space, no permission, read-only."""


class RunFailedError(ResearchError):
    """The experiment's own command failed or was killed; the run is recorded as such."""


class IntegrityError(ResearchError):
    """Something is not what its digest, signature or record says."""


class InterruptedRunError(ResearchError):
    """The person pressed Ctrl-C; what was begun is recorded as cancelled."""

    exit_code = EXIT_INTERRUPTED
