"""Finding the study that a directory belongs to. Imports little: every command does this first."""

# ruff: noqa: PTH113,PTH120 - pathlib costs milliseconds

from __future__ import annotations

import os

from entrenar_research.errors import NotAStudyError

STUDY_FILE = "study.yaml"


def find(start: str) -> str:
    """The nearest directory at or above `start` that holds a study.

    Raises:
        NotAStudyError: if there is none.
    """
    directory = os.path.realpath(start)
    while not os.path.isfile(os.path.join(directory, STUDY_FILE)):
        above = os.path.dirname(directory)
        if above == directory:
            raise NotAStudyError(
                f"{start}: not inside a study: there is no {STUDY_FILE} here or in a directory above",
                hint="make one with `entrenar-research init DIR`, or change into one",
            )
        directory = above
    return directory
