"""What MLflow records about a run: lines of metrics, tags, statuses, and what of it goes where.

The file store's formats are those of mlflow/store/tracking/file_store.py: a metric is a file of lines `time value
step` (time in milliseconds; before MLflow 1.0 `time value`, in seconds), a parameter or tag a file of text.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from entrenar_research.models.run import RunStatus

STATUS: Final[dict[Any, RunStatus]] = {
    1: "lost", 2: "pending", 3: "completed", 4: "failed", 5: "cancelled",
    "RUNNING": "lost", "SCHEDULED": "pending", "FINISHED": "completed", "FAILED": "failed", "KILLED": "cancelled",
}  # fmt: skip
"""MLflow's statuses, as numbers (file store) and words (database). What still runs in there, nobody runs here."""

_LINE = re.compile(rb"(?:[1-8]?\d{1,12} [^\s]+ -?\d{1,18}\r?\n)*+(?:[1-8]?\d{1,12} [^\s]+ -?\d{1,18})?")
_SECONDS_BELOW = 10**11
_PERSONAL_TAGS: Final = {
    "mlflow.user": "user name",
    "mlflow.source.git.repoURL": "address of the repository",
    "mlflow.gitRepoURL": "address of the repository",
    "mlflow.docker.image.uri": "name of the container image",
    "mlflow.docker.image.name": "name of the container image",
}
_PERSONAL_PREFIXES: Final = ("mlflow.databricks.", "mlflow.shareable.", "mlflow.project.backend")
_KEPT: Final = {
    "mlflow.runName": "name",
    "mlflow.note.content": "notes",
    "mlflow.source.git.branch": "git.branch",
    "mlflow.gitBranchName": "git.branch",
    "mlflow.project.entryPoint": "entry_point",
}
_COMMITS: Final = ("mlflow.source.git.commit", "mlflow.gitCommit")
_PARENT: Final = "mlflow.parentRunId"
_NUMBER = re.compile(r"[-+.\deE]+")


class Line(NamedTuple):
    """One line of a metric: time in ns, value, the step as it is written, and further columns (a data set)."""

    time: int
    value: float
    step: str
    more: int


class Tags(NamedTuple):
    """A run's tags, sorted into their places."""

    kept: list[str]
    parent: str | None
    commit: str | None
    program: str
    personal: set[str]
    unmapped: list[str]


def columns(data: bytes) -> tuple[list[int], list[float], list[int]] | None:
    """Steps, values and times (ns) of a whole file of metric lines; None if a line is not of the usual form."""
    if not _LINE.fullmatch(data):
        return None
    words = data.split()
    try:
        values = list(map(float, words[1::3]))
    except ValueError:
        return None
    return list(map(int, words[2::3])), values, [int(word) * 1_000_000 for word in words[0::3]]


def line(text: str) -> Line:
    """One line of a metric file.

    Raises:
        ValueError: if it is none; the message says what was expected.
    """
    words = text.split()
    if len(words) not in (2, 3, 5):
        raise ValueError("expected `time value step`")
    moment = int(words[0])
    seconds = len(words) == 2 and moment < _SECONDS_BELOW
    time = moment * (1_000_000_000 if seconds else 1_000_000)
    return Line(time, float(words[1]), words[2] if len(words) > 2 else "0", len(words) - 3)


def param(text: str) -> Any:
    """A parameter, which MLflow keeps as text: a number or truth value where Python writes it exactly so."""
    if text in ("True", "False"):
        return text == "True"
    if len(text) > 32 or not _NUMBER.fullmatch(text):
        return text
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        if str(value) == text and abs(value) < 2**63:
            return value
    return text


def sort_tags(tags: dict[str, str]) -> Tags:
    """Puts the tags of a run where they belong: `key=value` for its own, the rest by what MLflow means by them."""
    kept, unmapped, personal = [], [], set()
    parent = commit = None
    program = ""
    for key, value in sorted(tags.items()):
        if key == _PARENT:
            parent = value
        elif key in _COMMITS:
            commit = value
        elif key in _KEPT:
            kept.append(f"{_KEPT[key]}={value}")
        elif key == "mlflow.source.name":
            program = value.replace("\\", "/").rstrip("/").rpartition("/")[2]
            if program != value:
                personal.add("directory of the script")
        elif key in _PERSONAL_TAGS or key.startswith(_PERSONAL_PREFIXES):
            personal.add(_PERSONAL_TAGS.get(key, key))
        elif key.startswith("mlflow."):
            unmapped.append(key)
        else:
            kept.append(f"{key}={value}")
    return Tags(list(dict.fromkeys(kept)), parent, commit, program, personal, unmapped)
