"""What the notes of an event log come to: parameters, tags, warnings, artifacts, parents, predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

import msgspec

from entrenar_research.models.tracking import Artifact, Parent, Relationship

EndStatus = Literal["completed", "failed", "cancelled"]
"""How a process of a run said that it ended."""


class LoggedEta(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction of the time left, in seconds; `actual` is there if the script knew how long it took.

    `time` is when it was made (ns since 1970), 0 if that is not known.
    """

    predicted: float
    actual: float | None = None
    gain: float | None = None
    uncertainty: float | None = None
    time: int = 0


class LoggedFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The exception that ended a script: full name of its type, its message, the stack as Python prints it.

    `bases` are the full names of what the type descends from, nearest first.
    """

    exception: str
    bases: tuple[str, ...] = ()
    message: str = ""
    stack: str = ""
    errno: int | None = None


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """All notes of a run, in the order they were made. `damaged` says in words what made no sense."""

    params: dict[str, Any] = {}
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    parents: tuple[Parent, ...] = ()
    etas: tuple[LoggedEta, ...] = ()
    failure: LoggedFailure | None = None
    damaged: tuple[str, ...] = ()


class Folding:
    """Takes notes one by one. Where a thing is noted twice, the later note counts."""

    def __init__(self) -> None:
        self._params: dict[str, Any] = {}
        self._tags: dict[str, None] = {}
        self._warnings: dict[str, None] = {}
        self._artifacts: dict[str, Artifact] = {}
        self._parents: dict[tuple[str, str, str | None], Parent] = {}
        self._etas: list[LoggedEta] = []
        self._failure: LoggedFailure | None = None
        self._damaged: list[str] = []

    def take(self, note: Mapping[str, Any], where: str) -> None:
        """Adds one note; `where` names its file for what cannot be understood."""
        kind = note.get("kind")
        take = self._KINDS.get(kind) if isinstance(kind, str) else None
        if take is None:
            self._damaged.append(f"{where}: a note of the unknown kind {kind!r}")
            return
        try:
            take(self, note)
        except (KeyError, TypeError, ValueError) as error:
            self._damaged.append(f"{where}: a note of kind {kind} makes no sense: {type(error).__name__} {error}")

    def notes(self) -> Notes:
        """What they come to."""
        return Notes(
            params=self._params,
            tags=tuple(self._tags),
            warnings=tuple(self._warnings),
            artifacts=tuple(self._artifacts.values()),
            parents=tuple(self._parents.values()),
            etas=tuple(self._etas),
            failure=self._failure,
            damaged=tuple(self._damaged),
        )

    def _param(self, note: Mapping[str, Any]) -> None:
        self._params[_text(note["name"])] = note["value"]

    def _tag(self, note: Mapping[str, Any]) -> None:
        self._tags[_text(note["value"])] = None

    def _warning(self, note: Mapping[str, Any]) -> None:
        self._warnings[_text(note["text"])] = None

    def _artifact(self, note: Mapping[str, Any]) -> None:
        path = _text(note["path"])
        inside = PurePosixPath(path)
        if inside.is_absolute() or ".." in inside.parts or inside.parts[:1] != ("artifacts",):
            raise ValueError(f"{path!r} does not lie in artifacts/")
        given = {"path": path, "digest": note["digest"], "size": note["size"]}
        given |= {"kind": note.get("artifact_kind") or "file", "bypass": note.get("bypass")}
        self._artifacts[path] = msgspec.convert(given, Artifact)

    def _parent(self, note: Mapping[str, Any]) -> None:
        relationship, role = note["relationship"], note.get("role")
        if relationship not in get_args(Relationship):
            raise ValueError(f"the relationship {relationship!r} is not known")
        parent = msgspec.convert({"run": note["run"], "relationship": relationship, "role": role}, Parent)
        self._parents[parent.run, parent.relationship, parent.role] = parent

    def _eta(self, note: Mapping[str, Any]) -> None:
        self._etas.append(msgspec.convert({key: note[key] for key in note if key != "kind"}, LoggedEta, strict=True))

    def _failed(self, note: Mapping[str, Any]) -> None:
        self._failure = msgspec.convert({key: note[key] for key in note if key != "kind"}, LoggedFailure)

    def _ended(self, note: Mapping[str, Any]) -> None:
        msgspec.convert(note["status"], EndStatus)  # of one process: `logged.last_word` has that of the run

    _KINDS: dict[str, Callable[[Folding, Mapping[str, Any]], None]] = {  # noqa: RUF012 - a table, never written to
        "param": _param,
        "tag": _tag,
        "warning": _warning,
        "artifact": _artifact,
        "parent": _parent,
        "eta": _eta,
        "failure": _failed,
        "end": _ended,
    }


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value
